"""The state of an experiment, and the fold that changes it: an event and the verdict on it in, commands out.

This is the only code that changes the state, live and on resume. It calls no policy, reads no clock and does no I/O.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, assert_never

from schedulers.base import Continue, Decision, Pause, Save, Stop
from tune.machine import retention
from tune.machine.events import (
    Answer,
    CheckpointRef,
    CheckpointRefused,
    Closing,
    Command,
    Decided,
    DeleteCheckpoint,
    Dismissed,
    Ended,
    Event,
    ExperimentEvent,
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
    TrialEvent,
    Verdict,
)
from tune.machine.plan import Plan
from tune.machine.trial import Trial, TrialState, Turn


class State:
    """Where an experiment stands. Read its fields freely; only `apply` changes them.

    `waiting`, `paused` and `live` index the trials that are not over, oldest first. `displaced` are those that wait
    because the run was interrupted while they ran; `leaving` those whose time to end is running.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.trials: dict[str, Trial] = {}
        self.waiting: dict[str, Trial] = {}
        self.paused: dict[str, Trial] = {}
        self.live: dict[str, Trial] = {}
        self.displaced: dict[str, Trial] = {}
        self.leaving: dict[str, Trial] = {}
        self.just_ended: list[Trial] = []
        self.time = 0.0
        self.closing: Closing | None = None
        self.search_over = False
        self.search_error = ""
        self.finished = False
        self.results = 0
        self.best: Trial | None = None
        self.best_result: dict[str, Any] | None = None
        self.best_merit = -math.inf

    def apply(self, event: Event, verdict: Verdict | None, result: dict[str, Any] | None) -> list[Command]:
        """Take in one event; `verdict` and `result` go with reports and are None otherwise."""
        if isinstance(event, ExperimentEvent):
            return self._apply_to_experiment(event)
        if isinstance(event, Suggested):
            trial = Trial(len(self.trials), event.trial_id, dict(event.config))
            self.trials[event.trial_id] = self.waiting[event.trial_id] = trial
            return []
        return self._apply_to_trial(self.trials[event.trial_id], event, verdict, result)

    def _apply_to_experiment(self, event: ExperimentEvent) -> list[Command]:
        match event:
            case Opened():
                self.closing, self.finished = None, False
                if self.search_error:
                    self.search_over, self.search_error = False, ""
            case SearchEnded():
                self.search_over, self.search_error = True, event.error
            case Closing():
                return self._close(event)
            case Finished():
                self.finished = True
            case _:
                assert_never(event)
        return []

    def _apply_to_trial(
        self, trial: Trial, event: TrialEvent, verdict: Verdict | None, result: dict[str, Any] | None
    ) -> list[Command]:
        match event:
            case Reported():
                assert verdict is not None
                assert result is not None
                return self._report(trial, event, verdict, result)
            case Decided():
                return self._decide(trial, event.decision)
            case Saved():
                deleted = self._keep(trial, event.checkpoint)
                return [*deleted, Reply(trial.trial_id, event.attempt, event.seq, self._answer(trial))]
            case ParameterGiven():
                trial.config[event.name] = event.value
                return [Reply(event.trial_id, event.attempt, event.seq, Take(event.value))]
            case CheckpointRefused():
                return self._refuse(trial, event)
            case Overdue():
                del self.leaving[trial.trial_id]
                return [Kill(event.trial_id, event.attempt, "it did not end in time after it was told to")]
            case Launched():
                return self._launch(trial, event)
            case Ended() | Failed() | Interrupted() | Dismissed():
                return self._end(trial, event, result)
            case Suggested():
                raise AssertionError("a suggested trial does not exist yet")
            case _:
                assert_never(event)

    def _close(self, event: Closing) -> list[Command]:
        self.closing = event
        commands: list[Command] = []
        for trial in list(self.live.values()):
            self._move(trial, Turn.TOLD_TO_SUSPEND if event.keep else Turn.TOLD_TO_STOP)
            trial.reason = trial.reason or event.reason
            trial.cut_short = True
            self._expect_end(trial, self.plan.suspend_s if event.keep else self.plan.grace_s)
            commands.append(Nudge(trial.trial_id, trial.attempt))
        return commands

    def _launch(self, trial: Trial, event: Launched) -> list[Command]:
        trial.attempt = event.attempt
        trial.reason, trial.cut_short, trial.told_to_leave, trial.pid = "", False, False, None
        trial.save_due = False
        trial.restore(event.checkpoint)
        self._move(trial, Turn.LAUNCHED)
        seed = derive_seed(self.plan.seed, trial.number)
        return [Start(trial.trial_id, event.attempt, dict(trial.config), seed, event.checkpoint, event.free_until)]

    def _report(self, trial: Trial, event: Reported, verdict: Verdict, result: dict[str, Any]) -> list[Command]:
        self._take_result(trial, event, result)
        commands: list[Command] = self._keep(trial, event.checkpoint) if event.checkpoint else []
        self._tell_running(trial, verdict.decision)
        if not event.seq:  # it went on; should it end all the same, its next report waits
            nudge = [] if trial.state is TrialState.RUNNING else [Nudge(trial.trial_id, trial.attempt)]
            return [*commands, *nudge]
        answer = self._ask_to_save(trial) if verdict.save else self._answer(trial, verdict.free_until)
        return [*commands, Reply(trial.trial_id, event.attempt, event.seq, answer)]

    def _tell_running(self, trial: Trial, decision: Decision) -> None:
        match decision:
            case Pause(reason):
                self._move(trial, Turn.TOLD_TO_PAUSE)
                trial.reason = reason
            case Stop(reason, complete):
                self._move(trial, Turn.TOLD_TO_STOP)
                trial.reason, trial.cut_short = reason, not complete
            case Continue() | Save():
                pass
            case _:
                assert_never(decision)

    def _decide(self, trial: Trial, decision: Decision) -> list[Command]:
        """Take in a decision about a trial that did not ask; one that runs learns of it at its next report."""
        if trial.state.live:
            self._tell_running(trial, decision)
            trial.save_due = trial.save_due or isinstance(decision, Save)
            return [Nudge(trial.trial_id, trial.attempt)] if trial.state is not TrialState.RUNNING else []
        if isinstance(decision, Stop):
            trial.reason, trial.cut_short = decision.reason, not decision.complete
            self._move(trial, Turn.DISMISSED)
        return []

    def _refuse(self, trial: Trial, event: CheckpointRefused) -> list[Command]:
        trial.checkpoints = [one for one in trial.checkpoints if one.path != event.checkpoint.path]
        trial.restore(trial.checkpoint)
        trial.saved_totals.pop(event.checkpoint.path, None)
        trial.scores.pop(event.checkpoint.path, None)
        return [Reply(trial.trial_id, event.attempt, event.seq, Take(trial.checkpoint))]

    def _end(
        self, trial: Trial, event: Ended | Failed | Interrupted | Dismissed, result: dict[str, Any] | None
    ) -> list[Command]:
        match event:
            case Ended():
                if result is not None and event.metrics is not None:
                    self._take_result(trial, event, result)
                # Who returned ran its course; an objective may also prune itself, unasked.
                trial.cut_short = event.by_order and (trial.cut_short or trial.state is TrialState.RUNNING)
                self._move(trial, Turn.LEFT if event.by_order else Turn.RETURNED)
            case Failed():
                if trial.charges(event.failure):
                    trial.failures += 1
                    trial.failure = event.failure
                self._move(trial, Turn.FAILED_FOR_GOOD if event.final else Turn.FAILED)
            case Interrupted():
                self._move(trial, Turn.INTERRUPTED)
            case Dismissed():
                trial.cut_short = True
                self._move(trial, Turn.DISMISSED)
            case _:
                assert_never(event)
        return []

    # Small moves that the fold is made of.

    def _take_result(self, trial: Trial, event: Reported | Ended, result: dict[str, Any]) -> None:
        trial.totals = trial.totals.add(event.metrics or {}, event.seconds)
        if event.pid is not None:
            trial.pid, trial.hostname = event.pid, event.hostname
        trial.told_iteration = max(trial.told_iteration, trial.totals.iteration)
        trial.last_result = result
        self.results += 1
        if self.plan.metrics:
            merit = retention.merit(self.plan, result)
            # Of equals the one that was suggested first, as the results have it.
            earlier = self.best is not None and merit == self.best_merit > -math.inf and trial.number < self.best.number
            if merit > self.best_merit or earlier:
                self.best, self.best_merit, self.best_result = trial, merit, result

    def _answer(self, trial: Trial, free_until: int = 0) -> Answer:
        if trial.state is TrialState.RUNNING:
            return GoOn(free_until)
        self._expect_end(trial, self.plan.grace_s)
        trial.told_to_leave = True
        return Leave(trial.reason)

    def _ask_to_save(self, trial: Trial) -> Answer:
        """A save may take as long as it takes, unless somebody waits for the run to be interrupted."""
        if self.closing is None or not self.closing.keep:
            trial.deadline = None
            self.leaving.pop(trial.trial_id, None)
        return SaveNow()

    def _keep(self, trial: Trial, checkpoint: CheckpointRef) -> list[Command]:
        trial.save_due = False
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
            self.leaving[trial.trial_id] = trial

    def _move(self, trial: Trial, turn: Turn) -> None:
        """Take a turn and keep the indexes by state: the only place that touches either."""
        was = trial.state
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
        if state is TrialState.PENDING and (turn is Turn.INTERRUPTED or was is TrialState.SUSPENDING):
            self.displaced[name] = trial
        else:
            self.displaced.pop(name, None)
        if state.final:
            self.just_ended.append(trial)
        if not state.live:
            trial.deadline = None
            self.leaving.pop(name, None)


def derive_seed(seed: int, number: int) -> int:
    """A trial's own seed, 32 bits: the same for each of its attempts."""
    digest = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
