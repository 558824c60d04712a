"""Asynchronous successive halving (ASHA): short runs for many trials, long runs for the few that do well.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934. With their symbols: r is
`grace_period`, R is `max_t`, eta is `reduction_factor`, s is the bracket; rung k of bracket s lies at r * eta^(s+k).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from schedulers.base import NEVER, Candidates, Continue, Decision, Pause, ScheduleContext, Stop, Trial, TrialScheduler
from schedulers.checks import not_finite, refuse, unknown_mode
from schedulers.objective import Objective, agree, number
from schedulers.ranking import Entry, ordinal
from schedulers.rung import Rung

TYPES = ("stopping", "promotion")


@dataclass(slots=True)
class _Climber:
    """How far a trial has come: its bracket's rungs, the highest it is recorded at, and whether it waits there."""

    rungs: tuple[Rung, ...]
    highest: int = -1
    entry: Entry | None = None
    waits: bool = False

    def newly_reached(self, t: float) -> Rung | None:
        """The highest rung at or below `t`, if the trial was not there yet."""
        index = bisect_right(self.rungs, t, key=lambda rung: rung.milestone) - 1
        if index <= self.highest:
            return None
        self.let_go()
        self.highest = index
        return self.rungs[index]

    def hold(self) -> None:
        assert self.entry is not None
        self.rungs[self.highest].hold(self.entry)
        self.waits = True

    def let_go(self) -> None:
        if self.waits and self.entry is not None:
            self.rungs[self.highest].let_go(self.entry[2])
        self.waits = False


class ASHAScheduler(TrialScheduler):
    """Compares each trial, when it reaches a rung, with all that have reached it before.

    ``type="stopping"``, as in Ray: a trial stops unless its result is among the best 1/eta of its rung, itself
    included, rounded up; so the first to arrive goes on, and so does who ties with the last that may. (Ray compares
    with a percentile interpolated between the others, which is the same to within a place; a place can be told to
    people.)

    ``type="promotion"``, the paper's Algorithm 2: a trial pauses at every rung, and goes on when it is among the best
    1/eta of it, rounded down; of equal results the earlier counts as better. Free room goes to the best such trial of
    the highest rung, and to new trials when there is none. Trials need checkpoints, or they start again from zero.

    A result that jumps over rungs is recorded at the highest of them only. One without `metric` or `time_attr` changes
    nothing; NaN is worse than every number.

    Args:
        time_attr: what in a result tells how far a trial is; it only grows, and rungs are in its units.
        metric: what trials are compared by; the run's by default.
        mode: ``min`` or ``max``; the run's by default.
        max_t: R, where trials end.
        grace_period: r, the first rung. On curves that cross early, the choice that matters most.
        reduction_factor: eta; one trial in `reduction_factor` goes on at each rung.
        brackets: how many ladders there are, the first starting at r, the next at r * eta, and so on. Trials are spread
            over them by softmax of their number of rungs, drawn from the run's seed and the trial's id.
        stop_last_trials: whether trials end at `max_t`; otherwise they then go on to their own end.
        type: ``stopping`` or ``promotion``.

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
        reduction_factor: float = 4,
        brackets: int = 1,
        stop_last_trials: bool = True,
        *,
        type: str = "stopping",  # noqa: A002  the name that Syne Tune's users know
    ) -> None:
        mistakes = _mistakes(max_t, grace_period, reduction_factor, brackets)
        mistakes += unknown_mode(mode)
        if type not in TYPES:
            mistakes.append(f"type is {type!r}: use 'stopping' or 'promotion'")
        refuse(self.__class__.__name__, mistakes)  # `type` is an argument here
        self.time_attr = time_attr
        self.metric = metric
        self.mode = mode
        self._max_t = max_t
        self._stop_last_trials = stop_last_trials
        self._promotes = type == "promotion"
        self._reduction_factor = reduction_factor
        milestones = _milestones(grace_period, max_t, reduction_factor)
        self._weights = [math.exp(-s) for s in range(brackets)]
        self._brackets = [self._bracket(milestones[s:]) for s in range(brackets)]
        rungs = [rung for bracket in self._brackets for rung in bracket]
        self._from_the_top = sorted(rungs, key=lambda rung: -rung.milestone)
        self._climbers: dict[str, _Climber] = {}

    def bind(self, context: ScheduleContext) -> None:
        super().bind(context)
        self._objective: Objective = agree(type(self).__name__, self.metric, self.mode, context)
        self.metric, self.mode = self._objective.metric, self._objective.mode

    def on_trial_add(self, trial: Trial) -> None:
        self._climbers[trial.trial_id] = _Climber(self._brackets[self._draw_bracket(trial.trial_id)])

    def on_trial_start(self, trial: Trial) -> None:
        """Only `choose_trial_to_run` starts a trial that waits at a rung, so its start is its promotion."""
        self._climbers[trial.trial_id].let_go()

    def on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> Decision:
        t, score = number(result.get(self.time_attr)), self._objective.score(result)
        return Continue() if t is None else self._decide(trial.trial_id, t, score)

    def _decide(self, trial_id: str, t: float, score: float | None) -> Decision:
        """What a trial does that came as far as `t`, with `score` if it said."""
        climber, place = self._climbers[trial_id], 0
        rung = None if score is None else climber.newly_reached(t)
        if rung is not None and score is not None:
            climber.entry, place = rung.record(trial_id, score)
        if self._stop_last_trials and t >= self._max_t:
            climber.let_go()
            return Stop(f"reached max_t ({self.time_attr} {self._max_t:.10g})", complete=True)
        if self._promotes:
            return self._pause(climber, place)
        return Continue() if rung is None else self._stop_unless_good(climber, rung)

    def free_until(self, trial: Trial, iteration: int) -> int:
        """Between rungs nothing is decided; known ahead only when time is counted in iterations."""
        if self.time_attr != "training_iteration":
            return 0
        climber = self._climbers[trial.trial_id]
        if climber.waits:
            return 0
        # A rung that was passed without the metric is still to come: then the next result may be judged, and waits.
        ahead = [rung.milestone for rung in climber.rungs[climber.highest + 1 :][:1]]
        last = [self._max_t] if self._stop_last_trials else []
        return math.ceil(min([*ahead, *last], default=NEVER))

    def on_trial_complete(self, trial: Trial, result: Mapping[str, Any] | None) -> None:
        self._forget(trial)

    def on_trial_error(self, trial: Trial) -> None:
        self._forget(trial)

    def choose_trial_to_run(self, trials: Candidates) -> str | None:
        if not self._promotes:
            return super().choose_trial_to_run(trials)
        for rung in self._from_the_top:
            if promoted := rung.promotable(trials.paused):
                return promoted
        return next(iter(trials.waiting), None)

    def _stop_unless_good(self, climber: _Climber, rung: Rung) -> Decision:
        assert climber.entry is not None
        place, needed = rung.place(climber.entry), math.ceil(len(rung) / self._reduction_factor)
        if place <= needed:
            return Continue()
        return Stop(f"{ordinal(place)} of {len(rung)} at {self._named(rung)}, needed {ordinal(needed)}")

    def _pause(self, climber: _Climber, place: int) -> Decision:
        """Pause at a rung just reached at `place`, and again if a trial that was told to pause reports once more."""
        if place:
            climber.hold()
        if not climber.waits or climber.entry is None:
            return Continue()
        rung = climber.rungs[climber.highest]
        place = place or rung.place_in_line(climber.entry)
        return Pause(f"waits at {self._named(rung)}: {ordinal(place)} of {len(rung)}")

    def _forget(self, trial: Trial) -> None:
        """What the trial achieved stays recorded: others are compared with it."""
        if climber := self._climbers.pop(trial.trial_id, None):
            climber.let_go()

    def _bracket(self, milestones: list[float]) -> tuple[Rung, ...]:
        """The rungs of one ladder; there is nothing to wait for at `max_t`, so nobody pauses there."""
        kept = [at for at in milestones if not (self._promotes and at >= self._max_t)]
        return tuple(Rung(number, at, self._reduction_factor) for number, at in enumerate(kept))

    def _draw_bracket(self, trial_id: str) -> int:
        """Softmax over the brackets' numbers of rungs, each one less than the one before."""
        if len(self._brackets) == 1:
            return 0
        rng = Random(f"{self.context.seed}/{trial_id}")
        return rng.choices(range(len(self._brackets)), self._weights)[0]

    def _named(self, rung: Rung) -> str:
        return f"rung {rung.number} ({self.time_attr} {rung.milestone:.10g})"


AsyncHyperBandScheduler = ASHAScheduler
"""Ray's other name for it."""


def _milestones(grace_period: float, max_t: float, reduction_factor: float) -> list[float]:
    """r, r * eta, r * eta^2 and so on, up to R. Multiplied, not by logarithms: log(1000) / log(10) is less than 3."""
    milestones = [grace_period]
    while milestones[-1] * reduction_factor <= max_t:
        milestones.append(milestones[-1] * reduction_factor)
    return milestones


def _mistakes(max_t: float, grace_period: float, reduction_factor: float, brackets: int) -> list[str]:
    named = {"max_t": max_t, "grace_period": grace_period, "reduction_factor": reduction_factor, "brackets": brackets}
    if mistakes := not_finite(named):
        return mistakes
    if grace_period < 1:
        mistakes.append(f"grace_period is {grace_period}: it must be at least 1")
    if max_t < max(1, grace_period):
        mistakes.append(f"max_t is {max_t}: it must be at least grace_period ({grace_period}) and 1")
    if reduction_factor <= 1:
        mistakes.append(f"reduction_factor is {reduction_factor}: it must be greater than 1")
    if brackets < 1 or brackets != int(brackets):
        mistakes.append(f"brackets is {brackets}: it must be a whole number, at least 1")
    if not mistakes and brackets > (most := len(_milestones(grace_period, max_t, reduction_factor))):
        mistakes.append(f"brackets is {brackets}: with these max_t, grace_period and reduction_factor at most {most}")
    return mistakes
