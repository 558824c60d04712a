"""Configurations given in advance, `points_to_evaluate`: read against the space, so that a mistake is told at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final

from searchers.choices import Choice, is_equal, matches
from searchers.domain import Domain
from searchers.space import grid_values, walk


class _Unset(Enum):
    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset.UNSET
"""Stands where a partial point gives no value."""


def read_points(space: Mapping[str, Any], points: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """`points`, each nested like `space`; one may be partial.

    Raises:
        ValueError: names the point's index, and the unknown key with the nearest known one, or the value that its
            domain does not contain.
    """
    nested = []
    for index, point in enumerate(points or ()):
        try:
            nested.append(nest(space, point))
            mistakes = list(misfits(space, nested[-1], ""))
        except ValueError as error:
            mistakes = [str(error)]
        if mistakes:
            raise ValueError(f"points_to_evaluate[{index}]: {'; '.join(mistakes)}")
    return nested


def merged(point: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both points, nested alike, in one; where they differ, `other` says what holds."""
    both = {**point, **other}
    for key in point.keys() & other.keys():
        if isinstance(point[key], Mapping) and isinstance(other[key], Mapping):
            both[key] = merged(point[key], other[key])
    return both


def nest(space: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values`, which may be nested, flat with paths as keys, or both, nested like `space`."""
    if not isinstance(values, Mapping):
        raise ValueError(f"a point is a dict of parameters, not {values!r}")
    nested: dict[str, Any] = _nested(space, values, "", space)
    return nested


def _nested(node: Any, value: Any, path: str, space: Mapping[str, Any]) -> Any:
    if not isinstance(value, Mapping):
        return value
    if isinstance(node, Choice):
        return _nested_in_option(node, value)
    if isinstance(node, list | tuple):
        items = {str(index): item for index, item in enumerate(node)}
        below = _nested(items, value, path, space)
        return [below.get(index, UNSET) for index in items]
    if not isinstance(node, Mapping) or "grid_search" in node:
        return value
    grouped: dict[Any, Any] = {}
    for key, part in value.items():
        name, inner = (key, part) if key in node else _split(node, key, part, path, space)
        both = isinstance(inner, Mapping) and isinstance(grouped.get(name), Mapping)
        grouped[name] = {**grouped[name], **inner} if both else inner
    return {key: _nested(node[key], part, f"{path}{key}/", space) for key, part in grouped.items()}


def _split(node: Mapping[Any, Any], key: Any, part: Any, path: str, space: Mapping[str, Any]) -> tuple[str, Any]:
    """A key that is no key of `node` but a path below one of them."""
    head, slash, rest = str(key).partition("/")
    if not slash or head not in node:
        raise ValueError(_unknown(space, f"{path}{key}"))
    return head, {rest: part}


def _nested_in_option(choice: Choice, value: Mapping[str, Any]) -> Any:
    for option in choice.options:
        if isinstance(option, Mapping):
            try:
                nested = nest(option, value)
            except ValueError:  # not this option's keys
                continue
            if matches(option, nested, partial=True):
                return nested
    return value


def _unknown(space: Mapping[str, Any], path: str) -> str:
    known = ["/".join(parts) for parts, _ in walk(space)]
    nearest = get_close_matches(path, known, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"it has {', '.join(known) or 'no parameters'}"
    return f"the search space has no {path!r}; {hint}"


def misfits(node: Any, value: Any, path: str) -> Iterator[str]:
    """What of `value`, nested like `node`, could not have come from there, a sentence each; `path` is its place."""
    values = grid_values(node)
    domain = Choice(tuple(values)) if values else node
    if isinstance(domain, Domain):
        known = (
            domain.index_of(value, partial=True) is not None if isinstance(domain, Choice) else domain.contains(value)
        )
        if value is not UNSET and not known:
            yield f"{path} = {value!r} is not in {domain if domain is node else f'grid_search({values!r})'}"
    elif isinstance(node, Mapping) and isinstance(value, Mapping):
        for key in value:
            yield from misfits(node[key], value[key], f"{path}/{key}" if path else str(key))
    elif isinstance(node, list | tuple) and isinstance(value, list | tuple) and len(node) == len(value):
        for index, (inner, part) in enumerate(zip(node, value, strict=True)):
            yield from misfits(inner, part, f"{path}/{index}")
    elif value is not UNSET and not is_equal(node, value):
        yield f"{path} is {node!r} in the search space and cannot be {value!r}; make it a choice there"
