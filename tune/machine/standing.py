"""Where an experiment stands, and the small moves that its fold is made of: states, checkpoints, answers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tune.machine import retention
from tune.machine.events import (
    Answer,
    CheckpointRef,
    Closing,
    Command,
    DeleteCheckpoint,
    Ended,
    GoOn,
    Leave,
    Reported,
    SaveNow,
    SwitchedOff,
)
from tune.machine.hoard import Hoard, Offer
from tune.machine.merit import NO_MERIT, merit_of
from tune.machine.plan import Plan
from tune.machine.totals import Point
from tune.machine.trial import Trial, TrialState, Turn

_INTERRUPTIONS = (Turn.INTERRUPTED, Turn.INTERRUPTED_SAVING)


class Standing:
    """Where an experiment stands. Read its fields freely; only the fold changes them.

    `waiting`, `paused` and `live` index the trials that are not over, oldest first. `displaced` are those that wait to
    go on at once: the run was interrupted while they ran, or they left to go on as another's copy or with other
    resources. `leaving` are those whose time to end is running, `copying` those that shall become a copy: what such a
    one would do before, it would do in vain, so while it does not run it is in none of the former, unless it is its own
    donor, or was interrupted while it went on until its donor had saved. `resting` are pending too, but wait for their
    time before they may start again. `switched_off` are the policies and callbacks that raised too often since the
    experiment was taken up.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.trials: dict[str, Trial] = {}
        self.waiting: dict[str, Trial] = {}
        self.paused: dict[str, Trial] = {}
        self.live: dict[str, Trial] = {}
        self.resting: dict[str, Trial] = {}
        self.displaced: dict[str, Trial] = {}
        self.leaving: dict[str, Trial] = {}
        self.copying: dict[str, Trial] = {}
        self.just_ended: list[Trial] = []
        self.time = 0.0
        self.closing: Closing | None = None
        self.search_over = False
        self.search_error = ""
        self.switched_off: list[SwitchedOff] = []
        self.finished = False
        self.results = 0
        self.best: Trial | None = None
        self.best_result: dict[str, Any] | None = None
        self.best_merit = NO_MERIT
        self._holders: Counter[str] = Counter()
        self._hoard = Hoard(plan.retention.max_total_bytes)

    @property
    def kept_checkpoints(self) -> list[CheckpointRef]:
        """Every checkpoint that a trial may still start from, or another copy."""
        kept = [one for trial in self.trials.values() for one in trial.checkpoints]
        return kept + [trial.copy.checkpoint for trial in self.copying.values() if trial.copy and trial.copy.checkpoint]

    # Results and answers.

    def _take_result(self, trial: Trial, event: Reported | Ended, result: dict[str, Any]) -> None:
        trial.totals = trial.totals.add(event.metrics or {}, event.seconds)
        if event.pid is not None:
            trial.pid, trial.hostname = event.pid, event.hostname
        if trial.totals.iteration > trial.told_iteration:
            trial.barren_deaths = []
        trial.told_iteration = max(trial.told_iteration, trial.totals.iteration)
        trial.last_result = result
        self.results += 1
        if self.plan.metrics:
            merit = merit_of(self.plan, result)
            # Of equals the one that was suggested first, as the results have it.
            earlier = self.best is not None and merit == self.best_merit > NO_MERIT and trial.number < self.best.number
            if merit > self.best_merit or earlier:
                self.best, self.best_merit, self.best_result = trial, merit, result

    def _answer(self, trial: Trial, free_until: int = 0) -> Answer:
        if trial.state is TrialState.RUNNING:
            return GoOn(free_until)
        trial.told_to_leave = True
        if trial.saving.aside is not None:  # first it finishes that
            self._wait_for_save(trial)
        else:
            self._expect_end(trial, self.plan.grace_s)
        return Leave(trial.reason)

    def _ask_to_save(self, trial: Trial) -> Answer:
        self._expect_save(trial)
        return SaveNow()

    def _expect_save(self, trial: Trial) -> None:
        trial.saving.begin()
        self._wait_for_save(trial)

    def _wait_for_save(self, trial: Trial) -> None:
        """A save may take as long as it takes, unless somebody waits for the run to be interrupted."""
        if self.closing is None or not self.closing.keep:
            trial.deadline = None
            self.leaving.pop(trial.trial_id, None)

    def _expect_end(self, trial: Trial, within_s: float) -> None:
        """Give a trial that was told to end its time; one that reports again meanwhile gets no more."""
        if trial.deadline is None:
            trial.deadline = self.time + within_s
            self.leaving[trial.trial_id] = trial

    # Checkpoints. Several trials may hold the same one: it goes when the last of them lets go of it.

    def _keep(self, trial: Trial, checkpoint: CheckpointRef, point: Point) -> list[Command]:
        known = checkpoint in trial.checkpoints  # a copy of what it has already does not count twice
        if known:
            trial.checkpoints.remove(checkpoint)
        before = trial.checkpoint
        trial.checkpoints.append(checkpoint)
        trial.points[checkpoint.path] = point
        if not known:
            self._hold(checkpoint)
        gone: list[Command] = []
        for one in retention.superfluous(self.plan, trial):
            gone += self._drop(trial, one)
        if before in trial.checkpoints:
            self._hoard.offer(trial.trial_id, before, trial.points[before.path].score)
        return gone + self._spend_less()

    def _keep_less(self, trial: Trial) -> list[Command]:
        """Take back what a trial that has just ended needs no more."""
        if trial.state is not TrialState.TERMINATED:
            return []
        if self.plan.retention.num_to_keep == 0:
            return self._forget_checkpoints(trial)
        if trial.checkpoint is not None:
            self._hoard.offer(trial.trial_id, trial.checkpoint, trial.points[trial.checkpoint.path].score, latest=True)
        return self._spend_less()

    def _spend_less(self) -> list[Command]:
        """Drop checkpoints until their bytes are within the experiment's budget, or no more may go."""
        commands: list[Command] = []
        spared: list[Offer] = []
        while (offer := self._hoard.next_to_go()) is not None:
            trial = self.trials[offer.trial_id]
            if trial is self.best and offer.latest:
                spared.append(offer)
            elif trial.checkpoint != offer.checkpoint or trial.state is TrialState.TERMINATED:
                commands += self._drop(trial, offer.checkpoint)
        for offer in spared:
            self._hoard.put_back(offer)
        return commands

    def _drop(self, trial: Trial, checkpoint: CheckpointRef) -> list[Command]:
        trial.checkpoints.remove(checkpoint)
        self._hoard.withdraw(trial.trial_id, checkpoint)
        del trial.points[checkpoint.path]
        return [*self._let_go(checkpoint)]

    def _hold(self, checkpoint: CheckpointRef) -> None:
        self._holders[checkpoint.path] += 1
        if self._holders[checkpoint.path] == 1:
            self._hoard.bytes += checkpoint.bytes

    def _forget_checkpoints(self, trial: Trial) -> list[Command]:
        held, trial.checkpoints = trial.checkpoints, []
        for one in held:
            self._hoard.withdraw(trial.trial_id, one)
        trial.points.clear()
        return [command for one in held for command in self._let_go(one)]

    def _let_go(self, checkpoint: CheckpointRef) -> Sequence[DeleteCheckpoint]:
        self._holders[checkpoint.path] -= 1
        if self._holders[checkpoint.path] > 0:
            return []
        del self._holders[checkpoint.path]
        self._hoard.bytes -= checkpoint.bytes
        return [DeleteCheckpoint(checkpoint)]

    # States.

    def _move(self, trial: Trial, turn: Turn) -> None:
        """Take a turn and keep the indexes by state: the only place that touches either."""
        was = trial.state
        trial.turn(turn)
        if trial.state is not TrialState.PENDING:
            trial.rests_until = None
        name, state = trial.trial_id, trial.state
        trial.displaced = state is TrialState.PENDING and (turn in _INTERRUPTIONS or was is TrialState.SUSPENDING)
        self._file(trial)
        if state.final:
            self.just_ended.append(trial)
        if not state.live:
            trial.deadline = None
            self.leaving.pop(name, None)

    def _wake(self, trial: Trial) -> None:
        """A trial that rested may start."""
        trial.rests_until = None
        self._file(trial)

    def _file(self, trial: Trial) -> None:
        """Put a trial into the indexes where it belongs now, and nowhere else."""
        goes_on_meanwhile = trial.copies_itself or (trial.displaced and not trial.becomes_copy)
        startable, rests = trial.copy is None or goes_on_meanwhile, trial.rests_until is not None
        pending, paused = trial.state is TrialState.PENDING, trial.state is TrialState.PAUSED
        for index, belongs in (
            (self.waiting, pending and startable and not rests),
            (self.resting, pending and startable and rests),
            (self.paused, paused and startable),
            (self.live, trial.state.live),
            (self.displaced, trial.displaced and startable),
        ):
            if not belongs:
                index.pop(trial.trial_id, None)
            elif trial.trial_id not in index:
                index[trial.trial_id] = trial


def derive_seed(seed: int, number: int) -> int:
    """A trial's own seed, 32 bits: the same for each of its attempts."""
    digest = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
