"""What accumulates over a trial's results, and where that stood when a checkpoint was saved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeGuard


@dataclass(slots=True)
class Totals:
    """What accumulates over a trial's results; a checkpoint remembers them, so a restart goes on from them."""

    iteration: int = 0
    seconds: float = 0.0
    timesteps: float | None = None
    episodes: float | None = None

    def add(self, metrics: dict[str, Any], seconds: float) -> Totals:
        """The totals after one more result."""
        return Totals(
            self.iteration + 1,
            self.seconds + seconds,
            _plus(self.timesteps, metrics.get("timesteps_this_iter")),
            _plus(self.episodes, metrics.get("episodes_this_iter")),
        )


class Point(NamedTuple):
    """Where a trial stood when it saved: its totals, and how much the checkpoint is worth keeping."""

    totals: Totals
    score: float


def _plus(total: float | None, more: Any) -> float | None:
    return (total or 0) + more if more is not None and is_finite(more) else total


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether `value` is a number that can be compared and fed to a model. Hot: several times for each report."""
    if type(value) is float:
        return math.isfinite(value)
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False
