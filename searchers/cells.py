"""A finite search space, counted: each of its configurations has a number, and each number its configuration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import prod
from random import Random
from typing import Any, NamedTuple

from searchers.choices import Choice, holds_domain, is_equal
from searchers.domain import Domain, Float, Integer
from searchers.ladder import Ladder
from searchers.resolution import NOTHING, draw, resolve_with
from searchers.space import grid_values


class Position(NamedTuple):
    """Where a parameter stands among the values of its domain: at which, of how many."""

    at: int
    of: int


Positions = dict[str, Position]
"""By the parameters' paths; those within a choice's options are under ``p[0]``, ``p[1]`` and so on."""


class Cells:
    """The configurations that `space` holds, as the numbers from 0 to ``size - 1``.

    `size` is None, and nothing has a number, where they cannot be counted: a domain has no end, or a value is what a
    function makes of it (`sample_from`). Nor is a space without domains counted: all of its trials are alike, and how
    many of them there shall be has been said.

    A number's digits are the positions of the parameters' values, in a mixed radix: the last parameter varies fastest,
    and a choice whose options hold domains counts the configurations of each in turn.
    """

    def __init__(self, space: Mapping[str, Any]) -> None:
        self._space = space
        self._root = _node(dict(space)) if holds_domain(dict(space)) or _has_axes(space) else None
        self.size = self._root.size if self._root else None

    def number_of(self, config: Mapping[str, Any]) -> int | None:
        """The number of `config`; None when it could not have come from here."""
        return self._root.number_of(config) if self._root else None

    def positions(self, number: int) -> Positions:
        """Where each parameter of configuration `number` stands."""
        assert self._root is not None
        found: Positions = {}
        self._root.place(number, "", found)
        return found

    def config(self, positions: Positions, rng: Random) -> dict[str, Any]:
        """The configuration with these positions; parameters that have none are drawn with `rng`."""

        def draw_at(path: str, domain: Domain) -> Any:
            if path not in positions:
                return draw(rng, path, domain)
            index = positions[path].at
            return index if isinstance(domain, Choice) else _value_at(domain, index)

        return resolve_with(self._space, draw_at, rng, NOTHING)


class _Node(ABC):
    """A place in the space: how many values it can have, and the number of each."""

    size: int

    @abstractmethod
    def number_of(self, value: Any) -> int | None: ...

    @abstractmethod
    def place(self, number: int, path: str, found: Positions) -> None: ...


class _Constant(_Node):
    size = 1

    def __init__(self, value: Any) -> None:
        self._value = value

    def number_of(self, value: Any) -> int | None:
        # Objects and functions may come back from a journal as something else: they are taken for what they were.
        return 0 if not _is_plain(self._value) or is_equal(self._value, value) else None

    def place(self, number: int, path: str, found: Positions) -> None:
        pass


class _Ladder(_Node):
    def __init__(self, domain: Domain) -> None:
        assert domain.size is not None
        self._domain, self.size = domain, domain.size

    def number_of(self, value: Any) -> int | None:
        return _index_of(self._domain, value) if self._domain.contains(value) else None

    def place(self, number: int, path: str, found: Positions) -> None:
        found[path] = Position(number, self.size)


class _Options(_Node):
    def __init__(self, choice: Choice, options: Sequence[_Node]) -> None:
        self._choice, self._options = choice, options
        self._starts = list(accumulate((option.size for option in options), initial=0))
        self.size = self._starts[-1]

    def number_of(self, value: Any) -> int | None:
        index = self._choice.index_of(value)
        if index is None:
            return None
        within = self._options[index].number_of(value) if holds_domain(self._choice.options[index]) else 0
        return None if within is None else self._starts[index] + within

    def place(self, number: int, path: str, found: Positions) -> None:
        index = next(at for at, end in enumerate(self._starts[1:]) if number < end)
        found[path] = Position(index, len(self._options))
        self._options[index].place(number - self._starts[index], f"{path}[{index}]", found)


class _Product(_Node):
    def __init__(self, parts: Mapping[Any, _Node]) -> None:
        self._parts = parts
        self.size = prod(part.size for part in parts.values())

    def number_of(self, value: Any) -> int | None:
        number = 0
        for key, part in self._parts.items():
            try:
                digit = part.number_of(value[key])
            except (KeyError, IndexError, TypeError):
                return None
            if digit is None:
                return None
            number = number * part.size + digit
        return number

    def place(self, number: int, path: str, found: Positions) -> None:
        for key, part in reversed(list(self._parts.items())):
            number, digit = divmod(number, part.size)
            part.place(digit, f"{path}/{key}" if path else str(key), found)


def _node(node: Any) -> _Node | None:
    """`node` counted; None when it cannot be."""
    if (values := grid_values(node)) is not None:
        node = Choice(tuple(values))
    if isinstance(node, Choice):
        options = [_node(option) if _first(node, index) else _NEVER for index, option in enumerate(node.options)]
        known = [option for option in options if option is not None]
        return _Options(node, known) if len(known) == len(options) else None
    if isinstance(node, Domain):
        return _Ladder(node) if isinstance(node, Float | Integer | Ladder) and node.size is not None else None
    if isinstance(node, dict | list | tuple) and (holds_domain(node) or _has_axes(node)):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        parts = {key: part for key, inner in items if (part := _node(inner)) is not None}
        return _Product(parts) if len(parts) == len(node) else None
    return _Constant(node)


class _Never(_Constant):
    """An option that equals an earlier one, and is therefore never counted."""

    size = 0


_NEVER = _Never(None)


def _first(choice: Choice, index: int) -> bool:
    """Whether the option at `index` is not known by an earlier one."""
    option = choice.options[index]
    return holds_domain(option) or choice.index_of(option) == index


def _has_axes(node: Any) -> bool:
    if grid_values(node) is not None:
        return True
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    return any(_has_axes(one) for one in inner)


def _value_at(domain: Domain, index: int) -> Any:
    match domain:
        case Float(q=q) if q is not None:
            return domain.cast((round(domain.low / q) + index) * q)
        case Integer():
            return (domain.first + index) * domain.q
        case Ladder():
            return domain.at(index)
    raise AssertionError(domain)


def _index_of(domain: Domain, value: Any) -> int:
    match domain:
        case Float(q=q) if q is not None:
            return round(float(value) / q) - round(domain.low / q)
        case Integer():
            return int(value) // domain.q - domain.first
        case Ladder():
            rung = domain.rung_of(value)
            assert rung is not None
            return rung
    raise AssertionError(domain)


def _is_plain(value: Any) -> bool:
    match value:
        case None | bool() | int() | float() | str():
            return True
        case dict():
            return all(map(_is_plain, value.values()))
        case list() | tuple():
            return all(map(_is_plain, value))
    return False
