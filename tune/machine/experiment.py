"""The experiment as a pure state machine: events in, commands out, a journal of entries in between.

`handle` asks the policies for a verdict on an event, writes both down as an `Entry` and folds it into the state;
`replay` folds an entry read back from the journal, with the verdict that was taken then.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any, assert_never

from executor.resources import Request
from schedulers.base import Continue, Pause, Save, Stop
from tune.machine.events import (
    CheckpointRefused,
    Closing,
    Command,
    Dismissed,
    Ended,
    Entry,
    Event,
    Failed,
    Finished,
    Interrupted,
    Launched,
    Opened,
    Overdue,
    ParameterGiven,
    Reported,
    Saved,
    Suggested,
    Verdict,
)
from tune.machine.plan import Plan
from tune.machine.policies import Policies
from tune.machine.state import State
from tune.machine.stopping import nested
from tune.machine.trial import Trial, TrialState

log = logging.getLogger(__name__)

_CONTINUE = Verdict()

_STOPPED = "the stopper ended the experiment"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should start next: a known trial, or a new one (`trial_id` is None).

    `request` is None when a new trial's configuration decides what it needs.
    """

    trial_id: str | None
    request: Request | None


class Experiment(State):
    """An experiment that decides: its state, the policies it asks, and the entries not yet journaled.

    `names_known` is set once a result had every name that decisions rest on; `position` counts the entries.
    """

    def __init__(self, plan: Plan, policies: Policies) -> None:
        super().__init__(plan)
        self.policies = policies
        self.names_known = False
        self.position = 0
        self._fresh: list[Entry] = []

    # What happened, and what to do about it.

    def handle(self, event: Event, time: float, wall: float) -> list[Command]:
        """Take in an event that happened at `time` (seconds of the experiment's life, never less than before)."""
        self.time = max(time, self.time)
        event = self._complete(event)
        result = self._result_of(event, wall)
        decision = self._ask(event, result)
        commands: list[Command] = []
        if closing := self._closing_by(event, result):  # first, so that this very report is answered by it
            commands += self.handle(closing, self.time, wall)
        verdict = self._verdict(event, result, decision)
        iteration = self._iteration(event, result)
        commands += self.apply(event, verdict, result)
        self.position += 1
        self._fresh.append(Entry(self.time, wall, event, verdict, iteration, self._state(event)))
        self._tell(event)
        return commands + self._consequences(event, wall)

    def replay(self, entry: Entry) -> None:
        """Take in an entry read back; the policies are told what they were told then, and their answers dropped."""
        self.time = max(entry.time, self.time)
        result = self._result_of(entry.event, entry.wall)
        self._ask(entry.event, result)
        self._closing_by(entry.event, result)
        self.apply(entry.event, entry.verdict, result)
        self.position += 1
        self._tell(entry.event)
        self._following(entry.event)

    def take_entries(self) -> list[Entry]:
        """The entries since the last call, to be journaled before any command is carried out."""
        fresh, self._fresh = self._fresh, []
        return fresh

    # What should start next.

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
        chosen = next(iter(self.displaced), None) or self.policies.choose(self) or self._unplaced()
        if chosen is None and self._search_open():
            return Wanted(None, self.plan.request if isinstance(self.plan.request, Request) else None)
        if chosen is None and not self.live:
            chosen = next(iter(self.waiting), None)
        return None if chosen is None else Wanted(chosen, self.plan.request_for(self.trials[chosen].config))

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
        return not self.live and (self.closing is not None or self.wanted() is None)

    def ending(self) -> list[Event]:
        """The last events of a run that is idle: what still waits or is paused will not be chosen any more.

        Unless somebody means to go on: then it is left as it stands.
        """
        goes_on = self.search_error or (self.closing is not None and self.closing.keep)
        left = [] if goes_on else [*self.waiting, *self.paused]
        return [*(Dismissed(trial_id) for trial_id in left), Finished()]

    @property
    def next_deadline(self) -> float | None:
        """When time itself will be an event: a budget is spent, or a trial told to end is overdue."""
        deadlines = [trial.deadline for trial in self.leaving.values() if trial.deadline is not None]
        if self.plan.time_budget_s is not None and self.closing is None:
            deadlines.append(self.plan.time_budget_s)
        return min(deadlines, default=None)

    def due(self, time: float) -> list[Event]:
        """The events that the passing of time until `time` has brought."""
        events: list[Event] = []
        budget = self.plan.time_budget_s
        if budget is not None and self.closing is None and time >= budget:
            events.append(Closing(f"the time budget of {budget:g} s is spent"))
        late = [one for one in self.leaving.values() if one.deadline is not None and time >= one.deadline]
        return events + [Overdue(trial.trial_id, trial.attempt) for trial in late]

    def current(self, trial_id: str, attempt: int) -> bool:
        """Whether messages of this attempt still count."""
        trial = self.live.get(trial_id)
        return trial is not None and trial.attempt == attempt

    @property
    def _budget_spent(self) -> bool:
        return self.plan.time_budget_s is not None and self.time >= self.plan.time_budget_s

    @property
    def _over(self) -> bool:
        return bool(self.closing or self.finished or self._budget_spent)

    @property
    def takes_new(self) -> bool:
        """Whether a new trial may be suggested, were there room for it."""
        return not self._over and self._search_open()

    def _search_open(self) -> bool:
        total = self.policies.searcher.total_trials
        return not self.search_over and (total is None or len(self.trials) < total)

    # Deciding.

    def _complete(self, event: Event) -> Event:
        """Add what only the machine knows: whether a failure is the trial's last."""
        if not isinstance(event, Failed):
            return event
        trial = self.trials[event.trial_id]
        return replace(event, final=trial.charges(event.failure) and not self.plan.attempts_left(trial.failures + 1))

    def _result_of(self, event: Event, wall: float) -> dict[str, Any] | None:
        if not isinstance(event, Reported | Ended) or event.metrics is None:
            return None
        trial = self.trials[event.trial_id]
        result = trial.result(event.metrics, event.seconds, wall)
        if event.pid is not None:
            result["pid"], result["hostname"] = event.pid, event.hostname
        for name in self.plan.metrics:
            if name not in result and (value := nested(result, name)) is not None:
                result[name] = value
        return result

    def _iteration(self, event: Event, result: dict[str, Any] | None) -> int | None:
        if result is not None:
            assert isinstance(event, Reported | Ended)
            return self.trials[event.trial_id].totals.iteration + 1
        if isinstance(event, CheckpointRefused):  # where it goes on instead
            earlier = self.trials[event.trial_id].checkpoint_before(event.checkpoint)
            return earlier.iteration if earlier else None
        return event.checkpoint.iteration if isinstance(event, Launched | Saved) and event.checkpoint else None

    def _state(self, event: Event) -> str | None:
        trial_id = getattr(event, "trial_id", None)
        return None if trial_id is None else self.trials[trial_id].state.value

    def _verdict(
        self, event: Event, result: dict[str, Any] | None, decision: Continue | Save | Pause | Stop | None
    ) -> Verdict | None:
        if not isinstance(event, Reported) or result is None or decision is None:
            return None
        if not event.seq:
            if not isinstance(decision, Continue):
                log.error("%s: %r on a result that needed no answer, by its scheduler", event.trial_id, decision)
            return _CONTINUE if isinstance(decision, Continue) else Verdict(decision)
        trial = self.trials[event.trial_id]
        save = event.offers and self._save_wanted(trial, decision)
        going_on = isinstance(decision, Continue) and not save
        return Verdict(decision, save, self._free_until(trial, result["training_iteration"]) if going_on else 0)

    def _free_until(self, trial: Trial, iteration: int) -> int:
        """How far a trial that stands at `iteration` may go on without waiting for answers."""
        return self.policies.free_until(trial, iteration) if self.names_known or not self.plan.metrics else 0

    def _ask(self, event: Event, result: dict[str, Any] | None) -> Continue | Save | Pause | Stop | None:
        """The policies' decision on a report; iterations repeated after a restart are not told twice, and go on."""
        if not isinstance(event, Reported) or result is None:
            return None
        trial = self.trials[event.trial_id]
        if trial.totals.iteration + 1 <= trial.told_iteration:
            return self.policies.done(result) or Continue()
        return self.policies.judge(trial, result)

    def _save_wanted(self, trial: Trial, decision: Continue | Save | Pause | Stop) -> bool:
        keep = self.plan.retention
        if trial.told_to_leave:  # and reports all the same: it had its chance
            return False
        match decision:
            case Save() | Pause():
                return True
            case Stop():
                return keep.at_end
            case Continue():
                if trial.state is not TrialState.RUNNING:
                    return keep.at_end if trial.state is TrialState.STOPPING else True
                return keep.frequency > 0 and (trial.totals.iteration + 1) % keep.frequency == 0
            case _:
                assert_never(decision)

    def _consequences(self, event: Event, wall: float) -> list[Command]:
        """Handle the events that follow at once from `event`."""
        return [command for each in self._following(event) for command in self.handle(each, self.time, wall)]

    def _following(self, event: Event) -> list[Event]:
        match event:
            case Opened():
                return [Interrupted(trial_id) for trial_id in self.live]
            case Ended() if event.metrics is not None and self.policies.wants_end() and self.closing is None:
                return [Closing(_STOPPED)]
            case Failed(trial_id) if self.plan.fail_fast and self.closing is None:
                failed = self.trials[trial_id].state is TrialState.ERROR
                return [Closing(f"{trial_id} failed and fail_fast is set")] if failed else []
            case _:
                return []

    def _closing_by(self, event: Event, result: dict[str, Any] | None) -> Closing | None:
        """How a result ends the whole experiment: it lacks a name that decisions rest on, or the stopper says so."""
        if result is None or not isinstance(event, Reported | Ended):
            return None
        # Asked at each report, live and on replay alike: a stopper may count how often it is.
        stopped = isinstance(event, Reported) and self.policies.wants_end()
        missing = "" if self.names_known else self.policies.missing(event.trial_id, result)
        self.names_known = not missing
        if self.closing is not None or not (missing or stopped):
            return None
        return Closing("a name was never reported", keep=True, error=missing) if missing else Closing(_STOPPED)

    def _tell(self, event: Event) -> None:
        """Tell the policies what became of trials."""
        if isinstance(event, Suggested):
            self.policies.added(self.trials[event.trial_id])
        elif isinstance(event, Launched):
            self.policies.launched(self.trials[event.trial_id])
        elif isinstance(event, ParameterGiven):
            self.policies.given(event)
        elif isinstance(event, Ended | Failed | Interrupted):
            self._tell_of_ending(event)
        self._tell_of_the_ended()

    def _tell_of_ending(self, event: Ended | Failed | Interrupted) -> None:
        trial = self.trials[event.trial_id]
        if trial.state is TrialState.PAUSED:
            self.policies.paused(trial)
        if isinstance(event, Ended) and event.metrics is not None and trial.last_result is not None:
            self.policies.returned(trial, trial.last_result)

    def _tell_of_the_ended(self) -> None:
        while self.just_ended:
            trial = self.just_ended.pop(0)
            if trial.state is TrialState.ERROR:
                self.policies.failed(trial)
            else:
                self.policies.completed(trial)
