"""What a scheduler compares trials by: one metric, turned so that larger is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from schedulers.base import ScheduleContext

MODES = ("min", "max")


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric, and whether it is to be small (`mode` ``min``) or large (``max``)."""

    metric: str
    mode: str

    def score(self, result: Mapping[str, Any]) -> float | None:
        """How good `result` is, larger is better; None when it does not hold the metric as a number.

        NaN is worse than every number: a diverged trial must not look like a good one, nor like no trial at all.
        """
        value = number(result.get(self.metric))
        if value is None:
            return None
        if math.isnan(value):
            return -math.inf
        return self.shown(value)

    def shown(self, score: float) -> float:
        """The metric's value that a score stands for, as people know it; and the other way round."""
        return score if self.mode == "max" else -score


def number(value: object) -> float | None:
    """`value` as a float, when it is a number of any kind, numpy's included."""
    if type(value) is float:  # nearly always; to ask the abstract class takes a quarter of a whole decision
        return value
    return float(value) if isinstance(value, Real) else None


def agree(scheduler: str, metric: str | None, mode: str | None, context: ScheduleContext) -> Objective:
    """The objective of a scheduler that was given `metric` and `mode` (or None), within the run of `context`.

    Raises:
        ValueError: one of them is given nowhere, or twice and differently; all that is wrong is said at once.
    """
    mistakes = [
        *_disagreement("metric", metric, context.metric),
        *_disagreement("mode", mode, context.mode),
    ]
    metric, mode = metric or context.metric, mode or context.mode
    if mode and mode not in MODES:
        mistakes.append(f"mode is {mode!r}: use 'min' or 'max'")
    if mistakes or metric is None or mode is None:
        raise ValueError(f"{scheduler}: {'; '.join(mistakes)}")
    return Objective(metric, mode)


def _disagreement(name: str, own: str | None, runs: str | None) -> list[str]:
    if not own and not runs:
        return [f"it compares trials and has no {name}: give {name}=... to tune.run, or to the scheduler"]
    if own and runs and own != runs:
        return [f"its {name} is {own!r}, the run's is {runs!r}: give {name} once, to tune.run"]
    return []
