"""Where a result stands when the best is named: what breaks an outcome constraint stands below all that keeps them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from searchers.outcomes import violation
from tune.machine.plan import Plan
from tune.machine.retention import merit
from tune.machine.stopping import nested

Standing = tuple[float, float]
"""How little it breaks the constraints (0: not at all, else below), then its merit by the first metric."""

NOWHERE: Standing = (-math.inf, -math.inf)
"""Of what has no finite value of the metric, and is never best."""


def standing(plan: Plan, metrics: Mapping[str, Any]) -> Standing:
    """Where reported `metrics`, nested or flat, stand: greater is better."""
    result = {name: metrics[name] if name in metrics else nested(metrics, name) for name in plan.decisive}
    value = merit(plan, result)
    return NOWHERE if value == -math.inf else (-violation(plan.outcome_constraints, result), value)
