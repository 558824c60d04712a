"""Trials that climb from rung to rung: what is known of a rung, of who stands on it, and what going on promises.

What trials gain from one rung to the next is learnt in `schedulers.gains`; `schedulers.auto` decides by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from schedulers.gains import Gains, Outlook
from schedulers.ranking import Ranking

GROWTH = 1.1
"""How much more must be known for another look at it."""

_REFIT = 1.02


class Climber:
    """One trial: its best values at certain epochs, and at the rungs it has reached, the highest being `rung`."""

    __slots__ = ("best", "free_until", "held", "judged", "marks", "rung", "slopes", "stamp", "t", "trial_id", "values")

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id
        self.t = 0.0
        self.best = -math.inf
        self.marks: list[float] = []
        self.rung = -1
        self.values: list[float] = []
        self.slopes: list[float] = []
        self.held = False
        self.stamp = 0
        self.free_until = 0
        self.judged = True

    def forget_rungs(self) -> None:
        self.rung, self.values, self.slopes = -1, [], []


class Prospect(NamedTuple):
    """What going on promises a trial.

    `worth` is the chance of taking the lead, divided by the share of all spent so far that it costs to have it, and
    `chance` is that chance, both at the rung where the first is greatest; `value` is what is expected at the last rung.
    """

    worth: float
    chance: float
    value: float


class Stage:
    """What was reached at `at`, what the steps from there to the next rung gained, and who waits here."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.ranking = Ranking()
        self.finite = 0
        self.gains = Gains()
        self.queue: list[tuple[float, str, int]] = []
        self.promoted = 0
        self.passed = 0.5
        self.head_known_by: tuple[str, int, float] | None = None
        self.head_worth = 0.0  # for each unit that was spent, as long as it is known by the same
        self.keyed_at = 0
        self._measured_at = self._fitted_at = 0
        self._middle, self._spread = 0.0, 1e-9

    def record(self, trial_id: str, value: float) -> bool:
        """A trial came here with `value`; whether anything was learnt anew."""
        self.ranking.add((-value, len(self.ranking), trial_id))
        self.finite += math.isfinite(value)
        anew = self.finite > GROWTH * self._measured_at
        if anew:
            self._measured_at = self.finite
            middle = self.finite // 2 if self.finite > 2 else self.finite - 1
            best, self._middle = -self.ranking.at(0)[0], -self.ranking.at(middle)[0]
            # Two thirds of how far the best is from the middle: roughly a standard deviation of the better half.
            self._spread = max((best - self._middle) / 1.5, 1e-9)
            self.gains.fit(self._spread)
        return anew

    def learn(self, value: float, slope: float, later: float, later_slope: float) -> bool:
        """A trial went on from here to the next rung; whether anything was learnt anew."""
        self.gains.add(value, slope, later, later_slope)
        anew = self.gains.steps > _REFIT * self._fitted_at
        if anew:
            self._fitted_at = self.gains.steps
            self.gains.fit(self._spread)
        return anew

    def is_far_below(self, value: float) -> bool:
        """Whether `value` is that of a trial that failed to learn: what it gains says nothing of the others."""
        return self.finite >= 5 and value < self._middle - 4.5 * self._spread


def prospect_of(climber: Climber, stages: Sequence[Stage], lead: float, spent: float) -> Prospect:
    """What going on promises a trial where the best value is `lead` and so much was `spent` so far.

    Who fails on the way costs no more: further steps count as often as they are taken.
    """
    value = climber.values[climber.rung]
    if value == -math.inf:
        return Prospect(0.0, 0.0, value)
    outlook = Outlook(value, 0.0, climber.slopes[climber.rung])
    cost, share, now, worth, best = 0.0, 1.0, climber.t, 0.0, 0.0
    for stage, following in pairwise(stages[climber.rung :]):
        outlook = stage.gains.ahead(outlook)
        cost += share * (following.at - now)
        chance = outlook.chance_to_exceed(lead)
        if chance > worth * cost:
            worth, best = chance / cost, chance
        now, share = following.at, share * following.passed
    return Prospect(worth * spent, best, outlook.value)
