"""Joins machine, journal and executor: the only room that knows all three.

One turn of the loop: fill the free room, commit what happened (the journal then lets the commands out), wait for the
next events. Nothing leaves this process before the entry that led to it is committed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from queue import SimpleQueue

from executor import messages
from executor.interface import TrialExecutor
from executor.resources import Resources
from tune.asking import Asking, AskingInline
from tune.crew import Crew
from tune.hearing import Hearing
from tune.launching import Launching
from tune.machine.events import Closing, Command, Entry, Event, HeldUp, Opened
from tune.machine.experiment import Experiment
from tune.storage.journal import Journal

log = logging.getLogger(__name__)

Observer = Callable[[Entry], None]
Amending = Callable[[Experiment], Iterator[Event]]
"""What the user wants otherwise than it stands, one event after the other, once the experiment is open again."""

_PATIENCE_S = 0.2
_STANDSTILL_S = 1.0
_HELD_UP_S = 0.25


class Loop:
    """Runs one experiment from where it stands to its end."""

    def __init__(
        self,
        experiment: Experiment,
        executor: TrialExecutor,
        journal: Journal,
        crew: Crew,
        observers: Sequence[Observer] = (),
        asking: Asking | None = None,
    ) -> None:
        self._experiment = experiment
        self._executor = executor
        self._journal = journal
        self._crew = crew
        self._asking = asking or AskingInline(experiment.policies)
        self._hearing = Hearing(experiment, crew, self._asking, self._handle, self._order)
        self._launching = Launching(experiment, crew, self._asking, self._handle, self._give_up)
        self._observers = list(observers)
        self._commands: list[Command] = []
        self._error: Exception | None = None
        self._before_end: list[Callable[[], None]] = []
        self._posted: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._interrupts: list[str] = []
        self._interrupts_taken = 0
        self._clock_at_start = executor.clock() - experiment.time
        self._open = False
        self._attentive_at = executor.clock()
        self._lag_told = 0.0

    def open(self, amending: Amending | None = None) -> None:
        """Take the experiment up, for the first time or again, with what the user wants otherwise than it stands."""
        nodes = self._executor.nodes()
        total = sum((node.capacity for node in nodes), start=Resources())
        self._handle(Opened(nodes[0].name if nodes else "", total.as_dict()))
        for amended in amending(self._experiment) if amending else ():
            self._handle(amended)
        self._commit()
        self._open = True

    def run(self) -> None:
        """Run until nothing is left to do.

        Raises:
            InfeasibleRequestError: a trial asks for what no node has; the others were saved, and the run may go on.
            ClusterError: the cluster is gone; the same.
            ExperimentBusyError: another has taken the experiment up.
            JournalLostError: what happened cannot be kept any more; nothing was let out that is not.
        """
        try:
            if not self._open:
                self.open()
            while self.turn():
                pass
            for call in self._before_end:
                call()
            self._take_posted()
            for last in self._experiment.ending():
                self._handle(last)
            self._commit()
            self._journal.flush()
        finally:
            self._asking.close()
            self._crew.disband()
        if self._error is not None:
            raise self._error

    def turn(self) -> bool:
        """Start what can start, commit what happened, and take in what happens next; False when nothing is left."""
        self._launching.fill()
        self._commit()
        if self._experiment.idle:
            return False
        # While the journal is far behind, nothing more is taken in: then trials wait, and time goes on.
        if self._journal.catch_up(_PATIENCE_S):
            for event in self._next_events():
                self._hearing.take(event)
                if self._observers:  # who are to see each trial as this event left it
                    self._commit()
        self._asking.deliver()
        self._excuse_trials()
        for due in self._experiment.due(self._now()):
            self._handle(due)
        self._take_posted()
        self._take_interrupts()
        return True

    def observe(self, observer: Observer) -> None:
        """Tell `observer` every entry from now on."""
        self._observers.append(observer)

    def post(self, event: Event) -> None:
        """Have `event` taken in soon; safe from any thread."""
        self._posted.put(partial(self._handle, event))
        self._executor.wake()

    def close(self, reason: str) -> None:
        """Have running trials save and stop, and the run end; safe from any thread."""
        self._posted.put(partial(self._suspend, reason))
        self._executor.wake()

    def abandon(self, error: Exception) -> None:
        """End every trial at once, and the run with `error`; safe from any thread."""
        self._posted.put(partial(self._abandon, error))
        self._executor.wake()

    def before_end(self, call: Callable[[], None]) -> None:
        """Call `call` when nothing is left to do, before that is journaled."""
        self._before_end.append(call)

    @property
    def interrupts(self) -> int:
        """How often the run was interrupted."""
        return len(self._interrupts)

    def interrupt(self, by: str = "SIGINT") -> int:
        """Ask running trials to save and stop; a second time ends them at once. Safe in a handler of the signal `by`.

        Returns how often it was asked to.
        """
        self._interrupts.append(by)
        self._executor.wake()
        return len(self._interrupts)

    # Time.

    def _now(self) -> float:
        return self._executor.clock() - self._clock_at_start

    def _next_events(self) -> Sequence[messages.Event]:
        """What happened next, or nothing when it is time to look at the clock.

        When this very process stood still meanwhile (a laptop that slept, a debugger), its trials did too: that time
        does not count as any of the experiment's life.
        """
        self._excuse_trials()
        until = self._until()
        events = self._executor.events(until)
        self._attentive_at = self._executor.clock()
        if until is not None and self._executor.real_time:
            late = self._executor.clock() - until
            if late > _STANDSTILL_S:
                log.warning("this process stood still for %.1f s, which nobody is charged for", late)
                self._clock_at_start += late
        return events

    def _excuse_trials(self) -> None:
        """Charge no trial for the time in which a slow policy kept us from listening, or a slow disk our answers."""
        if not self._executor.real_time:
            return
        now, lag = self._executor.clock(), self._journal.lag_s
        self._lag_told = min(self._lag_told, lag)
        held_up = max(now - self._attentive_at, lag - self._lag_told)
        self._attentive_at = now
        if held_up > _HELD_UP_S and self._experiment.times_trials:
            self._lag_told = lag
            self._handle(HeldUp(held_up))

    def _until(self) -> float | None:
        deadline = self._experiment.next_deadline
        if deadline is None:
            return None
        deadline += self._clock_at_start
        return min(deadline, self._executor.clock() + _STANDSTILL_S) if self._executor.real_time else deadline

    # Events in.

    def _handle(self, event: Event) -> None:
        self._commands += self._experiment.handle(event, self._now(), self._executor.wall_clock())

    def _order(self, command: Command) -> None:
        self._commands.append(command)

    def _take_posted(self) -> None:
        while not self._posted.empty():
            self._posted.get()()

    def _take_interrupts(self) -> None:
        for by in self._interrupts[self._interrupts_taken :]:
            self._interrupts_taken += 1
            closing = self._experiment.closing
            if closing is None:
                self._handle(Closing("interrupted" if by == "SIGINT" else f"ended by {by}", keep=True, signal=by))
            elif self._interrupts_taken == 1:
                log.warning("the run is ending already (%s); once more ends it at once", closing.reason)
            else:
                self._crew.kill_all(f"it was interrupted twice, by {by}")

    # The end.

    def _give_up(self, error: Exception, reason: str) -> None:
        """End the run in good order, and then by `error`."""
        self._error = error
        self._suspend(reason)

    def _abandon(self, error: Exception) -> None:
        self._give_up(error, "it is another's now")
        self._crew.kill_all("the run was abandoned")

    def _suspend(self, reason: str) -> None:
        if self._experiment.closing is None:
            self._handle(Closing(reason, keep=True))

    # Commands out.

    def _commit(self) -> None:
        """Hand what happened to the journal, which lets the commands out once it is written."""
        entries = self._experiment.take_entries()
        commands, self._commands = self._commands, []
        if entries or commands:
            self._journal.append(entries, partial(self._crew.carry_out, commands) if commands else None)
        for entry in entries if self._observers else ():
            self._show(entry)

    def _show(self, entry: Entry) -> None:
        for observer in list(self._observers):
            try:
                observer(entry)
            except Exception:
                log.exception("%r raised and is told nothing more", observer)
                self._observers.remove(observer)
