"""The experiment as a pure state machine: events in, commands out, a journal of entries in between.

`handle` asks the policies for a verdict on an event, writes both down as an `Entry` and folds it into the state; `replay`
folds an entry read back from the journal, with the verdict that was taken then. The fold is the only code that changes
the state, and it calls no policy. Nothing here does I/O, reads a clock or draws a random number.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any, assert_never

from executor.resources import Request
from schedulers.base import Continue, Pause, Save, Stop
from tune.machine import retention
from tune.machine.events import (
    Answer,
    CheckpointRef,
    CheckpointRefused,
    Closing,
    Command,
    DeleteCheckpoint,
    Dismissed,
    Ended,
    Entry,
    Event,
    Failed,
    Finished,
    GoOn,
    Interrupted,
    Kill,
    Launched,
    Leave,
    Nudge,
    Opened,
    Overdue,
    ParameterGiven,
    Reply,
    Reported,
    Saved,
    SaveNow,
    SearchEnded,
    Start,
    Suggested,
    Take,
    Verdict,
)
from tune.machine.plan import Plan
from tune.machine.policies import Policies
from tune.machine.stopping import nested
from tune.machine.trial import Trial, TrialState, Turn

_CONTINUE = Verdict()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should start next: a known trial, or a new one (`trial_id` is None); `request` is None when a new trial's
    configuration decides what it needs."""

    trial_id: str | None
    request: Request | None


class Experiment:
    """The state of one experiment. Read its fields freely; only `handle` and `replay` change them."""

    def __init__(self, plan: Plan, policies: Policies) -> None:
        self.plan = plan
        self.policies = policies
        self.trials: dict[str, Trial] = {}
        self.waiting: dict[str, Trial] = {}
        self.paused: dict[str, Trial] = {}
        self.live: dict[str, Trial] = {}
        self.time = 0.0
        self.closing: Closing | None = None
        self.search_over = False
        self.search_error = ""
        self.finished = False
        self.results = 0
        self.best: Trial | None = None
        self.best_result: dict[str, Any] | None = None
        self.best_merit = -math.inf
        self._leaving: dict[str, Trial] = {}
        self._just_ended: list[Trial] = []
        self._fresh: list[Entry] = []

    # What happened, and what to do about it.

    def handle(self, event: Event, time: float, wall: float) -> list[Command]:
        """Take in an event that happened at `time` (seconds of the experiment's life, never less than before)."""
        self.time = max(time, self.time)
        event = self._complete(event)
        result = self._result_of(event, wall)
        verdict = self._judge(event, result)
        iteration = self._iteration(event, result)
        commands = self._fold(event, verdict, result)
        self._fresh.append(Entry(self.time, wall, event, verdict, iteration, self._state(event)))
        self._tell(event)
        return commands + self._consequences(event, wall)

    def replay(self, entry: Entry) -> None:
        """Take in an entry read back; the policies are told what they were told then, and their answers dropped."""
        self.time = max(entry.time, self.time)
        result = self._result_of(entry.event, entry.wall)
        if isinstance(entry.event, Reported) and result is not None:
            self._ask(entry.event, result)
        self._fold(entry.event, entry.verdict, result)
        self._tell(entry.event)
        if isinstance(entry.event, Reported) and self.closing is None:
            self.policies.wants_end()

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
        if self.closing or self.finished or (limit and len(self.live) >= limit):
            return None
        chosen = self.policies.choose(self)
        if chosen is None and self._search_open():
            return Wanted(None, self.plan.request if isinstance(self.plan.request, Request) else None)
        if chosen is None and not self.live:
            chosen = next(iter(self.waiting), None)
        return None if chosen is None else Wanted(chosen, self.plan.request_for(self.trials[chosen].config))

    def launch(self, trial_id: str) -> Launched:
        """The event of the next attempt of a waiting or paused trial."""
        trial = self.trials[trial_id]
        return Launched(trial_id, trial.attempt + 1, trial.checkpoint)

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing can start: time for `Finished`."""
        return not self.live and (self.closing is not None or self.wanted() is None)

    @property
    def next_deadline(self) -> float | None:
        """When time itself will be an event: a budget is spent, or a trial told to end is overdue."""
        deadlines = [trial.deadline for trial in self._leaving.values() if trial.deadline is not None]
        if self.plan.time_budget_s is not None and self.closing is None:
            deadlines.append(self.plan.time_budget_s)
        return min(deadlines, default=None)

    def due(self, time: float) -> list[Event]:
        """The events that the passing of time until `time` has brought."""
        events: list[Event] = []
        budget = self.plan.time_budget_s
        if budget is not None and self.closing is None and time >= budget:
            events.append(Closing(f"the time budget of {budget:g} s is spent"))
        for trial in self._leaving.values():
            if trial.deadline is not None and time >= trial.deadline:
                events.append(Overdue(trial.trial_id, trial.attempt))
        return events

    def current(self, trial_id: str, attempt: int) -> bool:
        """Whether messages of this attempt still count."""
        trial = self.live.get(trial_id)
        return trial is not None and trial.attempt == attempt

    def _search_open(self) -> bool:
        total = self.policies.searcher.total_trials
        return not self.search_over and (total is None or len(self.trials) < total)

    # Deciding.

    def _complete(self, event: Event) -> Event:
        """Add what only the machine knows: whether a failure is the trial's last. A kill of ours is never charged."""
        if not isinstance(event, Failed) or event.failure.kind == "killed":
            return event
        trial = self.trials[event.trial_id]
        return replace(event, final=not self.plan.attempts_left(trial.failures + 1))

    def _result_of(self, event: Event, wall: float) -> dict[str, Any] | None:
        if isinstance(event, Reported):
            metrics, seconds = event.metrics, event.seconds
        elif isinstance(event, Ended) and event.metrics is not None:
            metrics, seconds = event.metrics, event.seconds
        else:
            return None
        result = self.trials[event.trial_id].result(metrics, seconds, wall)
        for name in self.plan.metrics:
            if name not in result and (value := nested(result, name)) is not None:
                result[name] = value
        return result

    def _iteration(self, event: Event, result: dict[str, Any] | None) -> int | None:
        if result is not None:
            assert isinstance(event, Reported | Ended)
            return self.trials[event.trial_id].totals.iteration + 1
        return event.checkpoint.iteration if isinstance(event, Launched | Saved) and event.checkpoint else None

    def _state(self, event: Event) -> str | None:
        trial_id = getattr(event, "trial_id", None)
        return None if trial_id is None else self.trials[trial_id].state.value

    def _judge(self, event: Event, result: dict[str, Any] | None) -> Verdict | None:
        if not isinstance(event, Reported) or result is None:
            return None
        decision = self._ask(event, result)
        if not event.offers:
            return _CONTINUE if isinstance(decision, Continue) else Verdict(decision)
        return Verdict(decision, save=self._save_wanted(self.trials[event.trial_id], decision))

    def _ask(self, event: Reported, result: dict[str, Any]) -> Continue | Save | Pause | Stop:
        """The policies' decision; iterations repeated after a restart are not told twice, and go on."""
        trial = self.trials[event.trial_id]
        if trial.totals.iteration + 1 <= trial.told_iteration:
            return Continue()
        return self.policies.judge(trial, result)

    def _save_wanted(self, trial: Trial, decision: Continue | Save | Pause | Stop) -> bool:
        keep = self.plan.retention
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
            case Finished() if self.closing is None or not self.closing.keep:
                return [Dismissed(trial_id) for trial_id in [*self.waiting, *self.paused]]
            case Reported() if self.closing is None:
                if self.results == 1 and (missing := self.policies.missing(self.trials[event.trial_id])):
                    return [Closing("a name was never reported", keep=True, error=missing)]
                return [Closing("the stopper ended the experiment")] if self.policies.wants_end() else []
            case Failed(final=True) if self.plan.fail_fast and self.closing is None:
                return [Closing(f"{event.trial_id} failed and fail_fast is set")]
            case _:
                return []

    def _tell(self, event: Event) -> None:
        """Tell the policies what became of trials."""
        if isinstance(event, Suggested):
            self.policies.added(self.trials[event.trial_id])
        elif isinstance(event, Launched):
            self.policies.launched(self.trials[event.trial_id])
        elif isinstance(event, ParameterGiven):
            self.policies.given(event)
        while self._just_ended:
            trial = self._just_ended.pop(0)
            if trial.state is TrialState.ERROR:
                self.policies.failed(trial)
            else:
                self.policies.completed(trial)

    # The fold: the only code that changes the state.

    def _fold(self, event: Event, verdict: Verdict | None, result: dict[str, Any] | None) -> list[Command]:
        match event:
            case Opened():
                return self._fold_opened()
            case SearchEnded():
                self.search_over, self.search_error = True, event.error
                return []
            case Closing():
                return self._fold_closing(event)
            case Finished():
                self.finished = True
                return []
            case Suggested():
                trial = Trial(len(self.trials), event.trial_id, event.config)
                self.trials[event.trial_id] = self.waiting[event.trial_id] = trial
                return []
            case Launched():
                return self._fold_launched(self.trials[event.trial_id], event)
            case ParameterGiven():
                trial = self.trials[event.trial_id]
                trial.config[event.name] = event.value
                return [Reply(event.trial_id, event.attempt, event.seq, Take(event.value))]
            case Reported():
                assert verdict is not None and result is not None
                return self._fold_reported(self.trials[event.trial_id], event, verdict, result)
            case Saved():
                trial = self.trials[event.trial_id]
                deleted = self._keep(trial, event.checkpoint)
                return [*deleted, Reply(trial.trial_id, event.attempt, event.seq, self._answer(trial))]
            case CheckpointRefused():
                return self._fold_refused(self.trials[event.trial_id], event)
            case Ended():
                return self._fold_ended(self.trials[event.trial_id], event, result)
            case Failed():
                return self._fold_failed(self.trials[event.trial_id], event)
            case Overdue():
                self.trials[event.trial_id].deadline = None
                return [Kill(event.trial_id, event.attempt, "it did not end in time after it was told to")]
            case Interrupted():
                self._move(self.trials[event.trial_id], Turn.INTERRUPTED)
                return []
            case Dismissed():
                self._move(self.trials[event.trial_id], Turn.DISMISSED)
                return []
            case _:
                assert_never(event)

    def _fold_opened(self) -> list[Command]:
        self.closing, self.finished = None, False
        if self.search_error:
            self.search_over, self.search_error = False, ""
        return []

    def _fold_closing(self, event: Closing) -> list[Command]:
        self.closing = event
        commands: list[Command] = []
        for trial in list(self.live.values()):
            self._move(trial, Turn.TOLD_TO_SUSPEND if event.keep else Turn.TOLD_TO_STOP)
            trial.reason = trial.reason or event.reason
            self._expect_end(trial, self.plan.suspend_s if event.keep else self.plan.grace_s)
            commands.append(Nudge(trial.trial_id, trial.attempt))
        return commands

    def _fold_launched(self, trial: Trial, event: Launched) -> list[Command]:
        trial.attempt = event.attempt
        trial.reason = ""
        trial.restore(event.checkpoint)
        self._move(trial, Turn.LAUNCHED)
        seed = derive_seed(self.plan.seed, trial.number)
        return [Start(trial.trial_id, event.attempt, trial.config, seed, event.checkpoint)]

    def _fold_reported(self, trial: Trial, event: Reported, verdict: Verdict, result: dict[str, Any]) -> list[Command]:
        self._take_result(trial, event.metrics, event.seconds, result)
        commands: list[Command] = self._keep(trial, event.checkpoint) if event.checkpoint else []
        match verdict.decision:
            case Pause(reason) | Stop(reason) as told:
                self._move(trial, Turn.TOLD_TO_PAUSE if isinstance(told, Pause) else Turn.TOLD_TO_STOP)
                trial.reason = reason
            case Continue() | Save():
                pass
        answer = self._answer(trial)
        if verdict.save:
            trial.deadline, answer = None, SaveNow()
        return [*commands, Reply(trial.trial_id, event.attempt, event.seq, answer)]

    def _fold_refused(self, trial: Trial, event: CheckpointRefused) -> list[Command]:
        trial.checkpoints = [one for one in trial.checkpoints if one.path != event.checkpoint.path]
        trial.restore(trial.checkpoint)
        return [Reply(trial.trial_id, event.attempt, event.seq, Take(trial.checkpoint))]

    def _fold_ended(self, trial: Trial, event: Ended, result: dict[str, Any] | None) -> list[Command]:
        if result is not None and event.metrics is not None:
            self._take_result(trial, event.metrics, event.seconds, result)
        self._move(trial, Turn.LEFT if event.by_order else Turn.RETURNED)
        return []

    def _fold_failed(self, trial: Trial, event: Failed) -> list[Command]:
        if event.failure.kind != "killed":
            trial.failures += 1
            trial.failure = event.failure
        self._move(trial, Turn.FAILED_FOR_GOOD if event.final else Turn.FAILED)
        return []

    # Small moves that the fold is made of.

    def _take_result(self, trial: Trial, metrics: dict[str, Any], seconds: float, result: dict[str, Any]) -> None:
        trial.totals = trial.totals.add(metrics, seconds)
        trial.told_iteration = max(trial.told_iteration, trial.totals.iteration)
        trial.last_result = result
        self.results += 1
        if self.plan.metrics:
            merit = retention.merit(self.plan, result)
            if merit > self.best_merit:
                self.best, self.best_merit, self.best_result = trial, merit, result

    def _answer(self, trial: Trial) -> Answer:
        if trial.state is TrialState.RUNNING:
            return GoOn()
        self._expect_end(trial, self.plan.grace_s)
        return Leave(trial.reason)

    def _keep(self, trial: Trial, checkpoint: CheckpointRef) -> list[Command]:
        trial.checkpoints.append(checkpoint)
        trial.saved_totals[checkpoint.path] = trial.totals
        trial.scores[checkpoint.path] = retention.score(self.plan, trial.last_result or {})
        gone = retention.superfluous(self.plan, trial)
        for one in gone:
            trial.checkpoints.remove(one)
            del trial.saved_totals[one.path], trial.scores[one.path]
        return [DeleteCheckpoint(one) for one in gone]

    def _expect_end(self, trial: Trial, within_s: float) -> None:
        """Give a trial that was told to end its time; one that reports again meanwhile gets no more."""
        if trial.deadline is None:
            trial.deadline = self.time + within_s
        self._leaving[trial.trial_id] = trial

    def _move(self, trial: Trial, turn: Turn) -> None:
        """Take a turn and keep the indexes by state: the only place that touches either."""
        trial.turn(turn)
        name, state = trial.trial_id, trial.state
        for index, belongs in (
            (self.waiting, state is TrialState.PENDING),
            (self.paused, state is TrialState.PAUSED),
            (self.live, state.live),
        ):
            if belongs:
                index[name] = trial
            else:
                index.pop(name, None)
        if state.final:
            self._just_ended.append(trial)
        if not state.live:
            trial.deadline = None
            self._leaving.pop(name, None)


def derive_seed(seed: int, number: int) -> int:
    """A trial's own seed, 32 bits: the same for each of its attempts."""
    digest = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
