"""The values of finite domains as cells of the unit cube, and the configurations of a finite space by their number."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy

from searchers.choices import Choice, SampleFrom
from searchers.domain import Float, Integer
from searchers.encoding import Column, Vector


def unit_of_rung(column: Column, rung: int) -> float:
    """Where the value lies that is number `rung` of a finite domain, counted from 0."""
    assert column.size is not None
    match column.domain:
        case Float(q=q) as domain if q is not None:
            return domain.to_unit(domain.cast((round(domain.low / q) + rung) * q))
        case Integer() as domain:
            return domain.to_unit((domain.first + rung) * domain.q)
        case _:
            return (rung + 0.5) / column.size


class Cells:
    """The configurations of `space`, whose columns are `columns`, counted and numbered."""

    def __init__(self, space: Mapping[str, Any], columns: Sequence[Column]) -> None:
        self._columns = columns
        self._is_computed = _is_computed(space)

    @cached_property
    def size(self) -> int | None:
        """How many different configurations there are; None when they cannot be counted.

        That is so when a parameter is a continuum, or a function: what it makes of one configuration may differ.
        """
        return None if self._is_computed else self._count(None)

    def at(self, number: int) -> Vector:
        """The configuration of a finite space by its number, counted from 0."""
        units = numpy.full(len(self._columns), numpy.nan)
        self._place(number, None, units)
        return units

    def _children(self, branch: tuple[str, int] | None) -> list[int]:
        """The columns that exist under one option of a choice; under None, those that always do."""
        branches = [column.condition and (column.condition.name, column.condition.option) for column in self._columns]
        return [place for place, other in enumerate(branches) if other == branch]

    def _count(self, branch: tuple[str, int] | None) -> int | None:
        counts = [_sum(self._counts(place)) for place in self._children(branch)]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def _counts(self, place: int) -> list[int | None]:
        """How many configurations there are below each option of a choice; for a number, how many values."""
        column = self._columns[place]
        if isinstance(column.domain, Choice):
            return [self._count((column.name, option)) for option in range(len(column.domain.options))]
        return [column.size]

    def _place(self, number: int, branch: tuple[str, int] | None, units: Vector) -> None:
        for place in self._children(branch):
            column, counts = self._columns[place], self._counts(place)
            total = _sum(counts)
            assert total is not None
            number, rung = divmod(number, total)
            if isinstance(column.domain, Choice):
                ends = list(accumulate(count or 0 for count in counts))
                option = bisect_right(ends, rung)
                self._place(rung - (ends[option - 1] if option else 0), (column.name, option), units)
                rung = option
            units[place] = unit_of_rung(column, rung)


def _sum(counts: Sequence[int | None]) -> int | None:
    return None if None in counts else sum(count for count in counts if count is not None)


def _is_computed(node: Any) -> bool:
    """Whether a `sample_from` function is anywhere in `node`."""
    if isinstance(node, Choice):
        return any(map(_is_computed, node.options))
    if isinstance(node, Mapping):
        return any(map(_is_computed, node.values()))
    return isinstance(node, SampleFrom) or (isinstance(node, list | tuple) and any(map(_is_computed, node)))
