"""HyperBand: brackets of synchronous successive halving, from many short trials to a few long ones.

Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 18 (2018), Algorithm 1. With
its symbols: R is `max_t`, eta is `reduction_factor`, s is the bracket, of s + 1 rungs; rung i lies at
r_i = R * eta^(i-s) and takes n_i = n * eta^-i trials, rounded down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import cycle
from typing import Any

from schedulers.base import (
    NEVER,
    Candidates,
    Continue,
    Decision,
    Decisions,
    Pause,
    ScheduleContext,
    Stop,
    Trial,
    TrialScheduler,
)
from schedulers.bracket import Bracket
from schedulers.checks import not_finite, refuse, unknown_mode
from schedulers.objective import Objective, agree, number
from schedulers.ranking import ordinal


class HyperBandScheduler(TrialScheduler):
    """Lets the trials of a rung wait for each other, then sends the best 1/eta of them on and ends the others.

    Brackets are filled one after the other, the one with the most and shortest trials first (s = s_max, ..., 0), and
    begun anew after the last. A trial pauses at its milestone until its rung is complete; free room goes to the trials
    that were sent on, then to new ones, so that several brackets may run at a time.

    A rung is complete when its bracket is full, or no new trial can be had, and every trial of it that still lives has
    come. Trials that fail or end leave their bracket, and their places to others: of a rung go on as many as the paper
    says, or all that are left. A bracket need not be full when the search ends: then the best 1/eta, rounded down, of
    those it has go on, at least one. So nothing waits for ever, whatever ends when.

    Paused trials need checkpoints, or they start again from zero. A result without `metric` or `time_attr` changes
    nothing; NaN is worse than every number. Milestones are not rounded: with R = 100 and eta = 3 the first is 1.23, and
    the first result at or after it counts.

    Args:
        time_attr: what in a result tells how far a trial is; it only grows, and milestones are in its units.
        metric: what trials are compared by; the run's by default.
        mode: ``min`` or ``max``; the run's by default.
        max_t: R, where trials end.
        reduction_factor: eta; one trial in `reduction_factor` goes on at each rung.
        stop_last_trials: whether trials end at `max_t`; otherwise they then go on to their own end.

    Raises:
        ValueError: arguments that cannot work, all of them named.
    """

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: float = 81,
        reduction_factor: float = 3,
        stop_last_trials: bool = True,
    ) -> None:
        refuse(type(self).__name__, [*_mistakes(max_t, reduction_factor), *unknown_mode(mode)])
        self.time_attr = time_attr
        self.metric = metric
        self.mode = mode
        self._max_t = max_t
        self._eta = reduction_factor
        self._stop_last_trials = stop_last_trials
        self._s_max = _most_halvings(max_t, reduction_factor)
        self._order = cycle(range(self._s_max, -1, -1))
        self._filling: Bracket | None = None
        self._brackets: dict[str, Bracket] = {}
        self._promoted: dict[str, None] = {}
        self._losers: dict[str, Stop] = {}

    def size(self, s: int) -> int:
        """n, how many trials bracket `s` begins with."""
        return math.ceil((self._s_max + 1) * self._eta**s / (s + 1))

    def bind(self, context: ScheduleContext) -> None:
        super().bind(context)
        self._objective: Objective = agree(type(self).__name__, self.metric, self.mode, context)
        self.metric, self.mode = self._objective.metric, self._objective.mode

    def on_trial_add(self, trial: Trial) -> None:
        if self._filling is None or not self._filling.open:
            self._filling = self._bracket(next(self._order))
        self._filling.join(trial.trial_id)
        self._brackets[trial.trial_id] = self._filling

    def on_trial_start(self, trial: Trial) -> None:
        """A trial that waits in an open bracket is only started when nobody else can come: so the bracket closes."""
        bracket = self._brackets.get(trial.trial_id)
        if bracket is not None and bracket.open and bracket.waits(trial.trial_id):
            bracket.close()
            self._halve(bracket)
        self._promoted.pop(trial.trial_id, None)

    def on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> Decision | Decisions:
        decision = self._decide(trial.trial_id, result)
        losers = self._take_losers()
        return {**losers, trial.trial_id: losers.get(trial.trial_id, decision)} if losers else decision

    def free_until(self, trial: Trial, iteration: int) -> int:
        """Below its milestone a trial is not judged; known ahead only when time is counted in iterations."""
        bracket = self._brackets.get(trial.trial_id)
        if self.time_attr != "training_iteration" or (bracket is not None and bracket.waits(trial.trial_id)):
            return 0
        last = self._max_t if self._stop_last_trials else NEVER
        return math.ceil(min(last, bracket.milestone if bracket is not None and bracket.halves else NEVER))

    def on_trial_complete(self, trial: Trial, result: Mapping[str, Any] | None) -> Decisions:
        self._forget(trial.trial_id)
        return self._take_losers()

    def on_trial_error(self, trial: Trial) -> Decisions:
        self._forget(trial.trial_id)
        return self._take_losers()

    def choose_trial_to_run(self, trials: Candidates) -> str | None:
        """A trial that begins or tries again, one that was sent on, and only then a new one."""
        for trial_id in trials.waiting:
            return trial_id
        for trial_id in self._promoted:
            if trial_id in trials.paused:
                return trial_id
        halving = None if trials.search_open or self._filling is None else self._filling.if_closed()
        going_on = halving.order[: halving.kept] if halving else ()
        return next((trial_id for trial_id in going_on if trial_id in trials.paused), None)

    def _decide(self, trial_id: str, result: Mapping[str, Any]) -> Decision:
        """About the trial that reported; others that lost are noted."""
        t, score, bracket = number(result.get(self.time_attr)), self._objective.score(result), self._brackets[trial_id]
        if t is None:
            return Continue()
        if t >= self._max_t:
            self._leave(trial_id, bracket)
            if self._stop_last_trials:
                return Stop(f"reached max_t ({self.time_attr} {self._max_t:.10g})", complete=True)
        if score is not None and bracket.climbs(trial_id) and bracket.halves and t >= bracket.milestone:
            bracket.arrive(trial_id, score)
            self._halve_if_complete(bracket)
            self._promoted.pop(trial_id, None)  # it runs already
        if bracket.waits(trial_id):  # a trial that was told to pause and reports once more is told again
            return Pause(f"waits at {self._named(bracket)}: {bracket.count()}")
        return Continue()

    def _take_losers(self) -> dict[str, Decision]:
        losers, self._losers = self._losers, {}
        return {**losers}

    def _halve_if_complete(self, bracket: Bracket) -> None:
        if bracket.complete and bracket.halves:
            self._halve(bracket)

    def _halve(self, bracket: Bracket) -> None:
        where = self._named(bracket)
        halving = bracket.halve()
        of, needed = len(halving.order), ordinal(halving.kept)
        for place, trial_id in enumerate(halving.order, 1):
            if place <= halving.kept:
                self._promoted[trial_id] = None
            else:
                self._losers[trial_id] = Stop(f"{ordinal(place)} of {of} at {where}, needed {needed}")

    def _forget(self, trial_id: str) -> None:
        self._promoted.pop(trial_id, None)
        self._losers.pop(trial_id, None)
        if bracket := self._brackets.pop(trial_id, None):
            self._leave(trial_id, bracket)

    def _leave(self, trial_id: str, bracket: Bracket) -> None:
        bracket.leave(trial_id)
        self._halve_if_complete(bracket)

    def _bracket(self, s: int) -> Bracket:
        n = self.size(s)
        sizes = [max(1, int(n / self._eta**i)) for i in range(s + 1)]
        milestones = [self._max_t / self._eta ** (s - i) for i in range(s + 1)]
        return Bracket(s, sizes, milestones, self._eta)

    def _named(self, bracket: Bracket) -> str:
        return f"rung {bracket.rung} of bracket {bracket.number} ({self.time_attr} {bracket.milestone:.10g})"


def _most_halvings(max_t: float, reduction_factor: float) -> int:
    """s_max, log_eta(R) rounded down. Multiplied, not by logarithms: log(243) / log(3) is less than 5."""
    halvings = 0
    while reduction_factor ** (halvings + 1) <= max_t:
        halvings += 1
    return halvings


def _mistakes(max_t: float, reduction_factor: float) -> list[str]:
    if mistakes := not_finite({"max_t": max_t, "reduction_factor": reduction_factor}):
        return mistakes
    if max_t < 1:
        mistakes.append(f"max_t is {max_t}: it must be at least 1")
    if reduction_factor <= 1:
        mistakes.append(f"reduction_factor is {reduction_factor}: it must be greater than 1")
    return mistakes
