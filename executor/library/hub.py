"""The middle of the library, in the driver: owns all objects, gives out all work, and hears all workers.

Whoever waits in the driver turns the hub meanwhile, so that an answer wakes the thread that wants it and no other. When
nobody waits, a thread of its own does, so that workers which ask for something never depend on what the driver does.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from executor.depot.store import Place
from executor.errors import ExecutorClosedError, ExecutorError, RuntimeEnvSetupError
from executor.interrupts import Interrupts, uninterrupted
from executor.library.actors import Actors
from executor.library.backend import Backend, WorkerLink, call_of
from executor.library.calls import Call, Calls, Submission
from executor.library.definitions import Definition
from executor.library.desk import Answer, Desk
from executor.library.echo import Echo
from executor.library.failures import pack_own
from executor.library.groups import Groups
from executor.library.hearing import Hearing
from executor.library.lending import Lending
from executor.library.objects import Objects
from executor.library.plans import MOST_RETURNS
from executor.library.tasks import Tasks
from executor.library.timers import Timers
from executor.library.turns import Turns
from executor.library.workers import Worker, Workers
from executor.messages import DeathCause, Died, Raised

if TYPE_CHECKING:
    from executor.library.abroad import Abroad

_DROPS_S = 0.25
_SLEEP_S = 0.05
_SOON_S = 0.01


# Of the process and not of a hub: a reference that outlives its executor means nothing to the next one.
_numbers = itertools.count(1)
_rows = itertools.count(1 << 48)  # times `MOST_RETURNS`: past all numbers that workers give


class Hub:
    """See the module. Everything that it holds is changed under the lock of its pool."""

    def __init__(self, backend: Backend, *, log_to_driver: bool = True, namespace: str | None = None) -> None:
        """`namespace` is that of the detached actors that are other drivers' for us; None for a caretaker of some."""
        self.backend = backend
        self.lock, self.ledger, self.store = backend.lock, backend.ledger, backend.store
        backend.on_gone, backend.on_room, backend.on_draining = self._gone, self.room_freed, self._leave_node
        self.objects = Objects(backend.give_back)
        self.calls = Calls(self.objects)
        self.calls.on_unread = self._cancel_unread
        self._echo = Echo() if log_to_driver else None
        self.workers = Workers(backend, self._echo)
        self.groups = Groups(self.ledger, self.objects)
        self.tasks = Tasks(self.calls, self.workers, self.ledger, self.groups, self._find_room)
        self.actors = Actors(self.calls, self.workers, self.ledger)
        self.actors.find_room, self.actors.on_more = self._find_room, self._weigh
        self.abroad = None if namespace is None else _abroad(self, namespace)
        self.desk = Desk(self)
        self.dropped: deque[int] = deque()
        """The objects that references in the driver were let go of."""
        self._causes: dict[str, DeathCause] = {}
        self._timers = Timers()
        self.afterwards: deque[Callable[[], None]] = deque()
        self._lending = Lending(self.tasks, self.actors, self.groups)
        self.workers.take = Hearing(self, self._lending).take
        self.is_closed = self._sleeps = False
        self._tend_at = 0.0
        self.interrupts = Interrupts()
        self.turns = Turns(self._turn, backend.wake, self.afterwards, self.interrupts)

    # Turning.

    def _turn(self, timeout_s: float | None) -> None:
        """Take in what happens, waiting for it at most so long."""
        now = time.monotonic()
        if now < self._tend_at and not self._lending.room_freed:
            due: float | None = _SOON_S  # it was looked after a moment ago, and will be again if nothing comes
        else:
            due = self._tend(now)
            self._tend_at = now + _SOON_S
        if due is not None and (timeout_s is None or due < timeout_s):
            timeout_s = due
        self._sleeps = timeout_s is None or timeout_s > _SLEEP_S
        self.backend.turn(timeout_s, self.interrupts, self._settle)
        self._sleeps = False

    def _settle(self) -> None:
        """See to what the events of a turn have brought about."""
        self._take_endings()
        if self.dropped:
            self.take_drops()
        if self._lending.room_freed:
            self._lending.use_room()

    @uninterrupted
    def _tend(self, now: float) -> float | None:
        """Do what is due by the clock; how long until the next of it."""
        with self.lock:
            dues = [self._timers.ring(now), self.tasks.recall_stuck(now), self.workers.end_idle(now), self.store.tidy()]
            if self.ledger.is_shared:
                dues += [self.tasks.return_idle(now), self.ledger.look_again(now)]
            if self._lending.room_freed:
                self._lending.use_room()
            if self._echo is not None:
                dues.append(self._echo.look(now, busy=bool(self.calls.open)))
                if self._echo.has_lines:
                    self.afterwards.append(self._echo.show)
            if self.dropped:
                self.take_drops()
            elif self.store.use().objects:
                dues.append(_DROPS_S)  # what the garbage collector lets go of wakes nobody
            known = [max(0.0, due) for due in dues if due is not None]
            return min(known) if known else None

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later, under the lock."""
        with self.lock:
            self._timers.set(time.monotonic() + seconds, action)
        self.backend.wake()

    # How workers end.

    def _take_endings(self) -> None:
        for event in self.backend.endings():
            if isinstance(event, Died):
                self._causes[event.call_id] = event.cause
            elif isinstance(event, Raised):
                self._causes[event.call_id] = DeathCause(killed=str(event.error))

    def _gone(self, link: WorkerLink) -> None:
        worker = self.workers.all.get(link.number)
        if worker is None or self.is_closed:
            return
        self._take_endings()
        self.bury(link, self._causes.pop(call_of(worker.number), DeathCause(killed="it was let go of")))

    def bury(self, link: WorkerLink, cause: DeathCause) -> None:
        """A worker is no more."""
        worker = self.workers.all[link.number]
        self.workers.forget(worker)
        if worker.unready is not None:
            self._end_unready(worker)
        if worker.actor is not None:
            self.actors.gone(worker, cause)
        elif self.tasks.runs(worker):
            self.tasks.gone(worker, cause)
        for number, count in list(worker.held.items()):
            for _ in range(count):
                self.objects.drop(number)
        for place in worker.places:
            self.backend.give_back(Place(place, "", 0, home=worker.where))
        self._lending.room_freed = True

    def _end_unready(self, worker: Worker) -> None:
        """Its surroundings could not be set up, and will not be the next time either."""
        error = pack_own(RuntimeEnvSetupError(worker.unready))
        if worker.actor is not None:
            worker.actor.error, worker.actor.restarts_left = error, 0
        for call in list(worker.running.values()):
            call.tries_left = 0
            del worker.running[call.number]
            if call.actor is None:
                self.calls.fail(call, error)

    def _find_room(self) -> bool:
        return self.tasks.release_idle()

    def _leave_node(self, node: str) -> None:
        self.tasks.leave_node(node)
        self.room_freed()

    def room_freed(self) -> None:
        """Something was given back: look who can use it, soon."""
        self._lending.room_freed = True
        self.backend.wake()

    def _weigh(self, worker: Worker) -> None:
        """It was sent more calls while others waited in it: it may be owed its cpus."""
        self._lending.weigh(worker)
        if self._lending.room_freed:
            self.backend.wake()

    def _cancel_unread(self, call: Call) -> None:
        self.desk.cancel(call, force=False, recursive=True)

    def take_drops(self) -> None:
        """Heed which references in the driver were let go of."""
        dropped, drop = self.dropped, self.objects.drop
        while dropped:
            drop(dropped.popleft())

    # Serving.

    def new_numbers(self, count: int) -> int:
        """The first of so many numbers in a row, for objects that the driver makes."""
        if count == 1:
            return next(_numbers)
        with self.lock:
            row = next(_rows)
            return row * MOST_RETURNS

    def define(self, definition: Definition) -> None:
        """Make a function or class known, under the lock."""
        if definition.digest not in self.workers.definitions:
            self.workers.learn(definition)

    @uninterrupted
    def submit(self, submission: Submission) -> None:
        """Take a call of the driver's."""
        with self.lock:
            if self.is_closed:
                self.check_open()
            if len(self.dropped) > 1000:
                self.take_drops()
            self.hand_on(submission, 0, 0)
            if self._sleeps and self.tasks.crowded:
                self.backend.wake()  # somebody has to see to it that nothing is stuck

    def hand_on(self, submission: Submission, caller: int, parent: int) -> None:
        """Give a call to whom it is for."""
        if submission.method is None:
            call = self.calls.begin(submission, caller, parent, submission.plan.max_retries)
            if (spot := submission.plan.spot) is not None:
                try:
                    self.groups.check(spot.group, spot.bundle, submission.plan.request)
                except ExecutorError as error:  # removed since, or its parent's group has no such bundle
                    self.calls.fail(call, pack_own(error))
                    return
            self.tasks.submit(call)
        else:
            actor = self.actors.all.get(submission.actor)
            tries = submission.plan.max_retries
            if tries < 0:
                tries = actor.plan.max_task_retries if actor is not None else 0
            self.actors.submit(self.calls.begin(submission, caller, parent, tries))

    def serve(self, verb: str, arguments: tuple[Any, ...], answer: Answer) -> None:
        """Do what the driver asks for, under the lock."""
        self.take_drops()
        self.desk.serve(0, 0, verb, arguments, answer)
        if self._lending.room_freed:
            self._lending.use_room()

    # Ending.

    def check_open(self) -> None:
        """See that there is somebody to do what is asked.

        Raises:
            ExecutorClosedError: it was shut down.
        """
        if self.is_closed:
            raise ExecutorClosedError("the executor was shut down: call executor.init() to open it again")
        self.backend.check_open()

    def close(self) -> None:
        """End everything, within about a second."""
        with self.lock:
            if self.is_closed:
                return
            self.is_closed = True
            self.interrupts.remove()
        self.turns.close()
        if self._echo is not None:
            self._echo.look_now()
            self._echo.show()
        self._fail_open_calls()
        self.backend.close()

    def _fail_open_calls(self) -> None:
        """Let go whoever waits for a future."""
        error = pack_own(ExecutorClosedError("the executor was shut down before the call ended"))
        with self.lock:
            for call in list(self.calls.open.values()):
                self.calls.fail(call, error)
        self.turns.call_back()

    def disown(self) -> None:
        """In a forked copy of the process: work for nobody."""
        self.is_closed = True


def _abroad(hub: Hub, namespace: str) -> Abroad | None:
    """The actors of other drivers, where there are such."""
    if hub.backend.mail is None:
        return None
    from executor.library.abroad import Abroad  # what it needs of the cluster nobody needs on one machine
    from executor.library.nodes import Nodes

    assert isinstance(hub.backend, Nodes), "only its nodes have other drivers"
    return Abroad(hub, hub.backend, hub.backend.mail, namespace)
