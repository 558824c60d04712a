"""A population of trials: how far each has come, how good it was at its last interval, and who is best and worst."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass
from heapq import heappop, heappush

from schedulers.base import Trial
from schedulers.ranking import Entry, Ranking


@dataclass(slots=True)
class Member:
    """A trial that is not over. Times are in units of the scheduler's ``time_attr``.

    `score` is that of its last interval, None before the first and of a copy that has trained for none yet; `due_from`
    where its present interval began; `turns` counts its intervals, and `waits` says that it was told to pause and has
    not started since. `started` is which of all starts its latest was, counted from 1; 0 before its first. `lost_at` is
    how far it had come when it last had no number and copied another for that.
    """

    trial: Trial
    number: int
    t: float = 0.0
    score: float | None = None
    due_from: float = 0.0
    turns: int = 0
    started: int = 0
    waits: bool = False
    lost_at: float = -math.inf

    @property
    def trial_id(self) -> str:
        return self.trial.trial_id

    @property
    def order(self) -> tuple[float, int, int]:
        """The least trained go first, of equals who has waited longest; new ones before all others."""
        return self.t, self.started, self.number

    @property
    def is_ranked(self) -> bool:
        """Whether it can be compared."""
        return self.score is not None and math.isfinite(self.score)


class Population:
    """The members, in the order they came; `total` is how many there will have been, None when that is not known.

    Nothing is looked for among all of them: there may be very many, of whom most are paused.
    """

    def __init__(self, total: int | None) -> None:
        self.members: dict[str, Member] = {}
        self._total = total
        self._seen = 0
        self._starts = 0
        self._ranking = Ranking()
        self._copies: set[str] = set()
        self._without_room: set[str] = set()
        self._queue: list[tuple[float, int, int, str]] = []

    def add(self, trial: Trial) -> None:
        """A trial exists."""
        self.members[trial.trial_id] = Member(trial, self._seen)
        self._without_room.add(trial.trial_id)
        self._seen += 1

    def start(self, trial: Trial) -> None:
        """A member starts, for the first time or again."""
        self._starts += 1
        member = self.members[trial.trial_id]
        member.trial, member.started = trial, self._starts
        self.wait(member, waits=False)

    def wait(self, member: Member, *, waits: bool) -> None:
        """A member that runs is told to pause, or may go on after all."""
        member.waits = waits
        if waits:
            self._without_room.add(member.trial_id)
        else:
            self._without_room.discard(member.trial_id)

    def queue(self, member: Member) -> None:
        """A member has paused, or stands elsewhere now than when it did."""
        heappush(self._queue, (*member.order, member.trial_id))

    def remove(self, trial: Trial) -> None:
        """A trial is over: nobody is compared with it any more."""
        if (member := self.members.get(trial.trial_id)) is not None:
            self.rank(member, None)
            self._copies.discard(member.trial_id)
            self._without_room.discard(member.trial_id)
            del self.members[member.trial_id]

    @property
    def to_come(self) -> int:
        """How many members do not exist yet, as far as that is known."""
        return max((self._total or 0) - self._seen, 0)

    def is_crowded(self, but: Member) -> bool:
        """Whether any other than `but` has no room to run in just now."""
        return self.to_come > 0 or len(self._without_room) > (but.trial_id in self._without_room)

    def least_trained(self, paused: Container[str]) -> Member | None:
        """Of those that have paused the first in order."""
        current, found = [], None
        while self._queue and found is None:
            entry = heappop(self._queue)
            member = self.members.get(entry[-1])
            if member is not None and member.order == entry[:-1]:  # it has not started since
                current.append(entry)
                found = member if entry[-1] in paused else None  # else it still saves, or waits for its donor to
        for entry in current:
            heappush(self._queue, entry)
        return found

    # Who is better.

    def rank(self, member: Member, score: float | None) -> int | None:
        """Compare `member` by `score` from now on: its place, see `place`; NaN counts as no score."""
        if member.is_ranked:
            self._ranking.remove(_entry(member))
        member.score = score
        self._copies.discard(member.trial_id)
        return self._ranking.add(_entry(member)) if member.is_ranked else None

    def rank_last(self, member: Member) -> None:
        """Count a copy among the worst, whom it was one of, until it is ranked by a score of its own."""
        self.rank(member, None)
        self._copies.add(member.trial_id)

    @property
    def ranked(self) -> int:
        """How many are compared, the copies behind all others."""
        return len(self._ranking) + len(self._copies)

    def place(self, member: Member) -> int | None:
        """How many are better than `member`, of equals the one that came first; None when it cannot be compared."""
        return self._ranking.before(_entry(member)) if member.is_ranked else None

    def at(self, place: int) -> Member:
        """Who is ranked there; the best is at 0."""
        return self.members[self._ranking.at(place)[-1]]

    def quantile(self, fraction: float) -> int:
        """How many the best, or the worst, `fraction` of the ranked are: rounded up, at most half of them."""
        return min(math.ceil(self.ranked * fraction), self.ranked // 2)

    def best(self, fraction: float, at_least: int = 0) -> int:
        """How many of the best `fraction` have a score of their own; `at_least` so many, if there are."""
        return min(max(self.quantile(fraction), at_least), len(self._ranking))


def _entry(member: Member) -> Entry:
    return -(member.score or 0.0), member.number, member.trial_id
