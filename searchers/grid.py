"""The grid axes of a space, and which of their combinations may be tried."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from searchers.choices import Choice
from searchers.constraints import Constraint, broken_by, counted
from searchers.points import UNSET
from searchers.resolution import known_part
from searchers.space import grid_axes

MAX_CELLS: Final = 100_000
"""Of how many cells a grid may be when each has to be held against constraints: some seconds of work."""


@dataclass(frozen=True, slots=True)
class Grid:
    """`axes` by their paths with their lengths, of which the first varies fastest; `allowed` cells, None for all."""

    axes: tuple[tuple[str, int], ...]
    allowed: Sequence[int] | None = None

    @property
    def count(self) -> int:
        """How many cells there are to try."""
        return math.prod(length for _, length in self.axes) if self.allowed is None else len(self.allowed)

    def indexes(self, at: int) -> dict[str, int]:
        """Which value of each axis the cell has that is tried as number `at`, from 0."""
        return _indexes(self.axes, at if self.allowed is None else self.allowed[at])


def number_of(space: Mapping[str, Any], grid: Grid, config: Mapping[str, Any]) -> int | None:
    """As which number the cell is tried that `config`, nested like `space`, lies in; None when it is in none."""
    cell, stride = 0, 1
    axes = grid_axes(space)
    for path, length in grid.axes:
        index = Choice(tuple(axes[path])).index_of(_at(config, path))
        if index is None:
            return None
        cell, stride = cell + index * stride, stride * length
    if grid.allowed is None:
        return cell
    number = bisect_left(grid.allowed, cell)
    return number if grid.allowed[number : number + 1] == [cell] else None


def lay_out(space: Mapping[str, Any], constraints: Sequence[Constraint], point: Mapping[str, Any]) -> Grid:
    """The grid of the axes that `point` leaves open. Without constraints it takes no room, however large it is.

    A cell is left out when what is known of it, without drawing anything, breaks a constraint.

    Raises:
        ValueError: no cell is left, or there are more than `MAX_CELLS` to be held against constraints.
    """
    axes = tuple((path, len(values)) for path, values in grid_axes(space).items() if not _is_set(point, path))
    if not constraints:
        return Grid(axes)
    count = Grid(axes).count
    if count > MAX_CELLS:
        raise ValueError(f"a grid of {count} cells is too large to hold each against constraints: use choice instead")
    refusals: Counter[str] = Counter()
    allowed = []
    for cell in range(count):
        broken = broken_by(constraints, known_part(space, _indexes(axes, cell), point))
        if broken is None:
            allowed.append(cell)
        else:
            refusals[str(broken)] += 1
    if not allowed:
        raise ValueError(f"no configuration is allowed: {counted(refusals)} of {count} in the grid")
    return Grid(axes, allowed)


def _indexes(axes: Sequence[tuple[str, int]], cell: int) -> dict[str, int]:
    indexes = {}
    for path, length in axes:
        cell, indexes[path] = divmod(cell, length)
    return indexes


def _is_set(point: Mapping[str, Any], path: str) -> bool:
    return _at(point, path) is not UNSET


def _at(point: Mapping[str, Any], path: str) -> Any:
    node: Any = point
    for part in path.split("/"):
        if isinstance(node, list | tuple):
            node = node[int(part)]
        elif isinstance(node, Mapping) and part in node:
            node = node[part]
        else:
            return UNSET
    return node
