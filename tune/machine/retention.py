"""Which of a trial's checkpoints may go. Pure: takes a trial, returns what to delete."""

from __future__ import annotations

import math
from typing import Any

from tune.machine.events import CheckpointRef
from tune.machine.plan import Plan
from tune.machine.totals import is_finite
from tune.machine.trial import Trial


def merit(plan: Plan, result: dict[str, Any]) -> float:
    """How good `result` is by the run's first metric, more is better; minus infinity when it is no finite number."""
    return _ascending(result.get(plan.metrics[0]), plan.modes[0]) if plan.metrics else -math.inf


def score(plan: Plan, result: dict[str, Any]) -> float:
    """How much the checkpoint of `result` is worth keeping: by the attribute asked for, else by the run's metric."""
    name = plan.retention.score_attribute
    return _ascending(result.get(name), plan.retention.score_order) if name else merit(plan, result)


def _ascending(value: Any, order: str) -> float:
    if not is_finite(value):
        return -math.inf
    return -value if order == "min" else value


def superfluous(plan: Plan, trial: Trial) -> list[CheckpointRef]:
    """The checkpoints of `trial` that need not be kept: all but its latest and the best of the others."""
    keep = plan.retention.num_to_keep
    if keep is None or len(trial.checkpoints) <= keep:
        return []
    others = trial.checkpoints[:-1]
    ranked = sorted(range(len(others)), key=lambda at: (trial.points[others[at].path].score, at))
    return [others[at] for at in ranked[: len(trial.checkpoints) - max(keep, 1)]]
