"""The state of an experiment, and the fold that changes it: an event and the verdict on it in, commands out.

This is the only code that changes the state, live and on resume. It calls no policy, reads no clock and does no I/O.
"""

from __future__ import annotations

from typing import Any, assert_never

from executor.resources import Request
from schedulers.base import Pause, Stop
from tune.machine.events import (
    Begun,
    CheckpointRefused,
    Closing,
    Command,
    Decided,
    Dismissed,
    Ended,
    Event,
    Evicted,
    ExperimentEvent,
    ExploitDropped,
    Exploited,
    Failed,
    Failure,
    Finished,
    HeldUp,
    Interrupted,
    Kill,
    Launched,
    Nudge,
    Opened,
    Overdue,
    ParameterGiven,
    Reopened,
    Reply,
    Reported,
    ResizeDropped,
    Rested,
    SaveBegun,
    Saved,
    SaveFailed,
    SearchEnded,
    SetAside,
    SpaceChanged,
    Start,
    Suggested,
    SwitchedOff,
    Take,
    TimedOut,
    TrialEvent,
    Verdict,
)
from tune.machine.orders import Orders
from tune.machine.payers import Payer, pause_s, payer_of
from tune.machine.saving import Saving
from tune.machine.standing import derive_seed
from tune.machine.trial import Trial, TrialState, Turn


class State(Orders):
    """An experiment's standing, changed by events."""

    def apply(self, event: Event, verdict: Verdict | None, result: dict[str, Any] | None) -> list[Command]:
        """Take in one event; `verdict` and `result` go with reports and are None otherwise."""
        if isinstance(event, ExperimentEvent):
            return self._apply_to_experiment(event)
        if isinstance(event, Suggested):
            request = self.plan.request if isinstance(self.plan.request, Request) else None
            trial = Trial(len(self.trials), event.trial_id, dict(event.config), request=request)
            self.trials[event.trial_id] = self.waiting[event.trial_id] = trial
            return []
        return self._apply_to_trial(self.trials[event.trial_id], event, verdict, result)

    def _apply_to_experiment(self, event: ExperimentEvent) -> list[Command]:
        match event:
            case Opened():
                # The searcher is asked again: it may have been mended, or the space that was exhausted has grown.
                self.closing, self.finished, self.search_over, self.search_error = None, False, False, ""
                self.switched_off = []  # the same: whatever raised is tried again
            case SearchEnded():
                self.search_over, self.search_error = True, event.error
            case Closing():
                return self._close(event)
            case Finished():
                self.finished = True
            case HeldUp():
                self._excuse(event.seconds)
            case SwitchedOff():
                self.switched_off.append(event)
            case SpaceChanged():
                pass  # the searcher's to know, from its beginning
            case _:
                assert_never(event)
        return []

    def _apply_to_trial(
        self, trial: Trial, event: TrialEvent, verdict: Verdict | None, result: dict[str, Any] | None
    ) -> list[Command]:
        trial.heard_at = self.time
        match event:
            case Reported():
                assert verdict is not None
                assert result is not None
                return self._report(trial, event, verdict, result)
            case Decided() | Exploited() | ExploitDropped() | ResizeDropped() | Evicted():
                return self._apply_order(trial, event)
            case SaveBegun() | Saved() | SaveFailed():
                return self._take_save(trial, event)
            case ParameterGiven():
                trial.config[event.name] = event.value
                return [Reply(event.trial_id, event.attempt, event.seq, Take(event.value))]
            case CheckpointRefused():
                return self._refuse(trial, event)
            case Overdue() | TimedOut() | Begun() | Rested():
                return self._pass_by(trial, event)
            case Launched() | Reopened():
                return self._launch(trial, event) if isinstance(event, Launched) else self._reopen(trial, event)
            case Ended() | Failed() | Interrupted() | Dismissed():
                return self._end(trial, event, result)
            case Suggested():
                raise AssertionError("a suggested trial does not exist yet")
            case _:
                assert_never(event)

    def _take_save(self, trial: Trial, event: SaveBegun | Saved | SaveFailed) -> list[Command]:
        """How far a save is. A trial that saves aside waits for no answer, but perhaps in order to leave."""
        commands: list[Command] = []
        match event:
            case SaveBegun(seq=0):
                if not trial.told_to_leave:  # it had its chance
                    self._expect_save(trial)
            case SaveBegun():
                self._begin_aside(trial)
            case Saved():
                commands = self._keep_saved(trial, event.checkpoint)
            case SaveFailed():
                awaited = self._is_awaited(trial)
                trial.saving.fail(trial.totals.iteration, at_once=event.seq > 0, awaited=awaited)
        if event.seq:
            return [*commands, Reply(trial.trial_id, event.attempt, event.seq, self._answer(trial))]
        if trial.told_to_leave:
            self._expect_end(trial, self.plan.grace_s)
        return commands

    def _pass_by(self, trial: Trial, event: Overdue | TimedOut | Begun | Rested) -> list[Command]:
        """What time brings, or an attempt that begins within it."""
        match event:
            case Overdue():
                del self.leaving[trial.trial_id]
                return [Kill(event.trial_id, event.attempt, "it did not end in time after it was told to")]
            case TimedOut():
                trial.timed_out = event.why
                limit = self.plan.trial_timeout_s
                trial.time_is_spent = limit is not None and trial.lived_s + self.time - trial.launched_at >= limit
                return [Kill(event.trial_id, event.attempt, event.why, stacks=True)]
            case Begun():
                trial.has_begun = True
                if event.seq:
                    return [Reply(trial.trial_id, event.attempt, event.seq, self._answer(trial))]
            case Rested():
                self._wake(trial)
            case _:
                assert_never(event)
        return []

    def _excuse(self, seconds: float) -> None:
        """Have no trial's time run while it could only wait for us."""
        for trial in self.live.values():
            trial.launched_at = min(trial.launched_at + seconds, self.time)
            trial.heard_at = min(trial.heard_at + seconds, self.time)
        for trial in self.leaving.values():
            if trial.deadline is not None:
                trial.deadline += seconds

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

    def _reopen(self, trial: Trial, event: Reopened) -> list[Command]:
        trial.failures, trial.failure, trial.reason, trial.cut_short = 0, None, "", False
        trial.infra_failures, trial.barren_deaths, trial.lived_s = 0, [], 0.0
        trial.saving = Saving()
        self._move(trial, Turn.REOPENED)
        return self._forget_checkpoints(trial) if event.restart else []

    def _launch(self, trial: Trial, event: Launched) -> list[Command]:
        trial.attempt = event.attempt
        trial.reason, trial.cut_short, trial.told_to_leave, trial.pid = "", False, False, None
        trial.has_begun = trial.time_is_spent = False
        trial.saving.launch()
        trial.timed_out, trial.launched_at = "", self.time
        trial.request, trial.wished = trial.wished or trial.request, None
        trial.restore(event.checkpoint)
        self._move(trial, Turn.LAUNCHED)
        seed = derive_seed(self.plan.seed, trial.number)
        return [Start(trial.trial_id, event.attempt, dict(trial.config), seed, event.checkpoint, event.free_until)]

    def _report(self, trial: Trial, event: Reported, verdict: Verdict, result: dict[str, Any]) -> list[Command]:
        self._take_result(trial, event, result)
        commands = self._keep_saved(trial, event.checkpoint) if event.checkpoint else []
        if event.saves:
            self._begin_aside(trial)
        commands += self._order(trial, verdict.decision)
        iteration, saves = trial.totals.iteration, verdict.save or event.saves
        if not (saves or event.checkpoint) and iteration >= trial.saving.due:
            commands += self._hand_out(trial)
        trial.saving.take_report(iteration, saves=saves, caught_up=trial.has_caught_up, leaves=self._leaves(trial))
        if not event.seq:  # it went on; should it end all the same, its next report waits
            nudge = [] if trial.state is TrialState.RUNNING else [Nudge(trial.trial_id, trial.attempt)]
            return [*commands, *nudge]
        answer = self._ask_to_save(trial) if verdict.save else self._answer(trial, verdict.free_until)
        return [*commands, Reply(trial.trial_id, event.attempt, event.seq, answer)]

    @staticmethod
    def _leaves(trial: Trial) -> Pause | Stop | None:
        """How it was told to leave."""
        match trial.state:
            case TrialState.PAUSING:
                return Pause(trial.reason)
            case TrialState.STOPPING:
                return Stop(trial.reason, complete=not trial.cut_short)
            case _:
                return None

    def _refuse(self, trial: Trial, event: CheckpointRefused) -> list[Command]:
        refused = [one for one in trial.checkpoints if one.path == event.checkpoint.path]
        trial.checkpoints = [one for one in trial.checkpoints if one not in refused]
        for one in refused:
            self._hoard.withdraw(trial.trial_id, one)
        gone = [command for one in refused for command in self._let_go(one)]
        trial.restore(trial.checkpoint)
        trial.points.pop(event.checkpoint.path, None)
        aside = [SetAside(command.checkpoint) for command in gone]
        return [*aside, Reply(trial.trial_id, event.attempt, event.seq, Take(trial.checkpoint))]

    def _end(
        self, trial: Trial, event: Ended | Failed | Interrupted | Dismissed, result: dict[str, Any] | None
    ) -> list[Command]:
        if trial.state.live:
            trial.lived_s += self.time - trial.launched_at
        self._leave(trial, event, result)
        if trial.state is not TrialState.PENDING:
            trial.saving.forgive()
        commands = self._forget_copy(trial) if trial.state.final else []
        again = isinstance(event, Interrupted) and event.again and trial.state is TrialState.PENDING
        again = again and not trial.becomes_copy
        trial.saving.leave(again=again, due=trial.told_iteration if trial.copies_itself else 0)
        if not again:
            commands += self._hand_out(trial)
        return commands + self._keep_less(trial)

    def _leave(
        self, trial: Trial, event: Ended | Failed | Interrupted | Dismissed, result: dict[str, Any] | None
    ) -> None:
        match event:
            case Ended():
                if result is not None and event.metrics is not None:
                    self._take_result(trial, event, result)
                # Who returned ran its course; an objective may also prune itself, unasked.
                trial.cut_short = event.by_order and (trial.cut_short or trial.state is TrialState.RUNNING)
                self._move(trial, Turn.LEFT if event.by_order else Turn.RETURNED)
            case Failed():
                pays = self._charge(trial, event.failure)
                if event.final and pays:
                    self._stop_as_told(trial)
                self._move(trial, Turn.FAILED_FOR_GOOD if event.final and pays else Turn.FAILED)
            case Interrupted():
                self._move(trial, Turn.INTERRUPTED_SAVING if event.again and trial.leaves_saving else Turn.INTERRUPTED)
            case Dismissed():
                trial.cut_short = True
                self._stop_as_told(trial)
                self._move(trial, Turn.DISMISSED)
            case _:
                assert_never(event)

    def _stop_as_told(self, trial: Trial) -> None:
        """A trial that came back only in order to save is stopped as it was told to be, whatever ends it."""
        if isinstance(owed := trial.saving.owed, Stop):
            trial.reason, trial.cut_short = owed.reason, not owed.complete
            if trial.state is TrialState.RUNNING:
                self._move(trial, Turn.TOLD_TO_STOP)

    def _charge(self, trial: Trial, failure: Failure) -> bool:
        """Let who pays for `failure` do so; whether anybody does."""
        payer = payer_of(trial, failure)
        if payer is Payer.NOBODY:
            return False
        trial.failure = failure
        if failure.kind == "died":
            trial.barren_deaths = [*trial.barren_deaths, failure.summary]
        if payer is Payer.TRIAL:
            trial.failures += 1
            return True
        trial.infra_failures += 1
        if rest := pause_s(self.plan, trial):
            trial.rests_until = self.time + rest
        return True
