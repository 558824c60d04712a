"""PASHA: ASHA that lets trials go further only as long as their ranks still change.

Bohdal et al., "PASHA: Efficient HPO and NAS with Progressive Resource Allocation", ICLR 2023. With its symbols: r is
`grace_period`, R is `max_t`, eta is `reduction_factor`, K_t is the highest rung that trials go to for now.
"""

from __future__ import annotations

import math

from schedulers.asha import ASHAScheduler
from schedulers.base import Candidates, Decision, Pause, Trial
from schedulers.soft_ranking import Noise, SoftRanking


class _Course:
    """A trial's scores by their times, and the last rung at which it arrived, with its score there."""

    __slots__ = ("curve", "rung", "score")

    def __init__(self) -> None:
        self.curve: dict[float, float] = {}
        self.rung = -1
        self.score = -math.inf


class PASHAScheduler(ASHAScheduler):
    """Promotes as `ASHAScheduler(type="promotion")` does, but not beyond the rung K_t, which begins as the second.

    Whenever a trial arrives there, all that are there are ranked, and ranked again by the results that they had one
    rung below. While both orders are the same, up to differences that are noise, longer training would tell nothing
    new, and nobody goes on; when they differ, K_t rises by one rung, at last to R. What is noise is learned from pairs
    of trials whose curves keep crossing (`schedulers.soft_ranking`).

    So trials mostly end long before `max_t`: the run finds the best configuration, and leaves it to you to train it in
    full. Give it a `num_samples` that ends, and report often, so that there is a curve to learn from.

    Args:
        time_attr: what in a result tells how far a trial is; it only grows, and rungs are in its units.
        metric: what trials are compared by; the run's by default.
        mode: ``min`` or ``max``; the run's by default.
        max_t: R, beyond which no trial goes.
        grace_period: r, the first rung.
        reduction_factor: eta; one trial in `reduction_factor` goes on at each rung below K_t.
        stop_last_trials: whether trials end at `max_t`; otherwise they then go on to their own end.

    Raises:
        ValueError: arguments that cannot work, all of them named.
    """

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: float = 100,
        grace_period: float = 1,
        reduction_factor: float = 3,
        stop_last_trials: bool = True,
    ) -> None:
        super().__init__(
            time_attr, metric, mode, max_t, grace_period, reduction_factor, 1, stop_last_trials, type="promotion"
        )
        self._rungs = len(self._brackets[0])
        self._top = min(1, self._rungs)
        self._ranking = SoftRanking()
        self._noise = Noise()
        self._courses: dict[str, _Course] = {}

    def on_trial_add(self, trial: Trial) -> None:
        super().on_trial_add(trial)
        self._courses[trial.trial_id] = _Course()

    def _decide(self, trial_id: str, t: float, score: float | None) -> Decision:
        climber = self._climbers[trial_id]
        below = climber.highest
        decision = super()._decide(trial_id, t, score)
        if score is None:
            return decision
        course = self._courses[trial_id]
        if math.isfinite(score):
            course.curve[t] = score
        if climber.highest > below:
            self._arrive(trial_id, course, climber.highest, score)
        if self._top <= climber.highest < self._rungs and isinstance(decision, Pause):
            return Pause(f"{decision.reason}; none goes further, for ranks no longer change")
        return decision

    def choose_trial_to_run(self, trials: Candidates) -> str | None:
        for rung in self._from_the_top:
            if rung.number < self._top and (promoted := rung.promotable(trials.paused)):
                return promoted
        return next(iter(trials.waiting), None)

    def _arrive(self, trial_id: str, course: _Course, rung: int, score: float) -> None:
        """Take in a trial's score at a rung; at K_t, look whether the ranks are those of the rung below."""
        before, below = course.rung, course.score
        course.rung, course.score = rung, score
        if rung != self._top or before != rung - 1:
            return
        self._noise.add(course.curve)
        self._ranking.add(trial_id, score, below)
        if not self._ranking.is_stable(self._noise.epsilon):
            self._top += 1
            self._ranking = SoftRanking()
            self._noise.next_rung()

    def _forget(self, trial: Trial) -> None:
        super()._forget(trial)
        self._courses.pop(trial.trial_id, None)
