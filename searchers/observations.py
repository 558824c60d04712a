"""What a model learns from: finished trials as rows of arrays that grow, so that nothing is encoded twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy
from numpy.typing import NDArray

from searchers.encoding import Vector

Array: TypeAlias = NDArray[numpy.float64]


class History(NamedTuple):
    """Finished trials, a row for each.

    `units` is where they lie, a column for each parameter, NaN where it has none; `losses` what they came to, a column
    for each objective, small is good; `excesses` how far they are beyond the bounds that their outcomes shall keep, a
    column for each constraint, above 0 breaks it.
    """

    units: Array
    losses: Array
    excesses: Array

    @property
    def violations(self) -> Array:
        """How far each trial breaks the constraints in all: 0 when it keeps them."""
        broken: Array = numpy.maximum(self.excesses, 0).sum(axis=1)
        return broken

    def at(self, rows: Any) -> History:
        """The rows that an index of numpy's names, in its order."""
        return History(*(column[rows] for column in self))


class Observations:
    """Finished trials in the order in which they ended, and the running ones; a failed one is forgotten.

    One that ends again, after a pause or because the user let it go on, stands where it ended last. What was among the
    first k ends never changes (`first`), so what was computed from them holds.
    """

    def __init__(self, columns: int, objectives: int, constraints: int = 0) -> None:
        self._rows = History(*(numpy.empty((16, width)) for width in (columns, objectives, constraints)))
        self._successors = numpy.empty(16, dtype=numpy.int64)
        self._count = 0
        self._replaced = 0
        self._row_of: dict[str, int] = {}
        self._running: dict[str, Vector] = {}
        self._known: set[str] = set()

    def __contains__(self, trial_id: str) -> bool:
        return trial_id in self._known

    def __len__(self) -> int:
        """How often trials have ended."""
        return self._count

    def is_running(self, trial_id: str) -> bool:
        """Whether the trial has not ended since it was added last."""
        return trial_id in self._running

    def add(self, trial_id: str, units: Vector) -> None:
        """A trial runs at `units`."""
        self._known.add(trial_id)
        self._running[trial_id] = units

    def complete(self, trial_id: str, losses: Sequence[float] | None, excesses: Sequence[float] = ()) -> None:
        """A trial ended with `losses`, of which small is good, or failed with None: then it stands where it stood."""
        units, before = self._running.pop(trial_id, None), self._row_of.get(trial_id)
        if losses is None or (units is None and before is None):
            return
        if before is not None and self._stands_at(before, losses, excesses):
            return
        if before is not None:
            self._successors[before] = self._count
            self._replaced += 1
        self._append(self._rows.units[before] if units is None else units, losses, excesses)
        self._row_of[trial_id] = self._count - 1

    def first(self, count: int) -> History:
        """The finished trials as they stood when trials had ended `count` times."""
        rows = self._rows.at(slice(count))
        return rows.at(self._successors[:count] >= count) if self._replaced else rows

    @property
    def history(self) -> History:
        """The finished trials as they stand."""
        return self.first(self._count)

    @property
    def running(self) -> Array:
        """Where the trials lie that have not ended."""
        return numpy.array(list(self._running.values())).reshape(-1, self._rows.units.shape[1])

    def _stands_at(self, row: int, losses: Sequence[float], excesses: Sequence[float]) -> bool:
        rows = self._rows
        return numpy.array_equal(rows.losses[row], losses) and numpy.array_equal(rows.excesses[row], excesses)

    def _append(self, *values: Vector | Sequence[float]) -> None:
        if self._count == len(self._successors):
            self._rows = History(*(numpy.concatenate([column, numpy.empty_like(column)]) for column in self._rows))
            self._successors = numpy.concatenate([self._successors, numpy.empty_like(self._successors)])
        for column, value in zip(self._rows, values, strict=True):
            column[self._count] = value
        self._successors[self._count] = numpy.iinfo(numpy.int64).max
        self._count += 1
