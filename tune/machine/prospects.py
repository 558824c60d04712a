"""What comes next in an experiment: who should start, what time will bring, and when all is over.

Questions that change nothing. Each is answered from where the experiment stands, and by its policies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from executor.resources import Request
from tune.machine.events import (
    Closing,
    Dismissed,
    Event,
    Finished,
    Launched,
    Overdue,
    Rested,
)
from tune.machine.patience import is_patient, next_end, timed_out
from tune.machine.plan import Plan
from tune.machine.policies import Policies
from tune.machine.state import State
from tune.machine.trial import Trial


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should start next: a known trial, or a new one (`trial_id` is None).

    `request` is None when a new trial's configuration decides what it needs. One that `grows` goes back to what it had
    when it cannot have it.
    """

    trial_id: str | None
    request: Request | None
    grows: bool = False


class Prospects(State):
    """An experiment's state, and the policies that are asked how it goes on.

    `names_known` is set once a result had every name that decisions rest on. `searcher_waits` is set when the searcher
    had nothing new for now, until it is asked again.
    """

    def __init__(self, plan: Plan, policies: Policies) -> None:
        super().__init__(plan)
        self.policies = policies
        self.names_known = False
        self.searcher_waits = False

    @property
    def next_trial_id(self) -> str:
        """The id that the next suggested trial gets."""
        return f"t{len(self.trials)}"

    def wanted(self) -> Wanted | None:
        """What should start next, were there room for it; None when nothing should."""
        limit = self.plan.max_concurrent
        if self._over or (limit and len(self.live) >= limit):
            return None
        # Who ran when the run was interrupted goes on first: then all happens in the order in which it would have.
        chosen = self._displaced_first() or self.policies.choose(self) or self._unplaced()
        if chosen is None and self.search_open and not self.searcher_waits:
            return Wanted(None, self.plan.request if isinstance(self.plan.request, Request) else None)
        if chosen is None and not self.live:
            chosen = next(iter(self.waiting), None)
        if chosen is None:
            return None
        trial = self.trials[chosen]
        request = trial.wished or trial.request or self.plan.request_for(trial.config)
        return Wanted(chosen, request, grows=trial.wished is not None)

    def _displaced_first(self) -> str | None:
        """Who left in order to go on; who asks for other resources after those whose own room was just freed."""
        same = (name for name, trial in self.displaced.items() if trial.wished is None)
        return next(same, None) or next(iter(self.displaced), None)

    def _unplaced(self) -> str | None:
        """A trial that was suggested to learn what it needs, and did not fit: no other is until it has started."""
        if isinstance(self.plan.request, Request):
            return None
        return next((name for name, trial in self.waiting.items() if trial.attempt == 0), None)

    def launch(self, trial_id: str) -> Launched:
        """The event of the next attempt of a waiting or paused trial."""
        trial, checkpoint = self.trials[trial_id], self.trials[trial_id].checkpoint
        free_until = self._free_until(trial, checkpoint.iteration if checkpoint else 0)
        return Launched(trial_id, trial.attempt + 1, checkpoint, free_until)

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing can start: time for `Finished`."""
        return not self.live and (self.closing is not None or (not self.resting and self.wanted() is None))

    def ending(self) -> Iterator[Event]:
        """The last events of a run that is idle: what still waits or is paused will not be chosen any more.

        Unless somebody means to go on: then it is left as it stands. Each event is to be handled before the next is
        asked for: a scheduler that is told of one trial's end may itself end others.
        """
        goes_on = self.search_error or (self.closing is not None and self.closing.keep)
        told: set[str] = set()
        while not goes_on:  # whose donor is dismissed may come to wait itself
            waiting = chain(self.waiting, self.resting, self.paused)
            if (left := next((one for one in waiting if one not in told), None)) is None:
                break
            told.add(left)
            yield Dismissed(left)
        yield from self.policies.take_switched_off()
        yield Finished()

    @property
    def times_trials(self) -> bool:
        """Whether the time that some running trial may take is limited."""
        return bool(self.leaving) or (bool(self.live) and not is_patient(self.plan))

    @property
    def next_deadline(self) -> float | None:
        """When time itself will be an event: a budget is spent, or a trial told to end is overdue."""
        deadlines = [trial.deadline for trial in self.leaving.values() if trial.deadline is not None]
        if not is_patient(self.plan) and (end := next_end(self.plan, self.live.values())) is not None:
            deadlines.append(end)
        if self.closing is None:
            deadlines += [trial.rests_until for trial in self.resting.values() if trial.rests_until is not None]
            deadlines += [each for each in (self.plan.time_budget_s, self.policies.deadline) if each is not None]
        return min(deadlines, default=None)

    def due(self, time: float) -> list[Event]:
        """The events that the passing of time until `time` has brought."""
        events: list[Event] = []
        budget = self.plan.time_budget_s
        if budget is not None and self.closing is None and time >= budget:
            events.append(Closing(f"the time budget of {budget:g} s is spent"))
        elif self.closing is None:
            self.policies.time_passed(time)
            if why := self.policies.time_is_up():
                events.append(Closing(why))
        if self.closing is None:
            rested = [one for one in self.resting.values() if one.rests_until is not None and time >= one.rests_until]
            events += [Rested(trial.trial_id) for trial in rested]
        if not is_patient(self.plan):
            events += timed_out(self.plan, self.live.values(), time)
        late = [one for one in self.leaving.values() if one.deadline is not None and time >= one.deadline]
        return events + [Overdue(trial.trial_id, trial.attempt) for trial in late]

    def current(self, trial_id: str, attempt: int) -> bool:
        """Whether messages of this attempt still count."""
        trial = self.live.get(trial_id)
        return trial is not None and trial.attempt == attempt

    @property
    def _time_is_up(self) -> bool:
        budget = self.plan.time_budget_s
        return (budget is not None and self.time >= budget) or bool(self.policies.time_is_up())

    @property
    def _over(self) -> bool:
        return bool(self.closing or self.finished or self._time_is_up)

    @property
    def takes_new(self) -> bool:
        """Whether a new trial may be suggested, were there room for it."""
        return not self._over and self.search_open

    @property
    def search_open(self) -> bool:
        """Whether there may be another new trial; a searcher that waits while nothing runs has none."""
        if self.searcher_waits and not self.live:
            return False
        total = self.policies.searcher.total_trials
        return not self.search_over and (total is None or len(self.trials) < total)

    def _free_until(self, trial: Trial, iteration: int) -> int:
        """How far a trial that stands at `iteration` may go on without waiting for answers."""
        if trial.saving.owed is not None:
            return trial.told_iteration
        return self.policies.free_until(trial, iteration) if self.names_known or not self.plan.metrics else 0
