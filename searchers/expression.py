"""Conditions on a configuration, written as text: ``lr * batch <= 1``, ``model.kind != 'svm' or model.C < 10``.

The text is Python's, and little of it: names of parameters with ``.key`` and ``[key]`` for nested ones, numbers, texts,
True, False, None, tuples and lists, arithmetic on numbers, comparisons, and, or, not. It is interpreted here and never
run: it can call nothing and reads nothing but the configuration. ``config["a-b"]`` reaches a name that Python has not.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

_LONGEST = 1000
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda value, options: value in options,
    ast.NotIn: lambda value, options: value not in options,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda base, exponent: float(base) ** float(exponent),  # of floats: 9 ** 9 ** 9 must not run for hours
}
_SYMBOLS: dict[type[ast.AST], str] = {ast.Is: "is", ast.IsNot: "is not", ast.Invert: "~"}
_GRAMMAR = "use names, numbers, texts, + - * / // % **, comparisons, in, and, or, not"


class AbsentError(Exception):
    """An expression read a parameter that this configuration has not."""


@dataclass(frozen=True)
class Expression:
    """A condition that holds or not. Where it reads a parameter that a configuration lacks, there is nothing to hold.

    Raises:
        ValueError: `text` is no such condition: says what is wrong.
    """

    text: str

    def __post_init__(self) -> None:
        match self._condition:
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                pass
            case _:
                raise ValueError(f"{self.text!r} is no condition: compare something, as in 'a <= b'")
        for node in ast.walk(self._condition):
            _check(node, self.text)

    @cached_property
    def _condition(self) -> ast.expr:
        if len(self.text) > _LONGEST:
            raise ValueError(f"{self.text[:40]!r}... is longer than {_LONGEST} characters: give a function instead")
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError) as error:
            raise ValueError(f"{self.text!r} cannot be read: {getattr(error, 'msg', error)}; {_GRAMMAR}") from None

    @property
    def names(self) -> Iterator[tuple[str | int, ...]]:
        """The parameters that it reads, each as its keys from the outermost on."""
        return _names(self._condition)

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Whether it holds for `config`.

        Raises:
            TypeError: values are compared or computed with that do not go together.
        """
        try:
            return bool(_value(self._condition, config))
        except AbsentError:
            return True


def _check(node: ast.AST, text: str) -> None:
    match node:
        case ast.Attribute(value=ast.Name() | ast.Attribute() | ast.Subscript()):
            return
        case ast.Name() | ast.Tuple() | ast.List() | ast.Compare() | ast.BoolOp() | ast.UnaryOp():
            return
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            return
        case ast.Constant(value=None | bool() | int() | float() | str()):
            return
        case ast.Subscript(
            value=ast.Name() | ast.Attribute() | ast.Subscript(), slice=ast.Constant(value=int() | str())
        ):
            return
        case ast.cmpop() if type(node) in _COMPARISONS:
            return
        case ast.operator() | ast.boolop() | ast.Not() | ast.USub() | ast.UAdd() | ast.expr_context():
            return
    found = ast.unparse(node) if isinstance(node, ast.expr) else _SYMBOLS.get(type(node), type(node).__name__)
    raise ValueError(f"{text!r} has {found!r}, which no condition may have; {_GRAMMAR}, or give a function instead")


def _keys(node: ast.expr) -> tuple[str | int, ...]:
    """The keys of a nested name."""
    match node:
        case ast.Name(id=name):
            return (name,)
        case ast.Attribute(value=inner, attr=name):
            return (*_keys(inner), name)
        case ast.Subscript(value=inner, slice=ast.Constant(value=str() | int() as key)):
            return (*_keys(inner), key)
    raise AssertionError(f"{ast.unparse(node)} was let through")


def _names(node: ast.AST) -> Iterator[tuple[str | int, ...]]:
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
        yield _keys(node)
    else:
        for inner in ast.iter_child_nodes(node):
            yield from _names(inner)


def _value(node: ast.expr, config: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return look_up(config, _keys(node))
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(_value(item, config) for item in items)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, config)
        case ast.UnaryOp(op=op, operand=operand):
            number = _number(operand, config)
            return -number if isinstance(op, ast.USub) else number
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_number(left, config), _number(right, config))
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, config) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, config) for part in parts)
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = [_value(part, config) for part in (left, *others)]
            return all(_COMPARISONS[type(op)](values[at], values[at + 1]) for at, op in enumerate(ops))
    raise AssertionError(f"{ast.unparse(node)} was let through")


def _number(node: ast.expr, config: Mapping[str, Any]) -> Any:
    value = _value(node, config)
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{ast.unparse(node)} is {value!r}, and only numbers can be computed with")
    return value


def look_up(config: Mapping[str, Any], keys: tuple[str | int, ...]) -> Any:
    """The value at `keys`. ``config`` at their beginning is the configuration itself.

    Raises:
        AbsentError: `config` has none there.
    """
    if keys[0] == "config" and len(keys) > 1 and "config" not in config:
        keys = keys[1:]
    value: Any = config
    for key in keys:
        if not isinstance(value, Mapping | list | tuple):
            raise AbsentError(key)
        try:
            value = value[key]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            raise AbsentError(key) from None
    return value
