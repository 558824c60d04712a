"""Trials on many machines: calls go to the hosts of nodes, which a fleet provides."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import assert_never

from executor.errors import ExecutorClosedError, InfeasibleRequestError
from executor.framing import Sealed, opened, seal
from executor.gang import Gangs, log_of, ranks_of
from executor.hosting.fleet import Arrival, Dismissed, DriverGone, Fleet, NodeLost, Reported, Written
from executor.hosting.gathering import Beginning, Gathering
from executor.hosting.messages import (
    Allocated,
    Answer,
    AskMeeting,
    AskStacks,
    Begin,
    Cancel,
    Copied,
    DepotOpened,
    Freed,
    Kill,
    Meeting,
    Order,
    Piece,
    Prepare,
    Printed,
    Report,
    Stacks,
    Stocked,
    Wanted,
)
from executor.hosting.printing import Logs
from executor.hosting.questions import Questions
from executor.hosting.runtime_env import RuntimeEnv
from executor.hosting.shipping import Shipping
from executor.interface import Prepared, Program, TrialExecutor
from executor.messages import (
    Call,
    DeathCause,
    Died,
    Emitted,
    Event,
    NodeDraining,
    Raised,
    RemoteError,
    Reservation,
    Returned,
    RoomAdded,
    RoomFreed,
)
from executor.platform import here
from executor.resources import Node, Request

_STACKS_LATE_S = 5.0
_LACKING = frozenset(("ModuleNotFoundError", "ImportError"))
_REMEDY = "install it there, or send it along by runtime_env={'py_modules': [...]}"


@dataclass(frozen=True, slots=True)
class _Prepared(Prepared):
    shipment: Prepare = field(repr=False, compare=False)


@dataclass(slots=True)
class _Held:
    """A reservation, and the call that runs on it."""

    reservation: Reservation
    call_id: str | None = None


@dataclass(slots=True)
class _Member:
    """A call, or one worker of a gang's call, between its start and its end."""

    node: str
    killed: str | None = None


class RemoteExecutor(TrialExecutor):
    """Runs each call in a worker process on one of a fleet's nodes; programs are sent to a node once.

    So is the code of `runtime_env`, by its content: a node that had it before is sent nothing. A node that lacks what a
    program imports is left out from then on.

    Raises:
        ValueError: that code is too large, or there is none.
        OSError: it cannot be read.
    """

    def __init__(self, fleet: Fleet, runtime_env: RuntimeEnv | None = None) -> None:
        self._fleet = fleet
        env = runtime_env or RuntimeEnv()
        try:
            self._shipping = Shipping(fleet.send, env.env_vars, env.packed())
        except BaseException:
            fleet.close()  # nobody else can: there is no executor
            raise
        self._lock = threading.RLock()
        self._poller = here.poller()
        self._arrived: list[Arrival | Event] = []
        self._held: dict[int, _Held] = {}
        self._calls: dict[str, _Held] = {}
        self._members: dict[str, _Member] = {}
        self._logs = Logs()
        self._gangs = Gangs(self._end_member, self._cancel_member)
        self._gathering = Gathering()
        self._lost: dict[str, str] = {}
        self._asked: Questions[str] = Questions()
        self._closed = False
        fleet.open(self._arrive)

    def nodes(self) -> tuple[Node, ...]:
        return self._fleet.nodes()

    def clock(self) -> float:
        return time.monotonic()

    def wall_clock(self) -> float:
        return time.time()

    def prepare(self, program: Program, *, environment: Mapping[str, str] | None = None) -> Prepared:
        self._check_open()
        shipment = self._shipping.shipment(program, environment or {})
        for node in self._fleet.nodes():
            with self._lock:
                if node.name not in self._shipping.unfit:
                    self._shipping.ship(node.name, shipment)
        return _Prepared(program, shipment.digest, shipment)

    def reserve(self, request: Request) -> Reservation | None:
        self._check_open()
        try:
            reservation = self._fleet.reserve(request, tuple(self._shipping.unfit))
        except InfeasibleRequestError as error:
            if not self._shipping.unfit:
                raise
            raise InfeasibleRequestError(f"{error}. Left out: {'; '.join(self._shipping.unfit.values())}") from None
        if reservation is not None:
            with self._lock:
                self._held[reservation.reservation_id] = _Held(reservation)
        return reservation

    def release(self, reservation: Reservation) -> None:
        with self._lock:
            held = None if self._closed else self._held.pop(reservation.reservation_id, None)
            if held is None:
                return
            if held.call_id is not None:
                self.kill(held.call_id, "its reservation was released")
            self._fleet.release(reservation)

    def start(self, prepared: Prepared, reservation: Reservation, call: Call) -> None:
        assert isinstance(prepared, _Prepared), "a program is started by the executor that has prepared it"
        self._check_open()
        with self._lock:
            held = self._startable(reservation, call)
            try:
                argument = seal(call.argument)
            except TypeError as error:
                text = f"the call's argument cannot be sent to a worker process: {error}"
                self._tell(Raised(call.call_id, RemoteError("TypeError", text, text)))
                return
            gang = reservation.request.gang
            lost = next((node for node in reservation.nodes[: None if gang else 1] if node in self._lost), None)
            if lost is not None:
                self._tell(Died(call.call_id, _lost_with(lost, self._lost[lost])))
                return
            if unfit := next((node for node in reservation.nodes if node in self._shipping.unfit), None):
                self._tell(Died(call.call_id, DeathCause(killed=self._shipping.unfit[unfit])))
                return
            held.call_id = call.call_id
            self._calls[call.call_id] = held
            self._start(prepared.shipment, reservation, call, argument)

    def _startable(self, reservation: Reservation, call: Call) -> _Held:
        held = self._held.get(reservation.reservation_id)
        if held is None:
            raise ValueError(f"call {call.call_id!r}: its reservation was released")
        if call.call_id in self._calls:
            raise ValueError(f"call {call.call_id!r} is running already: each call needs an id of its own")
        if held.call_id is not None:
            raise ValueError(f"call {call.call_id!r}: its reservation still runs call {held.call_id!r}")
        return held

    def _start(self, shipment: Prepare, reservation: Reservation, call: Call, argument: Sealed) -> None:
        begin = Begin(
            call.call_id,
            reservation.reservation_id,
            0,
            shipment.digest,
            argument,
            call.seed,
            call.fresh,
            dict(call.environment),
        )
        if not reservation.request.gang:
            self._add(call.call_id, reservation.nodes[0], call.log_path)
            self._shipping.ship(reservation.nodes[0], shipment)
            self._shipping.send(reservation.nodes[0], begin)
            return
        gang = []
        ranks = ranks_of(reservation)
        for member, rank, node in zip(self._gangs.open(call, ranks), ranks, reservation.nodes, strict=True):
            self._add(member, node, log_of(call.log_path, rank))
            self._shipping.ship(node, shipment)
            its_begin = replace(begin, call_id=member, bundle=rank.number, fresh=True, rank=rank)
            gang.append(Beginning(node, its_begin))
        self._shipping.send(reservation.nodes[0], AskMeeting(self._gathering.add(gang)))

    def _add(self, member: str, node: str, log_path: str | None) -> None:
        self._members[member] = _Member(node)
        self._logs.open(member, node, log_path)

    def reply(self, call_id: str, seq: int, answer: object) -> None:
        sealed = seal(answer)
        with self._lock:
            if not self._closed and (member := self._members.get(call_id)):
                self._shipping.send(member.node, Answer(call_id, seq, sealed))

    @contextmanager
    def together(self) -> Iterator[None]:
        with self._lock, self._fleet.together():
            yield

    def cancel(self, call_id: str) -> None:
        with self._lock:
            if not self._closed:
                self._gangs.ask(call_id)
                self._cancel_member(call_id)

    def _cancel_member(self, member: str) -> None:
        if found := self._members.get(member):
            self._shipping.send(found.node, Cancel(member))

    def kill(self, call_id: str, reason: str) -> None:
        with self._lock:
            if not self._closed and not self._gangs.kill(call_id, reason):
                self._end_member(call_id, reason)

    def _end_member(self, member: str, reason: str) -> None:
        found = self._members.get(member)
        if found is None or found.killed is not None:
            return
        found.killed = reason
        if self._gathering.withdraw(member):
            self._tell(Died(member, DeathCause(killed=reason)))
        else:
            self._shipping.send(found.node, Kill(member, reason))

    def stacks(self, call_id: str, *, timeout_s: float = 5.0) -> str:
        """Where the call's process stands right now, all its threads, the innermost frames first; for people to read.

        When the process, or the host of its node, does not answer in time, or the call does not run, a sentence says
        so.
        """
        self._check_open()
        with self._lock:
            member = self._members.get(call_id)
            if member is None:
                return f"call {call_id!r} is not running"
            question = self._asked.open()
            self._shipping.send(member.node, AskStacks(question.number, call_id, timeout_s))
        patience_s = timeout_s + _STACKS_LATE_S
        text = self._asked.wait(question, patience_s)
        return text or f"no answer within {patience_s:g} s: node {member.node} cannot be reached just now"

    def events(self, until: float | None) -> list[Event]:
        self._check_open()
        if not self._arrived:
            if self._gangs:
                with self._lock:
                    until = self._gangs.until(until)
            self._poller.poll(None if until is None else max(0.0, until - time.monotonic()))
        # New arrivals are only ever appended, so that nothing is lost between these two lines.
        taken = self._arrived[:]
        del self._arrived[: len(taken)]
        with self._lock:
            told = [event for one in taken for event in self._told_of(one)]
            if self._gangs:
                told = self._gangs.sift(told, time.monotonic())
            for event in told:
                if isinstance(event, Returned | Raised | Died) and (held := self._calls.pop(event.call_id, None)):
                    held.call_id = None
            return told

    def wake(self) -> None:
        if not self._closed:
            self._poller.wake()

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._fleet.close()
        self._poller.wake()

    def _check_open(self) -> None:
        if self._closed:
            raise ExecutorClosedError("this executor was closed: open a new one")

    def _tell(self, event: Event) -> None:
        self._arrived.append(event)
        self._poller.wake()

    def _arrive(self, arrivals: Sequence[Arrival]) -> None:
        """Take in what came, in the fleet's thread; what programs sent is opened by who asks for events."""
        for arrival in arrivals:
            report = getattr(arrival, "report", None)
            if isinstance(report, Stacks):
                self._asked.answer(report.number, report.text)
            elif isinstance(report, Meeting):
                self._gather(report)
            elif isinstance(arrival, Reported) and isinstance(report, Stocked):
                with self._lock:
                    for order in self._shipping.hear(arrival.node, report):
                        self._give_up(arrival.node, order)
            else:
                self._arrived.append(arrival)
        self._poller.wake()

    def _gather(self, meeting: Meeting) -> None:
        with self._lock:
            for one in self._gathering.meet(meeting):
                self._shipping.send(one.node, one.begin)

    def _give_up(self, node: str, order: Order) -> None:
        """End the calls that were to begin by an order, which its node cannot obey."""
        begins = self._gathering.give_up(order.number) if isinstance(order, AskMeeting) else [order]
        cause = DeathCause(killed=self._shipping.unfit[node])
        self._arrived += [Died(begin.call_id, cause) for begin in begins if isinstance(begin, Begin)]

    def _told_of(self, arrival: Arrival | Event) -> Iterator[Event]:
        match arrival:
            case RoomFreed() | RoomAdded() | NodeDraining():
                yield arrival
            case NodeLost(node, why):
                yield from self._lose(node, why)
            case Written() | DriverGone() | Dismissed():
                pass  # trials have nothing to say to other drivers, and whose nodes are lost hears of that
            case Emitted() | Returned() | Raised() | Died():
                yield self._ended(arrival)
            case _:
                yield from self._reported(arrival.report)

    def _lose(self, node: str, why: str) -> Iterator[Event]:
        self._lost[node] = why
        self._shipping.lose(node)
        self._logs.lose(node)
        for one in self._gathering.lose(node):
            yield self._ended(Died(one.begin.call_id, DeathCause(killed="another rank had ended")))
        for call_id in [call_id for call_id, member in self._members.items() if member.node == node]:
            yield self._ended(Died(call_id, _lost_with(node, why)))

    def _reported(self, report: Report) -> Iterator[Event]:
        match report:
            case Printed(call_id, text):
                self._logs.add(call_id, text)
            case Emitted(call_id, _, payload):
                member = self._members.get(call_id)
                if member is not None and member.killed is None:
                    yield from self._opened(report, payload)
            case Returned(call_id, value):
                if call_id in self._members:
                    yield from self._opened(report, value)
            case Raised(call_id, error) if call_id in self._members and error.unloaded and error.type_name in _LACKING:
                why = self._shipping.leave_out(self._members[call_id].node, f"{error.message} ({_REMEDY})")
                yield self._ended(Died(call_id, DeathCause(killed=why)))
            case Raised() | Died():
                if report.call_id in self._members:
                    yield self._ended(report)
            case (
                Freed() | Stacks() | Meeting() | Stocked()
                | DepotOpened() | Wanted() | Allocated() | Copied() | Piece()
            ):  # fmt: skip
                pass
            case _:
                assert_never(report)

    def _opened(self, event: Emitted | Returned, sealed: Sealed) -> Iterator[Event]:
        try:
            value = opened(sealed)
        except Exception as error:  # noqa: BLE001 - whatever the class of a value raises when it is loaded
            text = f"what the program sent cannot be loaded here: {error}"
            self._shipping.send(self._members[event.call_id].node, Kill(event.call_id, text))
            yield self._ended(Raised(event.call_id, RemoteError(type(error).__name__, text, text)))
            return
        if isinstance(event, Emitted):
            yield event._replace(payload=value)
        else:
            yield self._ended(replace(event, value=value))

    def _ended(self, event: Event) -> Event:
        """A call's last event, or a worker's of its gang; what was killed died of that, whatever it still said."""
        if isinstance(event, Emitted | RoomFreed | RoomAdded | NodeDraining):
            return event
        member = self._members.pop(event.call_id, None)
        if member is not None and member.killed is not None and not isinstance(event, Died):
            return Died(event.call_id, DeathCause(killed=member.killed))
        return event


def _lost_with(node: str, why: str) -> DeathCause:
    return DeathCause(lost=f"node {node} was lost: {why}")
