"""The median stopping rule: a trial ends when even its best result is worse than the median of the others' means.

Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017, section 3.2.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schedulers.base import NEVER, Candidates, Continue, Decision, Pause, ScheduleContext, Stop, Trial, TrialScheduler
from schedulers.checks import not_finite, not_whole, refuse, unknown_mode
from schedulers.means import RunningMeans
from schedulers.objective import Objective, agree, number


@dataclass(slots=True)
class _Runner:
    """A trial: its best result and latest time, when it paused last, and what it waits for."""

    best: float = -math.inf
    time: float = 0.0
    began: float = 0.0
    waits: str = ""
    judged: bool = True


class MedianStoppingRule(TrialScheduler):
    """Stops a trial whose best result so far is worse than the median of the other trials' means up to that time.

    A mean is of a trial's results from `grace_period` on. Trials that have ended or were stopped are compared with as
    far as they came. NaN counts in no mean, and a trial of nothing else has the worst. The others' means are those at
    the last mark of time (`schedulers.means`), which are whole numbers up to 64 and otherwise 1.6 to 3% apart, and of
    the 500 trials that came there last, so a decision costs the same however many there were.

    Args:
        time_attr: what in a result tells how far a trial is; it only grows, from zero or more.
        metric: what trials are compared by; the run's by default.
        mode: ``min`` or ``max``; the run's by default.
        grace_period: results before this time are not looked at, and nobody stops.
        min_samples_required: how many others must have come as far before a trial is judged.
        min_time_slice: a trial that ran this long and cannot be judged yet pauses, so that others come as far; it goes
            on when there are enough, or when no other can come. At 0 it never does: others start as room gets free.
        hard_stop: whether trials that are worse stop. With False they pause, and go on to their own end, without being
            judged again, when nothing else is left to start.

    Raises:
        ValueError: arguments that cannot work, all of them named.
    """

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        grace_period: float = 60.0,
        min_samples_required: int = 3,
        min_time_slice: float = 0,
        hard_stop: bool = True,
    ) -> None:
        mistakes = _mistakes({"grace_period": grace_period, "min_time_slice": min_time_slice})
        mistakes += not_whole({"min_samples_required": (min_samples_required, 1)})
        refuse("MedianStoppingRule", [*mistakes, *unknown_mode(mode)])
        self.time_attr = time_attr
        self.metric = metric
        self.mode = mode
        self._grace_period = grace_period
        self._min_samples = min_samples_required
        self._min_time_slice = min_time_slice
        self._hard_stop = hard_stop
        self._means = RunningMeans()
        self._runners: dict[str, _Runner] = {}
        self._gave_way: dict[str, None] = {}

    def bind(self, context: ScheduleContext) -> None:
        super().bind(context)
        self._objective: Objective = agree("MedianStoppingRule", self.metric, self.mode, context)
        self.metric, self.mode = self._objective.metric, self._objective.mode

    def on_trial_add(self, trial: Trial) -> None:
        self._runners[trial.trial_id] = _Runner()

    def on_trial_start(self, trial: Trial) -> None:
        runner = self._runners[trial.trial_id]
        if runner.waits:  # an attempt that starts because the one before it died goes on with its slice
            runner.began, runner.waits = runner.time, ""
        self._gave_way.pop(trial.trial_id, None)

    def on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> Decision:
        t, score = number(result.get(self.time_attr)), self._objective.score(result)
        runner = self._runners[trial.trial_id]
        if t is None or score is None or not max(self._grace_period, runner.time) <= t < math.inf:
            return Continue()
        self._means.take(trial.trial_id, t, score)
        runner.time, runner.best = t, max(runner.best, score)
        if runner.waits:  # a trial that was told to pause and reports once more is told again
            return Pause(runner.waits)
        return self._judge(trial.trial_id, runner) if runner.judged else Continue()

    def free_until(self, trial: Trial, iteration: int) -> int:
        """Nobody is judged before the grace period; known ahead only when time is counted in iterations."""
        runner = self._runners[trial.trial_id]
        if runner.waits:
            return 0
        if not runner.judged:
            return NEVER
        return math.ceil(self._grace_period) if self.time_attr == "training_iteration" else 0

    def on_trial_complete(self, trial: Trial, result: Mapping[str, Any] | None) -> None:
        self._forget(trial.trial_id)

    def on_trial_error(self, trial: Trial) -> None:
        self._forget(trial.trial_id)

    def choose_trial_to_run(self, trials: Candidates) -> str | None:
        """Who begins or tries again, then who can be judged now, then new trials, then all that are paused."""
        for trial_id in trials.waiting:
            return trial_id
        for trial_id in self._gave_way:
            if trial_id in trials.paused and (self._can_be_judged(trial_id) or not trials.search_open):
                return trial_id
        return None if trials.search_open else next(iter(trials.paused), None)

    def _judge(self, trial_id: str, runner: _Runner) -> Decision:
        if not self._can_be_judged(trial_id):
            return self._give_way(trial_id, runner)
        mark = self._means.at(runner.time)
        median = mark.median(trial_id)
        if runner.best >= median:
            return Continue()
        best, middle = self._objective.shown(runner.best), self._objective.shown(median)
        reason = (
            f"its best {self.metric}, {best:.4g}, is worse than {middle:.4g}, the median of the means of"
            f" {mark.others(trial_id)} others at {self.time_attr} {runner.time:.4g}"
        )
        if self._hard_stop:
            return Stop(reason)
        runner.judged, runner.waits = False, reason
        return Pause(reason)

    def _give_way(self, trial_id: str, runner: _Runner) -> Decision:
        if not 0 < self._min_time_slice <= runner.time - runner.began:
            return Continue()
        self._gave_way[trial_id] = None
        others = self._means.at(runner.time).others(trial_id)
        runner.waits = (
            f"waits at {self.time_attr} {runner.time:.4g} for others to come as far:"
            f" {others} of the {self._min_samples} that it takes to judge it"
        )
        return Pause(runner.waits)

    def _can_be_judged(self, trial_id: str) -> bool:
        return self._means.at(self._runners[trial_id].time).others(trial_id) >= self._min_samples

    def _forget(self, trial_id: str) -> None:
        self._means.forget(trial_id)
        self._runners.pop(trial_id, None)
        self._gave_way.pop(trial_id, None)


def _mistakes(times: Mapping[str, float]) -> list[str]:
    if mistakes := not_finite(times):
        return mistakes
    return [f"{name} is {value}: it must not be negative" for name, value in times.items() if value < 0]
