"""The columns of an encoded space as a model sees them: continua, values in their cells, and what exists when."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy
from numpy.typing import NDArray

from searchers.domain import Float, Integer
from searchers.encoding import Column
from searchers.observations import Array

Indices = NDArray[numpy.intp]

_MOST_RUNGS = 64
"""Domains of more values than this are treated as a continuum: a cell is then narrower than any kernel."""


@dataclass(frozen=True)
class Axes:
    """The columns as the kernels see them: which are a continuum, and where the values of the others lie."""

    columns: tuple[Column, ...]

    @cached_property
    def places(self) -> dict[str, int]:
        """The columns by the names of their parameters."""
        return {column.name: place for place, column in enumerate(self.columns)}

    @cached_property
    def smooth(self) -> list[int]:
        """The columns with Gaussians."""
        return [place for place in range(len(self.columns)) if place not in self.rungs]

    @cached_property
    def rungs(self) -> dict[int, Array]:
        """Where the values lie, for each column with few of them."""
        return {
            place: numpy.array([unit_of_rung(column, rung) for rung in range(column.size)])
            for place, column in enumerate(self.columns)
            if column.size is not None and (column.kind == "unordered" or column.size <= _MOST_RUNGS)
        }

    @cached_property
    def edges(self) -> dict[int, Array]:
        """Where the cells of these values meet."""
        return {place: (rungs[1:] + rungs[:-1]) / 2 for place, rungs in self.rungs.items()}

    def rung_of(self, place: int, units: Array) -> Indices:
        """Which value each of `units` is, counted from 0; -1 for NaN."""
        return numpy.where(numpy.isnan(units), -1, numpy.searchsorted(self.edges[place], units))

    def snap(self, points: Array) -> Array:
        """`points` moved to the values that there are, in finite domains."""
        snapped = points.copy()
        for place, rungs in self.rungs.items():
            snapped[:, place] = rungs[self.rung_of(place, points[:, place])]
        return snapped

    def without_inactive(self, points: Array) -> Array:
        """`points` with NaN for the parameters whose option is not chosen."""
        kept = points.copy()
        for place, column in enumerate(self.columns):  # a choice stands before what its options hold
            if column.condition is not None:
                parent = self.places[column.condition.name]
                kept[self.rung_of(parent, kept[:, parent]) != column.condition.option, place] = numpy.nan
        return kept


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
