"""Trials as processes on this machine: embedded, no port, nothing left behind."""

from __future__ import annotations

import socket
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from executor import devices
from executor.devices import Shares
from executor.errors import InfeasibleRequestError
from executor.framing import gathered, pack
from executor.gang import Gangs, log_of, ranks_of
from executor.interface import Prepared, Program, TrialExecutor
from executor.messages import Call, DeathCause, Died, Event, Raised, Rank, RemoteError, Reservation, RoomFreed
from executor.placement import Room
from executor.platform import check, here
from executor.processes.link import Link, RunningCall
from executor.processes.meeting import MeetingPoints, variables
from executor.processes.pool import Pool
from executor.processes.protocol import ARGUMENT, ORDER, Order
from executor.processes.servers import Source
from executor.resources import Node, Request, Resources

_LOG_CAP_BYTES = 50 * 2**20


@dataclass(frozen=True, slots=True)
class _Prepared(Prepared):
    """Keeps what a new fork server would load, as long as calls can be started."""

    source: Source = field(repr=False, compare=False)


@dataclass(slots=True)
class _Held:
    """A reservation, the gpus it has, and its worker processes: mostly one, two while one is leaving, or a gang's."""

    reservation: Reservation
    gpus: tuple[Shares, ...]
    links: list[Link] = field(default_factory=list)
    released: bool = False


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
        log_cap_bytes: int = _LOG_CAP_BYTES,
    ) -> None:
        check()
        names = devices.names(gpus)
        amounts = {
            "cpu": here.usable_cpus() if cpus is None else cpus,
            "gpu": len(names) if gpus is None else gpus,
            "memory": here.usable_memory() if memory is None else memory,
        }
        self._node = Node(socket.gethostname(), Resources.of({**(resources or {}), **amounts}))
        self._room = Room([self._node])
        self._devices = devices.Devices(names) if names else None
        self._held: dict[int, _Held] = {}
        self._reservations = 0
        # The pool must not keep us alive: when we are forgotten without being closed, it is closed.
        ourselves = weakref.ref(self)
        self._pool = Pool(lambda link: _tell(ourselves, link), log_cap_bytes=log_cap_bytes)
        weakref.finalize(self, self._pool.close)
        self._gangs = Gangs(partial(_end_member, self._pool), self._pool.cancel)
        self._meeting_points = MeetingPoints()

    def nodes(self) -> tuple[Node, ...]:
        return (self._node,)

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
            for bundle in request.bundles:
                if bundle["gpu"] > 1 and bundle["gpu"] % 1:
                    raise InfeasibleRequestError(f"more than one gpu must be whole ones, got {bundle['gpu']:g}")
            nodes = self._room.reserve(request)
            if nodes is None:
                return None
            gpus = self._take_gpus(request)
            if gpus is None:
                self._room.give_back(request, nodes)
                return None
            self._reservations += 1
            reservation = Reservation(self._reservations, request, nodes)
            self._held[reservation.reservation_id] = _Held(reservation, gpus)
            return reservation

    def _take_gpus(self, request: Request) -> tuple[Shares, ...] | None:
        taken: list[Shares] = []
        for bundle in request.bundles:
            shares = self._devices.take(bundle["gpu"]) if self._devices else ()
            if shares is None:
                self._give_gpus_back(taken)
                return None
            taken.append(shares)
        return tuple(taken)

    def _give_gpus_back(self, taken: list[Shares] | tuple[Shares, ...]) -> None:
        for shares in taken if self._devices else ():
            assert self._devices is not None
            self._devices.give_back(shares)

    def release(self, reservation: Reservation) -> None:
        with self._pool.lock:
            held = self._held.get(reservation.reservation_id)
            if self._pool.is_closed() or held is None or held.released:
                return
            held.released = True
            for link in list(held.links):
                if link.call is not None:
                    self.kill(self._gangs.call_of(link.call.call_id), "its reservation was released")
                elif link.idle:
                    link.leave()
            self._free(held)

    def _free(self, held: _Held) -> None:
        """Give the room back, once it is released and its last process is gone."""
        reservation = held.reservation
        if held.links or not held.released or self._held.pop(reservation.reservation_id, None) is None:
            return
        self._room.give_back(reservation.request, reservation.nodes)
        self._give_gpus_back(held.gpus)
        self._tell(RoomFreed())

    def _tell(self, event: Event) -> None:
        self._pool.events.append(event)
        self._pool.wake()

    def link_gone(self, link: Link) -> None:
        """A worker process has ended; called by the pool."""
        for held in self._held.values():
            if link in held.links:
                held.links.remove(link)
                self._free(held)
                return

    def start(self, prepared: Prepared, reservation: Reservation, call: Call) -> None:
        ranks = ranks_of(reservation)
        orders = self._orders(reservation, call, ranks)
        try:
            argument = pack(call.argument, ARGUMENT)
            sent = [gathered(pack(tuple(order), ORDER), argument) for order in orders]
        except TypeError as error:
            self._refuse(call, "TypeError", f"the call's argument cannot be sent to a worker process: {error}")
            return
        with self._pool.lock:
            self._pool.check_open()
            held = self._startable(reservation, call)
            try:
                links = self._links(held, prepared.digest, len(ranks), fresh=orders[0].last)
            except OSError as error:
                cause = DeathCause(unstarted=f"no worker process could be started: {error}")
                self._tell(Died(call.call_id, cause))
                return
            members = self._gangs.open(call, ranks) if reservation.request.gang else [call.call_id]
            for link, member, order, pieces in zip(links, members, orders, sent, strict=True):
                self._pool.begin(link, RunningCall(member, order.log_path), pieces, last=order.last)

    def _refuse(self, call: Call, type_name: str, text: str) -> None:
        with self._pool.lock:
            self._pool.check_open()
            self._tell(Raised(call.call_id, RemoteError(type_name, text, text)))

    def _orders(self, reservation: Reservation, call: Call, ranks: Sequence[Rank]) -> list[Order]:
        """What each worker is to do: one alone, or one of a gang in each bundle."""
        held = self._held.get(reservation.reservation_id)
        port = self._meeting_points.choose() if reservation.request.gang else None
        orders = []
        for rank, bundle in zip(ranks, reservation.request.bundles, strict=False):
            visible = None
            if held is not None and self._devices is not None:
                visible = ",".join(name for name, _ in held.gpus[rank.number])
            threads = max(1, int(bundle["cpu"]))
            order = Order(call.seed, call.fresh, call.log_path, call.environment, threads, visible)
            orders.append(order if port is None else _as_member(order, rank, port))
        return orders

    def _startable(self, reservation: Reservation, call: Call) -> _Held:
        held = self._held.get(reservation.reservation_id)
        if held is None or held.released:
            raise ValueError(f"call {call.call_id!r}: its reservation was released")
        if self._pool.is_running(call.call_id) or call.call_id in self._gangs:
            raise ValueError(f"call {call.call_id!r} is running already: each call needs an id of its own")
        running = next((link.call.call_id for link in held.links if link.call is not None), None)
        if running is not None:
            running = self._gangs.call_of(running)
            raise ValueError(f"call {call.call_id!r}: its reservation still runs call {running!r}")
        return held

    def _links(self, held: _Held, digest: str, count: int, *, fresh: bool) -> list[Link]:
        """The reservation's idle worker if it will do, otherwise new ones."""
        for link in held.links:
            if link.idle and link.digest == digest and not fresh:
                return [link]
            if link.idle:
                link.leave()
        opened: list[Link] = []
        try:
            for bundle in held.reservation.request.bundles[:count]:
                opened.append(self._pool.open_link(digest, memory_bytes=int(bundle["memory"])))
                held.links.append(opened[-1])
        except OSError:
            for link in opened:
                link.leave()
            raise
        return opened

    def reply(self, call_id: str, seq: int, answer: object) -> None:
        if not self._pool.is_closed():
            self._pool.reply(call_id, seq, answer)

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


def _as_member(order: Order, rank: Rank, port: int) -> Order:
    """`order` for one worker of a gang: a process of its own, which knows its place and where the others are."""
    return order._replace(
        last=True,
        log_path=log_of(order.log_path, rank),
        environment={**variables(rank, port), **order.environment},
        rank=rank,
    )


def _end_member(pool: Pool, member: str, reason: str) -> None:
    """End one worker of a gang, unless it is dying already: then what it died of is to be told."""
    if not pool.is_silent(member):
        pool.kill(member, reason)


def _tell(executor: weakref.ref[LocalExecutor], link: Link) -> None:
    alive = executor()
    if alive is not None:
        alive.link_gone(link)
