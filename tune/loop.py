"""Joins machine, journal and executor: the only room that knows all three.

One turn of the loop: fill the free room, commit what happened (the journal then lets the commands out), wait for the
next events. Nothing leaves this process before the entry that led to it is committed.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import assert_never

from executor import messages
from executor.errors import InfeasibleRequestError
from executor.interface import Prepared, TrialExecutor
from executor.messages import Call, Reservation
from searchers.base import FINISHED
from searchers.domain import Domain
from tune.machine.events import (
    CheckpointRefused,
    Closing,
    Command,
    DeleteCheckpoint,
    Ended,
    Entry,
    Event,
    Failed,
    Failure,
    Kill,
    Launched,
    Nudge,
    Opened,
    ParameterGiven,
    Reply,
    Reported,
    Saved,
    SearchEnded,
    Start,
    Suggested,
    Take,
)
from tune.machine.experiment import Experiment, Wanted
from tune.storage import checkpoints
from tune.storage.directory import LOGS
from tune.storage.journal import Journal
from tune.worker.messages import Ask, Outcome, Refuse, Report, Save, Task

log = logging.getLogger(__name__)

Observer = Callable[[Entry], None]


class Loop:
    """Runs one experiment from where it stands to its end."""

    def __init__(
        self,
        experiment: Experiment,
        executor: TrialExecutor,
        journal: Journal,
        program: Prepared,
        directory: Path,
        *,
        reuse: bool = False,
        logs: bool = True,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._experiment = experiment
        self._executor = executor
        self._journal = journal
        self._program = program
        self._directory = directory
        self._reuse = reuse
        self._logs = str(directory / LOGS) if logs else None
        self._observers = list(observers)
        self._calls: dict[str, tuple[str, int]] = {}
        self._rooms: dict[str, Reservation] = {}
        self._idle: list[Reservation] = []
        self._commands: list[Command] = []
        self._warned = False
        self._error: Exception | None = None
        self._interrupts = 0
        self._interrupts_taken = 0
        self._clock_at_start = executor.clock() - experiment.time
        self._remover: ThreadPoolExecutor | None = None

    def run(self) -> None:
        """Run until nothing is left to do.

        Raises:
            InfeasibleRequestError: a trial asks for what no node has; the others were saved, and the run may go on.
        """
        self._handle(Opened(self._executor.nodes()[0].name))
        while True:
            self._fill()
            self._commit()
            if self._experiment.idle:
                break
            for event in self._executor.events(self._until()):
                self._take(event)
            for due in self._experiment.due(self._now()):
                self._handle(due)
            self._take_interrupts()
        for last in self._experiment.ending():
            self._handle(last)
        self._commit()
        self._journal.flush()
        for reservation in self._idle:
            self._executor.release(reservation)
        if self._remover:
            self._remover.shutdown()
        if self._error is not None:
            raise self._error

    def observe(self, observer: Observer) -> None:
        """Tell `observer` every entry from now on."""
        self._observers.append(observer)

    def interrupt(self) -> None:
        """Ask running trials to save and stop; a second time ends them at once. Safe in a signal handler."""
        self._interrupts += 1
        self._executor.wake()

    # Time.

    def _now(self) -> float:
        return self._executor.clock() - self._clock_at_start

    def _until(self) -> float | None:
        deadline = self._experiment.next_deadline
        return None if deadline is None else deadline + self._clock_at_start

    # Events in.

    def _handle(self, event: Event) -> None:
        self._commands += self._experiment.handle(event, self._now(), self._executor.wall_clock())

    def _take(self, event: messages.Event) -> None:
        if isinstance(event, messages.RoomFreed):
            return
        trial_id, attempt = self._calls[event.call_id]
        match event:
            case messages.Emitted():
                if self._experiment.current(trial_id, attempt):
                    self._take_emission(trial_id, attempt, event)
                return
            case messages.Returned(value=Outcome(by_order, metrics, seconds, process)):
                following: Event = Ended(trial_id, attempt, by_order, metrics, seconds, *(process or ()))
            case messages.Returned():
                following = Ended(trial_id, attempt)
            case messages.Raised(error=error):
                failure = Failure("raised", str(error), error.traceback, error.where, error.log_tail)
                following = Failed(trial_id, attempt, failure)
            case messages.Died(cause=cause):
                kind = "killed" if cause.killed else "died"
                following = Failed(trial_id, attempt, Failure(kind, str(cause), log_tail=cause.log_tail))
            case _:
                assert_never(event)
        del self._calls[event.call_id]
        self._leave_room(event, self._rooms.pop(event.call_id))
        self._handle(following)

    def _take_emission(self, trial_id: str, attempt: int, event: messages.Emitted) -> None:
        seq = event.seq if event.waits else 0
        match event.payload:
            case Report(metrics, seconds, checkpoint, offers, process):
                who = process or ()
                self._handle(Reported(trial_id, attempt, seq, metrics, seconds, checkpoint, offers, *who))
            case Save(checkpoint):
                self._handle(Saved(trial_id, attempt, seq, checkpoint))
            case Ask(name, domain):
                self._answer(trial_id, attempt, seq, name, domain)
            case Refuse(checkpoint, why):
                log.warning("%s: a damaged checkpoint is passed over: %s", trial_id, why)
                self._handle(CheckpointRefused(trial_id, attempt, seq, checkpoint, why))
            case _:
                raise TypeError(f"{trial_id} sent {event.payload!r}")

    def _answer(self, trial_id: str, attempt: int, seq: int, name: str, domain: Domain) -> None:
        """Give a define-by-run trial its parameter: as before when it was given, else as the searcher says."""
        config = self._experiment.trials[trial_id].config
        if name in config:
            self._commands.append(Reply(trial_id, attempt, seq, Take(config[name])))
            return
        value = self._experiment.policies.parameter(trial_id, name, domain)
        self._handle(ParameterGiven(trial_id, attempt, seq, name, domain, value))

    def _leave_room(self, event: messages.Event, reservation: Reservation) -> None:
        """Keep the worker's room for the next trial, or give it back."""
        if self._reuse and isinstance(event, messages.Returned):
            self._idle.append(reservation)
        else:
            self._executor.release(reservation)

    def _take_interrupts(self) -> None:
        while self._interrupts_taken < self._interrupts:
            self._interrupts_taken += 1
            if self._experiment.closing is None:
                self._handle(Closing("interrupted", keep=True))
            else:
                for trial in self._experiment.live.values():
                    self._commands.append(Kill(trial.trial_id, trial.attempt, "interrupted"))

    # New trials.

    def _fill(self) -> None:
        """Start what should start next for as long as there is room."""
        while (wanted := self._wanted()) is not None:
            if wanted.request is None:
                if self._suggest() is None:
                    return
                continue
            reservation = self._reserve(wanted)
            if reservation is None:
                return
            trial_id = wanted.trial_id or self._suggest()
            if trial_id is None:
                self._idle.append(reservation)
                return
            launched = self._experiment.launch(trial_id)
            self._warn_of_starting_over(launched)
            call_id = f"{trial_id}.{launched.attempt}"
            self._rooms[call_id] = reservation
            self._calls[call_id] = (trial_id, launched.attempt)
            self._handle(launched)

    def _wanted(self) -> Wanted | None:
        try:
            return self._experiment.wanted()
        except Exception as error:  # noqa: BLE001 (the user's own rule of what a configuration needs)
            self._give_up(error, "what a trial needs could not be found out")
            return None

    def _give_up(self, error: Exception, reason: str) -> None:
        """End the run in good order, and then by `error`."""
        self._error = error
        self._handle(Closing(reason, keep=True))

    def _reserve(self, wanted: Wanted) -> Reservation | None:
        request = wanted.request
        assert request is not None
        for at, reservation in enumerate(self._idle):
            if reservation.request == request:
                return self._idle.pop(at)
        try:
            found = self._executor.reserve(request)
        except InfeasibleRequestError as error:
            error.add_note(f"asked for by trial {wanted.trial_id}")
            self._give_up(error, "no node can ever hold a trial")
            return None
        while found is None and self._idle:
            self._executor.release(self._idle.pop())
            found = self._executor.reserve(request)
        return found

    def _suggest(self) -> str | None:
        """Ask the searcher for a new trial; None when it has none (now or ever)."""
        trial_id = self._experiment.next_trial_id
        try:
            config = self._experiment.policies.searcher.suggest(trial_id)
            if config is not None and config is not FINISHED and not isinstance(config, dict):
                raise TypeError(f"a configuration is a dictionary, suggest returned {config!r}")
        except Exception:
            log.exception("the search algorithm raised; no more trials are started")
            self._handle(SearchEnded(traceback.format_exc()))
            return None
        if config is None and self._experiment.live:
            return None
        if config is not None and config is not FINISHED and not isinstance(config, dict):
            self._handle(SearchEnded(f"the search algorithm suggested {config!r}, which is no dictionary"))
            return None
        if config is None or config is FINISHED:
            self._handle(SearchEnded())
            return None
        self._handle(Suggested(trial_id, config))
        return trial_id

    def _warn_of_starting_over(self, launched: Launched) -> None:
        """Say, once, that trials which go on have no checkpoint to go on from."""
        if launched.attempt > 1 and launched.checkpoint is None and not self._warned:
            self._warned = True
            log.warning(
                "%s starts again from the beginning, and so will others that pause or fail: it has no checkpoint;"
                " give one to tune.report(..., checkpoint=...)",
                launched.trial_id,
            )

    # Commands out.

    def _commit(self) -> None:
        """Hand what happened to the journal, which lets the commands out once it is written."""
        entries = self._experiment.take_entries()
        commands, self._commands = self._commands, []
        if entries or commands:
            self._journal.append(entries, partial(self._carry_out, commands) if commands else None)
        for entry in entries if self._observers else ():
            self._show(entry)

    def _show(self, entry: Entry) -> None:
        for observer in list(self._observers):
            try:
                observer(entry)
            except Exception:
                log.exception("%r raised and is told nothing more", observer)
                self._observers.remove(observer)

    def _carry_out(self, commands: Sequence[Command]) -> None:
        """Do what the machine wants done. Runs on the journal's thread."""
        for command in commands:
            match command:
                case Reply():
                    call_id = f"{command.trial_id}.{command.attempt}"
                    self._executor.reply(call_id, command.seq, command.answer)
                case Start():
                    self._start(command)
                case Nudge():
                    self._executor.cancel(f"{command.trial_id}.{command.attempt}")
                case Kill():
                    self._executor.kill(f"{command.trial_id}.{command.attempt}", command.reason)
                case DeleteCheckpoint():
                    self._delete(command)
                case _:
                    assert_never(command)

    def _start(self, command: Start) -> None:
        call_id = f"{command.trial_id}.{command.attempt}"
        reservation = self._rooms[call_id]
        resources = reservation.request.bundles[0].as_dict()
        task = Task(
            command.trial_id, command.attempt, command.config, command.checkpoint, resources, command.free_until
        )
        call = Call(
            call_id,
            task,
            seed=command.seed,
            fresh=not self._reuse,
            log_path=f"{self._logs}/{command.trial_id}.log" if self._logs else None,
        )
        self._executor.start(self._program, reservation, call)

    def _delete(self, command: DeleteCheckpoint) -> None:
        """Remove a checkpoint's files on a thread of their own: that may take long."""
        if self._remover is None:
            self._remover = ThreadPoolExecutor(1, "checkpoint-remover")
        self._remover.submit(checkpoints.delete, self._directory, command.checkpoint)
