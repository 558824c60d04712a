"""The experiment as a pure state machine: events in, commands out, a journal of entries in between.

`handle` asks the policies for a verdict on an event, writes both down as an `Entry` and folds it into the state;
`replay` folds an entry read back from the journal, with the verdict that was taken then.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, assert_never

from schedulers.base import Continue, Decision, Decisions, Exploit, Pause, Resize, Save, Stop
from tune.machine.events import (
    CheckpointRefused,
    Closing,
    Command,
    Decided,
    Dismissed,
    Ended,
    Entry,
    Event,
    ExploitDropped,
    Exploited,
    Failed,
    Interrupted,
    Launched,
    Opened,
    ParameterGiven,
    Reopened,
    Reported,
    Saved,
    Suggested,
    Verdict,
)
from tune.machine.orders import request_of
from tune.machine.payers import judged
from tune.machine.plan import Plan
from tune.machine.policies import Policies
from tune.machine.prospects import Prospects
from tune.machine.stopping import nested
from tune.machine.trial import Trial, TrialState

log = logging.getLogger(__name__)

_CONTINUE = Verdict()


class Experiment(Prospects):
    """An experiment that decides on what happens, tells its policies, and holds the entries not yet journaled.

    `position` counts the entries.
    """

    def __init__(self, plan: Plan, policies: Policies) -> None:
        super().__init__(plan, policies)
        self.position = 0
        self._fresh: list[Entry] = []
        self._said: set[str] = set()

    # What happened, and what to do about it.

    def handle(self, event: Event, time: float, wall: float) -> list[Command]:
        """Take in an event that happened at `time` (seconds of the experiment's life, never less than before)."""
        self._pass_time(time)
        event = self._complete(event)
        result = self._result_of(event, wall)
        decision, others = self._ask(event, result)
        commands: list[Command] = []
        if closing := self._closing_by(event, result):  # first, so that this very report is answered by it
            commands += self.handle(closing, self.time, wall)
        verdict = self._verdict(event, result, decision)
        iteration = self._iteration(event, result)
        commands += self.apply(event, verdict, result)
        self.position += 1
        self._fresh.append(Entry(self.time, wall, event, verdict, iteration, self._state(event)))
        others = {**others, **self._tell(event)}
        commands += self._consequences(event, wall)
        commands += self._carry_out(others, event, wall)
        for off in self.policies.take_switched_off():
            commands += self.handle(off, time, wall)
        return commands

    def replay(self, entry: Entry) -> None:
        """Take in an entry read back; the policies are told what they were told then, and their answers dropped."""
        self._pass_time(entry.time)
        event = _as_taken(entry)
        result = self._result_of(event, entry.wall)
        self._ask(event, result)
        self._closing_by(event, result)
        self.apply(event, entry.verdict, result)
        self.position += 1
        self._tell(event)
        self._following(event)

    def _pass_time(self, time: float) -> None:
        self.time = max(time, self.time)
        self.policies.time_passed(self.time)

    def take_entries(self) -> list[Entry]:
        """The entries since the last call, to be journaled before any command is carried out."""
        fresh, self._fresh = self._fresh, []
        return fresh

    # Deciding.

    def _complete(self, event: Event) -> Event:
        """Add what only the machine knows: what a failure means, and whether it is the trial's last."""
        if not isinstance(event, Failed):
            return event
        trial, failure = self.trials[event.trial_id], event.failure
        if failure.kind == "killed" and trial.timed_out:
            stood = f"{trial.timed_out}. It stood here:\n{failure.traceback}" if failure.traceback else ""
            failure = replace(failure, kind="timed_out", summary=trial.timed_out, traceback=stood)
        failure, final = judged(self.plan, trial, failure)
        return replace(event, failure=failure, final=final)

    def _result_of(self, event: Event, wall: float) -> dict[str, Any] | None:
        match event:
            case Reported() | Ended() if event.metrics is not None:
                trial = self.trials[event.trial_id]
            case _:
                return None
        result = trial.result(event.metrics, event.seconds, wall)
        if event.pid is not None:
            result["pid"], result["hostname"] = event.pid, event.hostname
        for name in self.plan.decisive:
            if name not in result and (value := nested(result, name)) is not None:
                result[name] = value
        return result

    def _iteration(self, event: Event, result: dict[str, Any] | None) -> int | None:
        if result is not None:
            assert isinstance(event, Reported | Ended)
            return self.trials[event.trial_id].totals.iteration + 1
        match event:
            case CheckpointRefused():  # where it goes on instead
                earlier = self.trials[event.trial_id].checkpoint_before(event.checkpoint)
                return earlier.iteration if earlier else None
            case Launched() | Saved() | Exploited() if event.checkpoint:
                return event.checkpoint.iteration
            case _:
                return None

    def _state(self, event: Event) -> str | None:
        trial_id = getattr(event, "trial_id", None)
        return None if trial_id is None else self.trials[trial_id].state.value

    def _verdict(self, event: Event, result: dict[str, Any] | None, decision: Decision | None) -> Verdict | None:
        if not isinstance(event, Reported) or result is None or decision is None:
            return None
        decision = self._feasible(event, decision)
        if not event.seq:
            if not isinstance(decision, Continue):
                log.error("%s: %r on a result that needed no answer, by its scheduler", event.trial_id, decision)
            return _CONTINUE if isinstance(decision, Continue) else Verdict(decision)
        trial = self.trials[event.trial_id]
        save = event.offers and self._save_wanted(trial, decision)
        going_on = isinstance(decision, Continue) and not save
        return Verdict(decision, save, self._free_until(trial, result["training_iteration"]) if going_on else 0)

    def _feasible(self, event: Reported | Decided, decision: Decision) -> Decision:
        """`decision` as data, if it can be carried out; otherwise the trial goes on, and the log says why."""
        match decision:
            case Exploit(donor, config):
                if donor in self.trials:
                    if isinstance(event, Reported) and not _has_checkpoint(event):
                        self._warn_of_copying(event.trial_id, donor)
                    return replace(decision, config=dict(config))
                log.error("%s shall copy trial %r, which does not exist", event.trial_id, donor)
                return Continue()
            case Resize(resources):
                decision = replace(decision, resources=dict(resources))
                why = self._unfit(event, decision)
                if why:
                    self._say_once(f"{event.trial_id} keeps its resources, and so will others: {why}", why)
                return Continue() if why is not None else decision
            case _:
                return decision

    def _warn_of_copying(self, trial_id: str, donor: str) -> None:
        if self.trials[donor].checkpoint is None:
            words = "trials without checkpoints cannot be copied; give one to tune.report(..., checkpoint=...)"
            self._say_once(f"{trial_id} shall copy {donor}, but {words}", words)

    def _say_once(self, words: str, about: str) -> None:
        if about not in self._said:
            self._said.add(about)
            log.warning("%s", words)

    def _unfit(self, event: Reported | Decided, resize: Resize) -> str | None:
        """Why a trial cannot be given other resources; empty when it has them already."""
        request = self.trials[event.trial_id].request
        if request is None or len(request.bundles) > 1 or request.gang:
            return "only trials of one bundle, the same for all, can be given others"
        try:
            wished = request_of(resize.resources)
        except ValueError as error:
            return str(error)
        if wished == request:
            return ""
        if self.trials[event.trial_id].state.live and not (isinstance(event, Reported) and _has_checkpoint(event)):
            return "a trial is given others only when it reports with a checkpoint"
        return None

    def _ask(self, event: Event, result: dict[str, Any] | None) -> tuple[Decision | None, Decisions]:
        """The policies' decisions on a report, about its trial and about others.

        Iterations repeated after a restart are not told twice, and go on.
        """
        if not isinstance(event, Reported) or result is None:
            return None, {}
        trial = self.trials[event.trial_id]
        iteration = trial.totals.iteration + 1
        if iteration == trial.told_iteration and (owed := trial.saving.owed) is not None:
            return owed, {}
        if iteration <= trial.told_iteration:
            return self.policies.done(result) or Continue(), {}
        return self.policies.judge(trial, result)

    def _carry_out(self, decisions: Decisions, event: Event, wall: float) -> list[Command]:
        """Let each decision that `event` led to about another trial be an event of its own."""
        commands: list[Command] = []
        for trial_id, decision in decisions.items():
            trial = self.trials.get(trial_id)
            if trial is None:
                log.error("the scheduler decided %r about trial %r, which does not exist", decision, trial_id)
                continue
            decided = Decided(trial_id, decision, getattr(event, "trial_id", ""))
            decided = replace(decided, decision=self._feasible(decided, decision))
            if not trial.state.final and not isinstance(decided.decision, Continue):
                commands += self.handle(decided, self.time, wall)
        return commands

    def _save_wanted(self, trial: Trial, decision: Decision) -> bool:
        keep = self.plan.retention
        if trial.told_to_leave:  # and reports all the same: it had its chance
            return False
        goes_by_itself = trial.state is TrialState.RUNNING and not isinstance(decision, Exploit)
        if goes_by_itself and trial.saving.is_asked_for(trial.totals.iteration + 1):
            return True
        match decision:
            case Save() | Pause() | Resize():
                return True
            case Exploit(donor):
                goes_on = self._to_copy(self.trials[donor]) is None
                return donor == trial.trial_id or (goes_on and self._is_due(trial))
            case Stop():
                return keep.at_end
            case Continue():
                if trial.state is not TrialState.RUNNING:
                    return keep.at_end if trial.state is TrialState.STOPPING else not trial.becomes_copy
                return self._is_due(trial)
            case _:
                assert_never(decision)

    def _is_due(self, trial: Trial) -> bool:
        frequency = self.plan.retention.frequency
        return frequency > 0 and (trial.totals.iteration + 1) % frequency == 0

    def _consequences(self, event: Event, wall: float) -> list[Command]:
        """Handle the events that follow at once from `event`."""
        commands: list[Command] = []
        for each in self._following(event) + self._copies_following(event):
            commands += self.handle(each, self.time, wall)
        return commands

    def _following(self, event: Event) -> list[Event]:
        match event:
            case Opened():
                return [Interrupted(trial_id, again=True) for trial_id in self.live]
            case Ended() if event.metrics is not None and (why := self.policies.wants_end()) and self.closing is None:
                return [Closing(why)]
            case Failed(trial_id) if self.plan.fail_fast and self.closing is None:
                failed = self.trials[trial_id].state is TrialState.ERROR
                return [Closing(f"{trial_id} failed and fail_fast is set")] if failed else []
            case _:
                return []

    def _copies_following(self, event: Event) -> list[Event]:
        """What becomes of planned copies by what happened to a trial or to its donor."""
        if not self.copying:
            return []
        changes = isinstance(event, Reported | Saved | Decided | Ended | Failed | Interrupted | Dismissed)
        taken_up = isinstance(event, Opened) and not self.live  # otherwise when those are known to be interrupted
        due = self.copies_due() if changes or taken_up else []
        for dropped in due:
            if isinstance(dropped, ExploitDropped):
                self._warn_of_copying(dropped.trial_id, dropped.donor)
        return [*due]

    def _closing_by(self, event: Event, result: dict[str, Any] | None) -> Closing | None:
        """How a result ends the whole experiment: it lacks a name that decisions rest on, or the stopper says so."""
        if result is None or not isinstance(event, Reported | Ended):
            return None
        # Asked at each report, live and on replay alike: a stopper may count how often it is.
        stopped = self.policies.wants_end() if isinstance(event, Reported) else ""
        missing = "" if self.names_known else self.policies.missing(event.trial_id, result)
        self.names_known = not missing
        if self.closing is not None or not (missing or stopped):
            return None
        return Closing("a name was never reported", keep=True, error=missing) if missing else Closing(stopped)

    def _tell(self, event: Event) -> Decisions:
        """Tell the policies what became of trials; what they decide on that about others."""
        match event:
            case Opened():
                self.policies.opened(event.resources)
            case Suggested() | Reopened():
                self.policies.added(self.trials[event.trial_id])
            case Launched():
                self.policies.launched(self.trials[event.trial_id])
            case ParameterGiven():
                self.policies.given(event)
            case Ended() | Failed() | Interrupted():
                self._tell_of_ending(event)
        return self._tell_of_the_ended()

    def _tell_of_ending(self, event: Ended | Failed | Interrupted) -> None:
        trial = self.trials[event.trial_id]
        if trial.state is TrialState.PAUSED:
            self.policies.paused(trial)
        if isinstance(event, Ended) and event.metrics is not None and trial.last_result is not None:
            self.policies.returned(trial, trial.last_result)

    def _tell_of_the_ended(self) -> Decisions:
        decisions: Decisions = {}
        while self.just_ended:
            trial = self.just_ended.pop(0)
            failed = trial.state is TrialState.ERROR
            more = self.policies.failed(trial) if failed else self.policies.completed(trial)
            decisions = {**decisions, **more}
        return decisions


def _as_taken(entry: Entry) -> Event:
    """The event as it was taken in: there are journals in which a last failure did not end a trial that was leaving."""
    event = entry.event
    if isinstance(event, Failed) and event.final and entry.state and not TrialState(entry.state).final:
        return replace(event, final=False)
    return event


def _has_checkpoint(event: Reported) -> bool:
    """Whether the trial has saved, saves, or could save what it reports."""
    return event.offers or event.saves or event.checkpoint is not None
