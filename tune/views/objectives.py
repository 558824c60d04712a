"""What an experiment's trials are compared by: several metrics at once, and constraints on what they report. Pure.

Of several metrics no trial need be best. The Pareto front is those that no other is better than in one metric without
being worse in another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from searchers.outcomes import OutcomeConstraint, read_constraints, violation
from tune.views import ranking

Merits = tuple[float, ...]
"""A trial's values, turned so that more is better in each."""


@dataclass(frozen=True, slots=True)
class Objectives:
    """The metrics with their modes, and the constraints on outcomes."""

    modes: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[OutcomeConstraint, ...] = ()

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Objectives:
        """Those that an experiment's facts name."""
        modes = dict(zip(facts.get("metrics", []), facts.get("modes", []), strict=False))
        return cls(modes, read_constraints(facts.get("outcome_constraints", [])))

    def merits(self, result: Mapping[str, Any]) -> Merits | None:
        """The values in `result`, more is better; None unless each is a finite number."""
        found = [(ranking.metric_of(result, name), mode) for name, mode in self.modes.items()]
        if any(value is None or not math.isfinite(value) for value, _ in found):
            return None
        return tuple(ranking.ascending(value, mode) for value, mode in found)

    def violation(self, result: Mapping[str, Any]) -> float:
        """How far `result` breaks the constraints: 0 when it keeps all of them."""
        return violation(self.constraints, self._constrained(result)) if self.constraints else 0.0

    def broken(self, result: Mapping[str, Any]) -> list[str]:
        """The constraints that `result` breaks, or that it says nothing about."""
        known = self._constrained(result)
        return [str(one) for one in self.constraints if (excess := one.excess(known)) is None or excess > 0]

    def front(self, results: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """The trials on the Pareto front of those that keep all constraints, in their own order."""
        known = {name: merits for name, result in results.items() if (merits := self.merits(result)) is not None}
        kept = {name: merits for name, merits in known.items() if not self.violation(results[name])}
        best = undominated(set(kept.values()))
        return [name for name, merits in kept.items() if merits in best]

    def _constrained(self, result: Mapping[str, Any]) -> dict[str, Any]:
        return {one.metric: ranking.metric_of(result, one.metric) for one in self.constraints}


def undominated(points: set[Merits]) -> set[Merits]:
    """The points that no other is at least as good as in everything.

    What is better by the order of tuples is never dominated by what is worse: each needs to be compared only with the
    front so far, of two objectives only with its last point.
    """
    front: list[Merits] = []
    for point in sorted(points, reverse=True):
        rivals: Sequence[Merits] = front[-1:] if len(point) <= 2 else front
        if not any(all(theirs >= ours for theirs, ours in zip(rival, point, strict=True)) for rival in rivals):
            front.append(point)
    return set(front)
