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

    The first k rows never change, so what was computed from them holds.
    """

    def __init__(self, columns: int, objectives: int) -> None:
        self._units = numpy.empty((16, columns))
        self._losses = numpy.empty((16, objectives))
        self._count = 0
        self._running: dict[str, Vector] = {}
        self._known: set[str] = set()

    def __contains__(self, trial_id: str) -> bool:
        return trial_id in self._known

    def __len__(self) -> int:
        """How many trials have finished."""
        return self._count

    def add(self, trial_id: str, units: Vector) -> None:
        """A trial runs at `units`."""
        self._known.add(trial_id)
        self._running[trial_id] = units

    def complete(self, trial_id: str, losses: Sequence[float] | None) -> None:
        """A trial ended with `losses`, of which small is good, or failed with None. Only the first end counts."""
        units = self._running.pop(trial_id, None)
        if units is None or losses is None:
            return
        if self._count == len(self._losses):
            self._units = numpy.concatenate([self._units, numpy.empty_like(self._units)])
            self._losses = numpy.concatenate([self._losses, numpy.empty_like(self._losses)])
        self._units[self._count], self._losses[self._count] = units, losses
        self._count += 1

    @property
    def units(self) -> Array:
        """Where the finished trials lie: a row for each, a column for each parameter, NaN where it has none."""
        return self._units[: self._count]

    @property
    def losses(self) -> Array:
        """What the finished trials came to: a column for each objective, small is good."""
        return self._losses[: self._count]

    @property
    def running(self) -> Array:
        """Where the trials lie that have not ended."""
        return numpy.array(list(self._running.values())).reshape(-1, self._units.shape[1])
