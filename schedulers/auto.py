"""Pause at rungs, and let go on who may still take the lead: successive halving that needs to be told no grace period.

Built on promotion ASHA (arXiv:1810.05934) with two questions answered from the curves seen so far: how early ranks may
be trusted (`schedulers.trust`), and what a trial may still reach (`schedulers.gains`; the idea of freeze-thaw,
arXiv:1406.3896, and of DyHPO, arXiv:2202.09774, with a regression instead of a Gaussian process).
"""

from __future__ import annotations

import logging
import math
from bisect import bisect_right
from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any

from schedulers.base import NEVER, Candidates, Continue, Decision, Pause, ScheduleContext, Stop, Trial, TrialScheduler
from schedulers.climbing import GROWTH, Climber, Prospect, Stage, prospect_of
from schedulers.objective import MODES, Objective, agree, number
from schedulers.ranking import ordinal
from schedulers.trust import Trust

log = logging.getLogger(__name__)

_FIRST_LOOK = 8
_LOOKS = 1.5
_MANY = 200
_LEAST_CHANCE = 0.01


class AutoScheduler(TrialScheduler):
    """Spends most on the trials that may still take the lead, and learns from their curves which these are.

    A trial pauses at every rung. It goes on when it is worth it: when its chance of taking the lead is greater than the
    share of all that was spent so far which going on would cost, since as much spent on new trials brings one new lead
    on average. The best third (1 / `reduction_factor`) of each rung goes on in any case, by what they are expected to
    reach. Rungs lie `reduction_factor` apart from the first one on, which moves as curves show how far early ranks can
    be trusted. Free room goes to the trial that is most worth it, and to new trials when there is none; when there are
    no more new ones, to those who have a chance of 1% to take the lead.

    Values are the best so far of each trial. `why` says what was picked and why, and each pause its rank and chance.

    Trials need checkpoints. Once two have paused without, trials stop at rungs instead of pausing there.

    Args:
        time_attr: what in a result tells how far a trial is; it only grows.
        metric: what trials are compared by; the run's by default.
        mode: ``min`` or ``max``; the run's by default.
        max_t: where trials end.
        reduction_factor: how far apart rungs are.

    Raises:
        ValueError: arguments that cannot work, all of them named.
    """

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: float = 100,
        reduction_factor: float = 3,
    ) -> None:
        mistakes = [
            f"{name} is {value!r}: give a finite number of at least {least}"
            for name, value, least in (("max_t", max_t, 1), ("reduction_factor", reduction_factor, 1.5))
            if not isinstance(value, int | float) or not least <= value < math.inf
        ]
        if mode is not None and mode not in MODES:
            mistakes.append(f"mode is {mode!r}: use 'min' or 'max'")
        if mistakes:
            raise ValueError(f"AutoScheduler: {'; '.join(mistakes)}")
        self.time_attr = time_attr
        self.metric = metric
        self.mode = mode
        self._max_t = max_t
        self._reduction_factor = reduction_factor
        self._trust = Trust(max_t)
        self._climbers: dict[str, Climber] = {}
        self._spent = 0.0
        self._lead = -math.inf
        self._leader: Climber | None = None
        self._next_look = _FIRST_LOOK
        self._stops = False
        self._pauses = {True: 0, False: 0}
        self._lessons = 0
        self._build()

    @property
    def why(self) -> str:
        """What was picked, and why, in words."""
        how = "stop at rungs unless they may still" if self._stops else "pause at rungs, and go on who may"
        rungs = ", ".join(f"{rung.at:.10g}" for rung in self._rungs)
        return f"trials {how} take the lead; {self.time_attr} {rungs}; the first is {self._trust.why}"

    def bind(self, context: ScheduleContext) -> None:
        super().bind(context)
        self._objective: Objective = agree("AutoScheduler", self.metric, self.mode, context)
        self.metric, self.mode = self._objective.metric, self._objective.mode
        log.info("scheduler auto: %s", self.why)

    # What happens to trials.

    def on_trial_add(self, trial: Trial) -> None:
        self._climbers[trial.trial_id] = Climber(trial.trial_id)

    def on_trial_start(self, trial: Trial) -> None:
        climber = self._climbers[trial.trial_id]
        if climber.held:
            self._let_go(climber)

    def on_trial_pause(self, trial: Trial) -> None:
        """Stop from now on instead of pausing, where whoever goes on would start again from the beginning.

        That is, when two have paused without a checkpoint and none with: a single one may have died while it saved.
        """
        self._pauses[getattr(trial, "checkpoint", True) is not None] += 1
        if self._stops or self._pauses[True] or self._pauses[False] < 2:
            return
        self._stops = True
        log.warning(
            "%s paused and has no checkpoint to go on from, like the one before: from now on trials stop at rungs "
            "instead of pausing; give a checkpoint to tune.report(..., checkpoint=...)",
            trial.trial_id,
        )

    def on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> Decision:
        t, score = number(result.get(self.time_attr)), self._objective.score(result)
        if t is None or math.isnan(t):
            return Continue()
        climber = self._climbers[trial.trial_id]
        if score is not None:
            self._take(climber, t, score if math.isfinite(score) else -math.inf)
        if t >= self._max_t:
            return Stop(f"reached max_t ({self.time_attr} {self._max_t:.10g})", complete=True)
        if climber.held:
            return Pause("was told to pause, and reported once more")
        if climber.judged or t < climber.free_until:
            return Continue()
        climber.judged = True
        return self._stop_unless_worth(climber) if self._stops else self._pause_unless_first(climber)

    def free_until(self, trial: Trial, iteration: int) -> int:
        """Between rungs nothing is decided; known ahead only when time is counted in iterations."""
        climber = self._climbers[trial.trial_id]
        if self.time_attr != "training_iteration" or climber.held or not climber.judged:
            return 0
        ahead = [rung.at for rung in self._rungs[climber.rung + 1 :]]
        climber.free_until = math.ceil(min(ahead, default=NEVER))
        return climber.free_until

    def on_trial_complete(self, trial: Trial, result: Mapping[str, Any] | None) -> None:
        self._climbers[trial.trial_id].held = False

    def on_trial_error(self, trial: Trial) -> None:
        self._climbers[trial.trial_id].held = False

    # Who goes on.

    def choose_trial_to_run(self, trials: Candidates) -> str | None:
        if self._stops:
            return next(iter(trials.waiting), None)
        if chosen := self._worth_most(trials):
            return chosen.trial_id
        if trials.waiting:
            return next(iter(trials.waiting))
        if below := self._head(self._below, trials):
            return below.trial_id
        return None if trials.search_open else self._promising(trials)

    def _worth_most(self, trials: Candidates | None) -> Climber | None:
        """The trial of those that wait that is most worth going on; None when new ones are worth more."""
        heads = [(rung, head) for rung in reversed(self._rungs[:-1]) if (head := self._head(rung.queue, trials))]
        for rung, head in heads:
            if self._has_places(rung):
                return head
        best, found = 1.0, None
        for rung, head in heads:
            key = (head.trial_id, self._lessons, self._lead)
            if rung.head_known_by != key:
                rung.head_known_by, rung.head_worth = key, self._prospect(head).worth / self._spent
            if rung.head_worth * self._spent > best:
                best, found = rung.head_worth * self._spent, head
        return found

    def _promising(self, trials: Candidates) -> str | None:
        """When there are no new trials any more: who leads, else who has a fair chance of it."""
        if self._leader is not None and self._leader.held and self._leader.trial_id in trials.paused:
            return self._leader.trial_id
        heads = [head for rung in self._rungs[:-1] if (head := self._head(rung.queue, trials))]
        prospects = {head.trial_id: self._prospect(head) for head in heads}
        fair = [name for name, prospect in prospects.items() if prospect.chance >= _LEAST_CHANCE]
        return max(fair, key=lambda name: prospects[name].worth, default=None)

    def _head(self, queue: list[tuple[float, str, int]], trials: Candidates | None) -> Climber | None:
        """The first in `queue` that can start; those whose checkpoint is still being saved are looked past and stay."""
        saving, found = [], None
        while queue and found is None:
            _, trial_id, stamp = queue[0]
            climber = self._climbers[trial_id]
            if not climber.held or climber.stamp != stamp:
                heappop(queue)
            elif trials is None or trial_id in trials.paused:
                found = climber
            else:
                saving.append(heappop(queue))
        for entry in saving:
            heappush(queue, entry)
        return found

    def _prospect(self, climber: Climber) -> Prospect:
        return prospect_of(climber, self._rungs, self._lead, self._spent)

    # Decisions at rungs.

    def _pause_unless_first(self, climber: Climber) -> Decision:
        """Pause; but whoever would be started again at once rather goes on."""
        if climber.rung < 0:
            self._hold_below(climber)
            return Pause(f"waits below the first rung ({self.time_attr} {self._rungs[0].at:.10g})")
        prospect = self._prospect(climber)
        self._hold(climber, prospect.value)
        may = prospect.worth > 1 or self._has_places(self._rungs[climber.rung])
        if may and self._worth_most(None) is climber:
            self._let_go(climber)
            return Continue()
        return Pause(self._words(climber, prospect.chance))

    def _has_places(self, rung: Stage) -> bool:
        """Whether fewer went on from a rung than the best third of it are."""
        return rung.promoted < int(len(rung.ranking) / self._reduction_factor)

    def _stop_unless_worth(self, climber: Climber) -> Decision:
        if climber.rung < 0:
            return Continue()
        rung, prospect = self._rungs[climber.rung], self._prospect(climber)
        needed = math.ceil(len(rung.ranking) / self._reduction_factor)
        if self._place(climber) <= needed or prospect.worth > 1:
            return Continue()
        return Stop(f"{self._words(climber, prospect.chance)}, needed {ordinal(needed)}")

    def _words(self, climber: Climber, chance: float) -> str:
        rung, place = self._rungs[climber.rung], ordinal(self._place(climber))
        where = f"rung {climber.rung} ({self.time_attr} {rung.at:.10g})"
        return f"{place} of {len(rung.ranking)} at {where}, {chance:.0%} chance to take the lead"

    def _place(self, climber: Climber) -> int:
        return self._rungs[climber.rung].ranking.before((-climber.values[climber.rung],)) + 1

    # Bookkeeping.

    def _take(self, climber: Climber, t: float, score: float) -> None:
        self._spent += max(t - climber.t, 0.0)
        climber.t = max(t, climber.t)
        climber.best = max(climber.best, score)
        if climber.best > self._lead:
            self._lead, self._leader = climber.best, climber
        epochs = self._trust.epochs
        while len(climber.marks) < len(epochs) and climber.t >= epochs[len(climber.marks)]:
            climber.marks.append(climber.best)
            self._trust.add(climber.marks)
        if self._enter(climber):
            climber.judged = False
            self._look()

    def _look(self) -> None:
        """Look again, from time to time, where the first rung should be."""
        if len(self._climbers) < self._next_look:
            return
        self._next_look = int(len(self._climbers) * _LOOKS) + 1
        if self._trust.learn():
            self._build()
            log.info("scheduler auto: %s", self.why)

    def _build(self) -> None:
        """Set up the rungs from the first one on, with all that is known of the trials."""
        at, milestones = float(self._trust.first), []
        while at < self._max_t:
            milestones.append(float(round(at)))
            at *= self._reduction_factor
        self._rungs = [Stage(each) for each in (*milestones, self._max_t)]
        self._below: list[tuple[float, str, int]] = []
        for climber in self._climbers.values():
            climber.forget_rungs()
            self._enter(climber)
            for rung in self._rungs[: max(climber.rung + (not climber.held), 0)]:
                rung.promoted += 1
            if climber.held and climber.rung < 0:
                self._hold_below(climber)
            elif climber.held:
                self._hold(climber, self._prospect(climber).value)

    def _enter(self, climber: Climber) -> bool:
        """Record the climber at the rungs it has reached; whether there were any."""
        before = climber.rung
        while climber.rung + 1 < len(self._rungs) and climber.t >= self._rungs[climber.rung + 1].at:
            climber.rung += 1
            rung = self._rungs[climber.rung]
            value = climber.best if climber.t == rung.at else self._mark(climber, rung.at)
            climber.values.append(value)
            earlier = self._mark(climber, max(rung.at // 2, 1))
            climber.slopes.append(value - earlier if math.isfinite(earlier) else 0.0)
            if rung.record(climber.trial_id, value):
                self._learn_anew()
            if climber.rung:
                self._learn_gain(climber)
        return climber.rung > before

    def _learn_anew(self) -> None:
        """Count which share of those that came to a rung came to the next one, on the way to which some still are."""
        self._lessons += 1
        for rung, following in pairwise(self._rungs):
            rung.passed = (len(following.ranking) + 1) / (len(rung.ranking) + 2)

    def _learn_gain(self, climber: Climber) -> None:
        value, later = climber.values[-2:]
        slope, later_slope = climber.slopes[-2:]
        rung = self._rungs[climber.rung - 1]
        if math.isfinite(value) and not rung.is_far_below(value):
            if rung.learn(value, slope, later, later_slope):
                self._learn_anew()
            for each in self._rungs[: climber.rung]:
                self._renew_keys(each)

    def _mark(self, climber: Climber, at: float) -> float:
        """The best value that the climber had at `at` or shortly before."""
        index = bisect_right(self._trust.epochs, at) - 1
        return climber.marks[index] if index < len(climber.marks) else climber.best

    def _hold(self, climber: Climber, expected: float) -> None:
        climber.held = True
        climber.stamp += 1
        heappush(self._rungs[climber.rung].queue, (-expected, climber.trial_id, climber.stamp))

    def _hold_below(self, climber: Climber) -> None:
        climber.held = True
        climber.stamp += 1
        heappush(self._below, (-climber.best, climber.trial_id, climber.stamp))

    def _let_go(self, climber: Climber) -> None:
        climber.held = False
        if climber.rung >= 0:
            self._rungs[climber.rung].promoted += 1

    def _renew_keys(self, rung: Stage) -> None:
        """Sort those who wait by what is known now, each time that a tenth more is known; later, twice as much."""
        known = sum(each.gains.steps for each in self._rungs[self._rungs.index(rung) :])
        if known <= (GROWTH if rung.keyed_at < _MANY else 2) * rung.keyed_at:
            return
        rung.keyed_at = known
        climbers = [self._climbers[name] for _, name, stamp in rung.queue if self._waits(name, stamp)]
        rung.queue = [(-self._prospect(climber).value, climber.trial_id, climber.stamp) for climber in climbers]
        heapify(rung.queue)

    def _waits(self, trial_id: str, stamp: int) -> bool:
        climber = self._climbers[trial_id]
        return climber.held and climber.stamp == stamp
