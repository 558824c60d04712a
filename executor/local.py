"""Trials as processes on this machine: embedded, no port, nothing left behind."""

from __future__ import annotations

import socket
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

from executor import devices
from executor.framing import pack
from executor.gang import Gangs, log_of, ranks_of
from executor.holdings import Holding, Holdings
from executor.interface import Prepared, Program, TrialExecutor
from executor.messages import Call, DeathCause, Died, Event, Raised, RemoteError, Reservation, RoomFreed
from executor.platform import check, here
from executor.processes.logs import LOG_CAP_BYTES
from executor.processes.meeting import MeetingPoints, variables
from executor.processes.pool import Pool
from executor.processes.protocol import ARGUMENT
from executor.processes.servers import Source
from executor.processes.site import Seat, Site, Start
from executor.resources import Node, Request, Resources

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class _Prepared(Prepared):
    """Keeps what a new fork server would load, as long as calls can be started."""

    source: Source = field(repr=False, compare=False)


@dataclass(slots=True)
class _Held:
    """A reservation and its seats, one for each bundle."""

    holding: Holding
    seats: tuple[Seat, ...]
    released: bool = False

    def running(self) -> str | None:
        """What runs in it: a call, or one worker of a gang."""
        return next((running for seat in self.seats if (running := seat.running()) is not None), None)


class LocalExecutor(TrialExecutor):
    """Runs each call in a worker process on this machine.

    What is not given is discovered: the cpus that this process may use, the machine's memory, its gpus. Custom kinds
    of resources are given as `resources`. A log larger than `log_cap_bytes` loses its oldest part.

    Raises:
        UnsupportedPlatformError: on Windows.
    """

    def __init__(
        self,
        *,
        cpus: float | None = None,
        gpus: float | None = None,
        memory: int | None = None,
        resources: Mapping[str, float] | None = None,
        log_cap_bytes: int = LOG_CAP_BYTES,
    ) -> None:
        check()
        names = devices.names(gpus)
        amounts = {
            "cpu": here.usable_cpus() if cpus is None else cpus,
            "gpu": len(names) if gpus is None else gpus,
            "memory": here.usable_memory() if memory is None else memory,
        }
        node = Node(socket.gethostname(), Resources.of({**(resources or {}), **amounts}))
        self._holdings = Holdings([node], {node.name: names})
        self._held: dict[int, _Held] = {}
        # The site must not keep us alive: when we are forgotten without being closed, its pool is closed.
        ourselves = weakref.ref(self)
        self._site = Site(lambda seat: _tell(ourselves, seat), log_cap_bytes=log_cap_bytes)
        self._pool = self._site.pool
        weakref.finalize(self, self._pool.close)
        self._gangs = Gangs(partial(_end_member, self._pool), self._pool.cancel)
        self._meeting_points = MeetingPoints()

    def nodes(self) -> tuple[Node, ...]:
        return self._holdings.nodes()

    def clock(self) -> float:
        return time.monotonic()

    def wall_clock(self) -> float:
        return time.time()

    def prepare(self, program: Program, *, environment: Mapping[str, str] | None = None) -> Prepared:
        self._pool.check_open()
        source = self._pool.prepare(program, program.preload(), environment or {})
        return _Prepared(program, source.digest, source)

    def reserve(self, request: Request) -> Reservation | None:
        with self._pool.lock:
            self._pool.check_open()
            holding = self._holdings.reserve(request)
            if holding is None:
                return None
            seats = tuple(Seat(bundle, holding.visible(number)) for number, bundle in enumerate(request.bundles))
            self._held[holding.reservation.reservation_id] = _Held(holding, seats)
            return holding.reservation

    def release(self, reservation: Reservation) -> None:
        with self._pool.lock:
            held = self._held.get(reservation.reservation_id)
            if self._pool.is_closed() or held is None or held.released:
                return
            held.released = True
            if (running := held.running()) is not None:
                self.kill(self._gangs.call_of(running), "its reservation was released")
            for seat in held.seats:
                self._site.leave(seat)

    def seat_freed(self, seat: Seat) -> None:
        """A seat that was left is empty; called by the site."""
        number, held = next((number, held) for number, held in self._held.items() if seat in held.seats)
        if all(one.left and not one.links for one in held.seats):
            del self._held[number]
            self._holdings.give_back(held.holding)
            self._tell(RoomFreed())

    def _tell(self, event: Event) -> None:
        self._pool.events.append(event)
        self._pool.wake()

    def start(self, prepared: Prepared, reservation: Reservation, call: Call) -> None:
        try:
            argument = pack(call.argument, ARGUMENT)
        except TypeError as error:
            self._refuse(call, "TypeError", f"the call's argument cannot be sent to a worker process: {error}")
            return
        with self._pool.lock:
            self._pool.check_open()
            seats = self._startable(reservation, call).seats
            if not reservation.request.gang:
                seats = seats[:1]
            try:
                links = self._site.seat(seats, prepared.digest, fresh=call.fresh or reservation.request.gang)
            except OSError as error:
                cause = DeathCause(unstarted=f"no worker process could be started: {error}")
                self._tell(Died(call.call_id, cause))
                return
            for seat, link, start in zip(seats, links, self._starts(reservation, call), strict=True):
                self._site.begin(seat, link, start, argument)

    def _refuse(self, call: Call, type_name: str, text: str) -> None:
        with self._pool.lock:
            self._pool.check_open()
            self._tell(Raised(call.call_id, RemoteError(type_name, text, text)))

    def _starts(self, reservation: Reservation, call: Call) -> Iterator[Start]:
        """What each worker is to do: one alone, or one of a gang in each bundle, which knows where the others are."""
        if not reservation.request.gang:
            yield Start(call.call_id, call.seed, call.fresh, call.log_path, call.environment)
            return
        port = self._meeting_points.choose()
        ranks = ranks_of(reservation)
        for member, rank in zip(self._gangs.open(call, ranks), ranks, strict=True):
            environment = {**variables(rank, _LOOPBACK, port), **call.environment}
            yield Start(member, call.seed, True, log_of(call.log_path, rank), environment, rank)

    def _startable(self, reservation: Reservation, call: Call) -> _Held:
        held = self._held.get(reservation.reservation_id)
        if held is None or held.released:
            raise ValueError(f"call {call.call_id!r}: its reservation was released")
        if self._pool.is_running(call.call_id) or call.call_id in self._gangs:
            raise ValueError(f"call {call.call_id!r} is running already: each call needs an id of its own")
        if (running := held.running()) is not None:
            running = self._gangs.call_of(running)
            raise ValueError(f"call {call.call_id!r}: its reservation still runs call {running!r}")
        return held

    def reply(self, call_id: str, seq: int, answer: object) -> None:
        if not self._pool.is_closed():
            self._pool.reply(call_id, seq, answer)

    def together(self) -> AbstractContextManager[object]:
        return self._pool.lock  # taken once, and not in turns with who listens

    def cancel(self, call_id: str) -> None:
        if not self._pool.is_closed():
            with self._pool.lock:
                self._gangs.ask(call_id)
                self._pool.cancel(call_id)

    def kill(self, call_id: str, reason: str) -> None:
        if not self._pool.is_closed():
            with self._pool.lock:
                if not self._gangs.kill(call_id, reason):
                    self._pool.kill(call_id, reason)

    def stacks(self, call_id: str, *, timeout_s: float = 5.0) -> str:
        """Where the call's process stands right now, all its threads, the innermost frames first; for people to read.

        Asking harms nobody, but a blocking call of C code that heeds signals may return early. When the process does
        not answer in time, as one that was stopped, or the call does not run, a sentence says so.
        """
        self._pool.check_open()
        return self._pool.stacks(call_id, timeout_s)

    def events(self, until: float | None) -> list[Event]:
        pool = self._pool
        pool.check_open()
        if not pool.events:
            if self._gangs:
                with pool.lock:
                    until = self._gangs.until(until)
            pool.turn(None if until is None else max(0.0, until - time.monotonic()))
        # New events are only ever appended, so that nothing is lost between these two lines, nor to an interrupt.
        taken = pool.events[:]
        del pool.events[: len(taken)]
        if not self._gangs:
            return taken
        with pool.lock:
            return self._gangs.sift(taken, time.monotonic())

    def wake(self) -> None:
        self._pool.wake()

    def close(self) -> None:
        self._pool.close()


def _end_member(pool: Pool, member: str, reason: str) -> None:
    """End one worker of a gang, unless it is dying already: then what it died of is to be told."""
    if not pool.is_silent(member):
        pool.kill(member, reason)


def _tell(executor: weakref.ref[LocalExecutor], seat: Seat) -> None:
    alive = executor()
    if alive is not None:
        alive.seat_freed(seat)
