"""How good a result is when the best is named: what breaks an outcome constraint is below all that keeps them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from searchers.outcomes import violation
from tune.machine import retention
from tune.machine.plan import Plan
from tune.machine.stopping import nested

Merit = tuple[float, float]
"""How little it breaks the constraints (0: not at all, else below), then how good it is by the first metric."""

NO_MERIT: Merit = (-math.inf, -math.inf)
"""Of what has no finite value of the metric, and is never best."""


def merit_of(plan: Plan, metrics: Mapping[str, Any]) -> Merit:
    """The merit of reported `metrics`, nested or flat: greater is better."""
    result = {name: metrics[name] if name in metrics else nested(metrics, name) for name in plan.decisive}
    value = retention.merit(plan, result)
    return NO_MERIT if value == -math.inf else (-violation(plan.outcome_constraints, result), value)
