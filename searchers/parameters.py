"""The parameters of a space by name, those of every branch, and the values that a configuration gives them.

A parameter is named by its path. Those of a choice's options carry the option's index, ``model[1]/depth``, so that two
options may have parameters of one name. A choice's value is the index of its option, since options may be anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from searchers.choices import Choice, holds_domain
from searchers.domain import Domain
from searchers.space import grid_values


@dataclass(frozen=True, slots=True)
class Condition:
    """A parameter exists only where the choice `name` takes its option `option`."""

    name: str
    option: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """A place in a space that takes a value; a grid axis is a choice. `condition` is that of the innermost choice."""

    name: str
    domain: Domain
    condition: Condition | None = None


def parameters(space: Mapping[str, Any]) -> Iterator[Parameter]:
    """Every parameter of `space` in the order written, a choice before the parameters of its options."""
    for key, node in space.items():
        yield from _within(node, str(key), None)


def values(space: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[tuple[Parameter, Any]]:
    """The parameters that exist in `config`, each with its value, for a choice the index of the option.

    Raises:
        ValueError: `config` lacks a parameter of `space`, or has a value that its domain does not contain.
    """
    for key in space:
        yield from _values(space[key], config, key, str(key), None)


def count(space: Any) -> int | None:
    """How many different configurations there are, constraints aside; None when they cannot be counted."""
    if (domain := _domain_at(space)) is not None:
        if not isinstance(domain, Choice):
            return domain.size
        options = [count(option) for option in domain.options]
        return None if None in options else sum(option for option in options if option is not None)
    product = 1
    for _, child in _children(space):
        if (inner := count(child)) is None:
            return None
        product *= inner
    return product


def _within(node: Any, path: str, condition: Condition | None) -> Iterator[Parameter]:
    if (domain := _domain_at(node)) is not None:
        yield Parameter(path, domain, condition)
        if isinstance(domain, Choice):
            for index, option in enumerate(domain.options):
                yield from _within(option, f"{path}[{index}]", Condition(path, index))
    else:
        for key, inner in _children(node):
            yield from _within(inner, f"{path}/{key}", condition)


def _values(
    node: Any, config: Any, key: Any, path: str, condition: Condition | None
) -> Iterator[tuple[Parameter, Any]]:
    domain = _domain_at(node)
    if domain is None and not holds_domain(node):
        return
    try:
        value = config[key]
    except (KeyError, IndexError, TypeError):
        raise ValueError(f"it has no {path}") from None
    if domain is None:
        for inner, child in _children(node):
            yield from _values(child, value, inner, f"{path}/{inner}", condition)
    elif isinstance(domain, Choice):
        if (index := domain.index_of(value)) is None:
            raise ValueError(f"{path} = {value!r} is not in {domain}")
        yield Parameter(path, domain, condition), index
        yield from _values(domain.options[index], (value,), 0, f"{path}[{index}]", Condition(path, index))
    elif not domain.contains(value):
        raise ValueError(f"{path} = {value!r} is not in {domain}")
    else:
        yield Parameter(path, domain, condition), value


def _domain_at(node: Any) -> Domain | None:
    if isinstance(node, Domain):
        return node
    axis = grid_values(node)
    return None if axis is None else Choice(tuple(axis))


def _children(node: Any) -> Iterator[tuple[Any, Any]]:
    match node:
        case dict():
            yield from node.items()
        case list() | tuple():
            yield from enumerate(node)
