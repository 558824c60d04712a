"""What a model learns from: finished trials as rows of arrays that grow, so that nothing is encoded twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy
from numpy.typing import NDArray

from searchers.encoding import Vector

Array: TypeAlias = NDArray[numpy.float64]


class Observations:
    """Finished trials in the order in which they ended, and the running ones; a failed one is forgotten.

    One that ends again, after a pause or because the user let it go on, stands where it ended last. What was among the
    first k ends never changes (`first`), so what was computed from them holds.
    """

    def __init__(self, columns: int, objectives: int) -> None:
        self._units = numpy.empty((16, columns))
        self._losses = numpy.empty((16, objectives))
        self._successors = numpy.empty(16, dtype=numpy.int64)
        self._count = 0
        self._replaced = 0
        self._rows: dict[str, int] = {}
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

    def complete(self, trial_id: str, losses: Sequence[float] | None) -> None:
        """A trial ended with `losses`, of which small is good, or failed with None: then it stands where it stood."""
        units, before = self._running.pop(trial_id, None), self._rows.get(trial_id)
        if losses is None or (units is None and before is None):
            return
        if before is not None and numpy.array_equal(self._losses[before], losses):
            return
        if before is not None:
            self._successors[before] = self._count
            self._replaced += 1
        self._append(self._units[before] if units is None else units, losses)
        self._rows[trial_id] = self._count - 1

    def _append(self, units: Vector, losses: Sequence[float]) -> None:
        if self._count == len(self._losses):
            self._units = numpy.concatenate([self._units, numpy.empty_like(self._units)])
            self._losses = numpy.concatenate([self._losses, numpy.empty_like(self._losses)])
            self._successors = numpy.concatenate([self._successors, numpy.empty_like(self._successors)])
        self._units[self._count], self._losses[self._count] = units, losses
        self._successors[self._count] = numpy.iinfo(numpy.int64).max
        self._count += 1

    def first(self, count: int) -> tuple[Array, Array]:
        """Where the finished trials lay, and what they came to, when trials had ended `count` times."""
        units, losses = self._units[:count], self._losses[:count]
        if not self._replaced:
            return units, losses
        stands = self._successors[:count] >= count
        return units[stands], losses[stands]

    @property
    def units(self) -> Array:
        """Where the finished trials lie: a row for each, a column for each parameter, NaN where it has none."""
        return self.first(self._count)[0]

    @property
    def losses(self) -> Array:
        """What the finished trials came to: a column for each objective, small is good."""
        return self.first(self._count)[1]

    @property
    def running(self) -> Array:
        """Where the trials lie that have not ended."""
        return numpy.array(list(self._running.values())).reshape(-1, self._units.shape[1])
