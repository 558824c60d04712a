"""How the running means of trials stood at marks of time, so that any trial can be held against the others' median."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass

_STEPS = 32
"""Marks to each doubling of time, 1.6 to 3% apart: among them every whole number up to 64."""

_MOST = 500
"""How many trials a mark remembers, the latest: more would cost more, and these tell the median's place to about 2%."""


class Mark:
    """The running means that trials had when they came to one mark of time."""

    def __init__(self) -> None:
        self._means: dict[str, float] = {}
        self._sorted: list[float] = []

    def add(self, trial_id: str, mean: float) -> None:
        """A trial came here with this mean, for the first time."""
        self._means[trial_id] = mean
        insort(self._sorted, mean)
        if len(self._means) > _MOST:
            oldest = self._means.pop(next(iter(self._means)))
            del self._sorted[bisect_left(self._sorted, oldest)]

    def others(self, trial_id: str) -> int:
        """How many trials but this one came here."""
        return len(self._sorted) - (trial_id in self._means)

    def median(self, trial_id: str) -> float:
        """The median of the others' means, at least one; of an even number, halfway between the middle two."""
        own = self._means.get(trial_id)
        skipped = len(self._sorted) if own is None else bisect_left(self._sorted, own)
        others = self.others(trial_id)
        lower, upper = (self._sorted[at + (at >= skipped)] for at in ((others - 1) // 2, others // 2))
        return lower / 2 + upper / 2


@dataclass(slots=True)
class _Course:
    """One trial's results so far: when the last came, and what its running mean is made of."""

    time: float
    total: float = 0.0
    count: int = 0

    @property
    def mean(self) -> float:
        """The mean of the finite results; a trial that has none is worse than every other."""
        return self.total / self.count if self.count else -math.inf


class RunningMeans:
    """The running means of all trials, by marks of time; scores are larger when better, times are not negative.

    The mean of what was reported up to a mark is its trial's mean there. A trial whose time more than doubles from one
    result to the next is not counted at the marks that it leapt over first; one whose times are whole numbers is not at
    marks that are none.
    """

    def __init__(self) -> None:
        self._marks: dict[float, Mark] = {}
        self._courses: dict[str, _Course] = {}

    def take(self, trial_id: str, t: float, score: float) -> None:
        """A trial reported `score` at time `t`, not earlier than its result before."""
        course = self._courses.setdefault(trial_id, _Course(-math.inf))
        if course.time >= 0:
            whole = t == t // 1 and course.time == course.time // 1
            for mark in marks_between(max(course.time, t / 2), t, least_step=1 if whole else 0):
                self._at(mark).add(trial_id, course.mean)
        arrives = t == mark_of(t) and t > course.time
        course.time = t
        if math.isfinite(score):
            course.total += score
            course.count += 1
        if arrives:
            self._at(t).add(trial_id, course.mean)

    def at(self, t: float) -> Mark:
        """The last mark that is not after `t`."""
        return self._at(mark_of(t))

    def forget(self, trial_id: str) -> None:
        """The trial reports no more; it still counts where it came."""
        self._courses.pop(trial_id, None)

    def _at(self, mark: float) -> Mark:
        if mark not in self._marks:
            self._marks[mark] = Mark()
        return self._marks[mark]


def mark_of(t: float) -> float:
    """The last mark that is not after `t`: `t` with its first six binary digits."""
    return t - t % _step(t)


def marks_between(after: float, before: float, *, least_step: float = 0) -> Iterator[float]:
    """The marks that lie between two times, without the ends; only multiples of `least_step`, a power of two."""
    mark = mark_of(after)
    mark -= mark % least_step if least_step else 0
    while (mark := mark + max(_step(mark), least_step)) < before:
        yield mark


def _step(t: float) -> float:
    """How far the marks around `t` lie apart: a power of two."""
    return math.ldexp(1.0, math.frexp(t)[1] - _STEPS.bit_length())
