"""The worker processes of the library: started, spoken to, kept warm for a while, and let go of."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from executor.library.backend import Backend, WorkerLink
from executor.library.definitions import Definition
from executor.library.echo import Echo
from executor.library.ledger import Lease
from executor.library.messages import DEFINE
from executor.library.plans import Spot, Surrounding
from executor.library.waits import NO_CALL, Waits

if TYPE_CHECKING:
    from executor.library.actors import Actor
    from executor.library.calls import Call

IDLE_S = 10.0
"""How long a worker without work is kept."""


class Worker:
    """One worker process: what it holds, and what it was given to do."""

    __slots__ = (
        "actor", "calls_left", "concurrency", "heard_at", "held", "idle_since", "known", "lease", "link",
        "node", "number", "pid", "places", "running", "spot", "stuck", "surrounding", "unready",
        "waits", "where",
    )  # fmt: skip

    def __init__(self, surrounding: Surrounding, lease: Lease | None, where: str) -> None:
        self.number = 0
        self.link: WorkerLink
        self.where = where
        """The node that it is on, if there are several."""
        self.node = "" if lease is None else lease.node
        self.surrounding = surrounding
        self.lease = lease
        self.actor: Actor | None = None
        self.running: dict[int, Call] = {}
        self.known: set[str] = set()
        self.held: Counter[int] = Counter()
        self.places: set[int] = set()
        self.calls_left = 0
        self.concurrency = 1
        """How many of its calls run at a time; the others wait inside of it."""
        self.waits = Waits()
        self.spot: Spot | None = None
        self.pid = 0
        self.unready: str | None = None
        self.idle_since = 0.0
        self.heard_at = 0.0
        self.stuck = False

    def stands_still(self) -> bool:
        """Whether all that runs in it waits for others."""
        waiting = self.waits.calls
        begun = min(len(self.running), self.concurrency)
        if not begun:
            return bool(waiting) and self.actor is not None  # its constructor waits, or what its calls have left behind
        return len(waiting) - (NO_CALL in waiting) >= begun


def _unheard(worker: Worker, message: tuple[Any, ...]) -> None:
    raise AssertionError(f"worker {worker.number} speaks before anybody listens: {message!r}")


class Workers:
    """All workers by their numbers; those that nobody uses wait by what surrounds them."""

    def __init__(
        self,
        backend: Backend,
        echo: Echo | None,
    ) -> None:
        self._backend = backend
        self.all: dict[int, Worker] = {}
        self.definitions: dict[str, Definition] = {}
        self._echo = echo
        self.take: Callable[[Worker, tuple[Any, ...]], None] = _unheard
        self._preloaded: set[str] = set()
        self._warm: dict[tuple[str, Surrounding], list[Worker]] = {}

    def open(self, surrounding: Surrounding, lease: Lease) -> Worker:
        """A worker for what `surrounding` and `lease` say: a warm one, otherwise a new process."""
        if not lease.devices and (waiting := self._warm.get((lease.node, surrounding))):
            worker = waiting.pop()
            worker.lease = lease
            return worker
        return self.start(surrounding, lease)

    def start(self, surrounding: Surrounding, lease: Lease) -> Worker:
        """A worker in a new process.

        Raises:
            OSError: none can be started.
        """
        worker = Worker(surrounding, lease, "" if self._backend.is_here else lease.node)
        worker.link = self._backend.start(surrounding, lease, partial(self.take, worker))
        worker.number = number = worker.link.number
        self.all[number] = worker
        if self._echo is not None:
            self._echo.follow(number, self._backend.log_path(number))
        return worker

    def introduce(self, worker: Worker) -> None:
        """A worker is there: what it prints is shown with its name."""
        if self._echo is not None:
            what = worker.actor.name if worker.actor is not None else "tasks"
            self._echo.name(worker.number, f"{what} pid={worker.pid}")

    def learn(self, definition: Definition) -> None:
        """Know a function or class, for the workers that will need it."""
        self.definitions[definition.digest] = definition
        self.preload(definition.modules)

    def preload(self, modules: frozenset[str]) -> None:
        """Have these modules in every worker that starts from now on."""
        fresh = modules - self._preloaded
        if fresh:
            self._preloaded |= fresh
            self._backend.preload(sorted(fresh))

    def post(self, worker: Worker, message: tuple[Any, ...]) -> None:
        """Send a worker a message."""
        worker.link.post(message)

    def define(self, worker: Worker, digest: str) -> None:
        """Have a worker know a function or class before it meets it."""
        if digest not in worker.known:
            worker.known.add(digest)
            self.post(worker, (DEFINE, self.definitions[digest]))

    def keep_warm(self, worker: Worker) -> None:
        """Let a worker wait for whoever needs one like it."""
        worker.idle_since = time.monotonic()
        self._warm.setdefault((worker.node, worker.surrounding), []).append(worker)

    def end_idle(self, now: float) -> float | None:
        """End workers that nobody has used for a while; how long until the next of them is due."""
        due: float | None = None
        for kind, waiting in list(self._warm.items()):
            while waiting and waiting[0].idle_since + IDLE_S <= now:
                self.end(waiting.pop(0))
            if waiting:
                left = waiting[0].idle_since + IDLE_S - now
                due = left if due is None else min(due, left)
            else:
                del self._warm[kind]
        return due

    def end(self, worker: Worker) -> None:
        """Let a worker leave by itself."""
        worker.link.leave()

    def kill(self, worker: Worker, reason: str) -> None:
        """End a worker at once."""
        self._backend.kill(worker.number, reason)

    def forget(self, worker: Worker) -> None:
        """A worker is gone."""
        self.all.pop(worker.number, None)
        if self._echo is not None:
            self._echo.leave(worker.number)
        waiting = self._warm.get((worker.node, worker.surrounding))
        if waiting and worker in waiting:
            waiting.remove(worker)
