"""A population of trials: how far each has come, how good it was at its last interval, and who is best and worst."""

from __future__ import annotations

import math
from dataclasses import dataclass

from schedulers.base import Trial


@dataclass(slots=True)
class Member:
    """A trial that is not over. Times are in units of the scheduler's ``time_attr``.

    `score` is that of its last interval, None before the first and as long as a copy has trained for none; `due_from`
    where its present interval began; `turns` counts its intervals, and `waits` says that it was told to pause and has
    not started since. `started` is which of all starts its latest was, counted from 1; 0 before its first.
    """

    trial: Trial
    number: int
    t: float = 0.0
    score: float | None = None
    due_from: float = 0.0
    turns: int = 0
    started: int = 0
    waits: bool = False

    @property
    def trial_id(self) -> str:
        return self.trial.trial_id


class Population:
    """The members, in the order they came; `total` is how many there will have been, None when that is not known."""

    def __init__(self, total: int | None) -> None:
        self.members: dict[str, Member] = {}
        self._total = total
        self._seen = 0
        self._starts = 0

    def add(self, trial: Trial) -> None:
        """A trial exists."""
        self.members[trial.trial_id] = Member(trial, self._seen)
        self._seen += 1

    def start(self, trial: Trial) -> None:
        """A member starts, for the first time or again."""
        self._starts += 1
        member = self.members[trial.trial_id]
        member.trial, member.started, member.waits = trial, self._starts, False

    def remove(self, trial: Trial) -> None:
        """A trial is over: nobody is compared with it any more."""
        self.members.pop(trial.trial_id, None)

    @property
    def to_come(self) -> int:
        """How many members do not exist yet, as far as that is known."""
        return max((self._total or 0) - self._seen, 0)

    def is_crowded(self, but: Member) -> bool:
        """Whether any other than `but` has no room to run in just now."""
        return self.to_come > 0 or any(one.waits or not one.started for one in self.members.values() if one is not but)

    def ranked(self) -> list[Member]:
        """Those that can be compared, best first: of equals the one that came first. NaN counts as no score."""
        scored = [one for one in self.members.values() if one.score is not None and math.isfinite(one.score)]
        return sorted(scored, key=lambda one: -(one.score or 0.0))

    @staticmethod
    def quantile(ranked: list[Member], fraction: float) -> int:
        """How many the best, or the worst, `fraction` of the ranked are: rounded up, at most half of them."""
        return min(math.ceil(len(ranked) * fraction), len(ranked) // 2)
