"""Virtual time, one thread, no chance: the same calls and answers give the same events in the same order, always."""

from __future__ import annotations

import itertools
import math
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from executor.errors import DeadlockError, ExecutorClosedError
from executor.gang import Gangs, ranks_of
from executor.interface import Prepared, Program, Step, TrialExecutor
from executor.messages import Call, DeathCause, Died, Emitted, Event, Rank, Reservation, RoomAdded, RoomFreed
from executor.pickling import dump
from executor.placement import Room
from executor.resources import Node, Request, Resources
from executor.simulation.agenda import Agenda
from executor.simulation.isolation import Steps, copied, through_pickle, with_own_random_state
from executor.simulation.running import RunningCall

_LOST = ""  # in the place of a lost node's name: nothing goes back there
_EPOCH_S = 1_577_836_800.0  # the first second of 2020: a date that nobody takes for now


@dataclass(frozen=True, slots=True)
class Fault:
    """A death by script: `call_id` dies of `cause` in place of its emission number `at_emission`, or `after_s` seconds.

    `after_s` is virtual time since the call's start. A call that ends before is spared. In a gang it is the worker of
    that `rank` who dies; those that do not emit count their steps.
    """

    call_id: str
    at_emission: int | None = None
    after_s: float | None = None
    cause: DeathCause = field(default_factory=lambda: DeathCause(signal="SIGKILL"))
    rank: int = 0

    def __post_init__(self) -> None:
        if (self.at_emission is None) == (self.after_s is None):
            raise ValueError(f"a fault needs either at_emission or after_s, got {self}")


class SimulatedExecutor(TrialExecutor):
    """Runs the steps of programs here and now, and lets virtual time pass only inside `events`.

    `events` jumps to the next moment at which something happens, or to `until`, and returns all of that moment. A step
    takes ``step.seconds / speed`` of the node that holds its bundle; one of infinite seconds hangs for ever. A gang's
    workers run side by side, each for as long as its own steps take: what they would do together is not simulated.
    `speeds` are 1 unless given. Nothing is copied: programs, arguments, payloads and answers are the caller's own
    objects, and a killed program's ``finally`` blocks run. What concerns processes has no meaning here: environments,
    log files, `Call.fresh`.

    With `check_pickle` every value takes the way through pickle that it would take to a process. With `isolate_random`
    each call has Python's and numpy's random state to itself, seeded from `Call.seed`; that costs some 200 us an event,
    and without it programs use, unseeded, the random state of the caller.
    """

    real_time = False

    def __init__(
        self,
        nodes: Sequence[Node] | None = None,
        *,
        speeds: Mapping[str, float] | None = None,
        faults: Iterable[Fault] = (),
        check_pickle: bool = False,
        isolate_random: bool = False,
    ) -> None:
        self._nodes = tuple(nodes) if nodes is not None else (Node("sim", Resources.of(cpu=4)),)
        self._room = Room(self._nodes)
        self._speeds = _checked_speeds(self._nodes, speeds or {})
        self._faults: defaultdict[str, list[Fault]] = defaultdict(list)
        for fault in faults:
            self._faults[fault.call_id].append(fault)
        self._check_pickle = check_pickle
        self._isolate_random = isolate_random
        self._lock = threading.RLock()
        self._agenda = Agenda()
        self._calls: dict[str, RunningCall] = {}
        self._held: dict[int, list[RunningCall]] = {}
        self._places: dict[int, tuple[str, ...]] = {}
        self._gangs = Gangs(self._kill, self._cancel, hearing_s=0.0)
        self._reservation_ids = itertools.count(1)
        self._woken = False
        self._closed = False

    def nodes(self) -> tuple[Node, ...]:
        return self._nodes

    def clock(self) -> float:
        return self._agenda.now

    def wall_clock(self) -> float:
        return _EPOCH_S + self._agenda.now

    def prepare(self, program: Program, *, environment: Mapping[str, str] | None = None) -> Prepared:
        self._refuse_if_closed()
        if self._check_pickle:
            dump(program)
        return Prepared(program, f"{type(program).__module__}.{type(program).__qualname__}")

    def reserve(self, request: Request) -> Reservation | None:
        with self._lock:
            self._refuse_if_closed()
            nodes = self._room.reserve(request)
            if nodes is None:
                return None
            reservation = Reservation(next(self._reservation_ids), request, nodes)
            self._held[reservation.reservation_id] = []
            self._places[reservation.reservation_id] = nodes
            return reservation

    def release(self, reservation: Reservation) -> None:
        with self._lock:
            if reservation.reservation_id not in self._held:
                return
            if (call_id := self._runs_in(reservation)) is not None:
                self.kill(call_id, "its reservation was released")
            del self._held[reservation.reservation_id]
            self._room.give_back(reservation.request, self._places.pop(reservation.reservation_id))
            self._agenda.add(0.0, RoomFreed())

    def start(self, prepared: Prepared, reservation: Reservation, call: Call) -> None:
        with self._lock:
            self._refuse_if_closed()
            self._refuse_if_taken(reservation, call)
            ranks = ranks_of(reservation)
            members = self._gangs.open(call, ranks) if reservation.request.gang else [call.call_id]
            workers = [
                RunningCall(member, self._steps(prepared.program, call, rank), rank, node, self._speeds[node])
                for member, rank, node in zip(members, ranks, reservation.nodes, strict=False)
            ]
            self._held[reservation.reservation_id] = workers
            for running in workers:
                self._calls[running.call_id] = running
                self._plan_faults(call, running)
            for running in workers:
                self._go_on(running, None)
            if _LOST in self._places[reservation.reservation_id]:
                self.strike(workers[0].call_id, DeathCause(lost="its node was gone before it started"))

    def _plan_faults(self, call: Call, running: RunningCall) -> None:
        for fault in self._faults.get(call.call_id, ()):
            if fault.rank != running.rank.number:
                continue
            if fault.after_s is not None:
                self._agenda.add(fault.after_s, Died(running.call_id, fault.cause), running)
            elif fault.at_emission is not None:
                running.deaths.setdefault(fault.at_emission, fault.cause)

    def reply(self, call_id: str, seq: int, answer: object) -> None:
        with self._lock:
            running = self._calls.get(call_id)
            if running is not None and running.unanswered == seq:
                sent = copied(answer) if self._check_pickle else answer
                running.unanswered = None
                self._go_on(running, sent)

    def cancel(self, call_id: str) -> None:
        with self._lock:
            self._gangs.ask(call_id)
            self._cancel(call_id)

    def _cancel(self, call_id: str) -> None:
        running = self._calls.get(call_id)
        if running is not None:
            running.cancelled = True

    def kill(self, call_id: str, reason: str) -> None:
        with self._lock:
            if not self._gangs.kill(call_id, reason):
                self._kill(call_id, reason)

    def _kill(self, call_id: str, reason: str) -> None:
        running = self._calls.get(call_id)
        if running is not None:
            self._end(running)
            self._agenda.add(0.0, Died(call_id, DeathCause(killed=reason)))

    def strike(self, call_id: str, cause: DeathCause) -> None:
        """Let a running call die of `cause` now, as by the hand of somebody outside; one that has ended is spared."""
        with self._lock:
            if (running := self._calls.get(call_id)) is not None:
                self._agenda.add(0.0, Died(call_id, cause), running)

    def lose(self, node: str) -> None:
        """The node is gone, with all that ran there or was to run there, until `regain`.

        Raises:
            ValueError: there is no such node now.
        """
        with self._lock:
            if node not in self._room.free():
                raise ValueError(f"there is no node {node!r} to lose; there are {', '.join(self._room.free())}")
            self._room.remove(node)
            for number, nodes in self._places.items():
                self._places[number] = tuple(_LOST if each == node else each for each in nodes)
                for running in self._held[number]:
                    if running.node == node:
                        self.strike(running.call_id, DeathCause(lost=f"node {node} is gone"))

    def regain(self, node: str) -> None:
        """A node that was lost is there again, empty.

        Raises:
            ValueError: it was never lost, or is none of `nodes`.
        """
        with self._lock:
            lost = {each.name: each for each in self._nodes if each.name not in self._room.free()}
            if node not in lost:
                raise ValueError(f"no node {node!r} was lost")
            self._room.add(lost[node])
            self._agenda.add(0.0, RoomAdded())

    def events(self, until: float | None) -> list[Event]:
        """Let time pass until something happens or the clock reads `until`, and return what happened then.

        Raises:
            DeadlockError: there is no `until`, and without a further call of another method nothing would ever happen.
        """
        with self._lock:
            self._refuse_if_closed()
            if self._woken:
                self._woken = False
            elif not self._agenda.advance(self._gangs.until(until)):
                raise DeadlockError(_why_nothing_happens(self._calls.values()))
            return self._gangs.sift(self._happened(), self._agenda.now)

    def _happened(self) -> Iterator[Event]:
        """What happens now; only rank 0 of a gang is heard."""
        for event, running in self._agenda.due():
            if running is None or not isinstance(event, Emitted):
                if running is not None:
                    self._end(running)
                yield event
            elif running.rank.number:
                self._go_on(running, None)
            else:
                yield self._emitted(running, event)

    def wake(self) -> None:
        self._woken = True  # no lock: a signal handler may interrupt the thread that holds it

    def close(self) -> None:
        with self._lock:
            for running in list(self._calls.values()):
                self._end(running)
            self._held.clear()
            self._closed = True

    def _steps(self, program: Program, call: Call, rank: Rank) -> Steps:
        """The call's steps; all that can fail in making them fails at the first, as an error of the program."""
        if self._check_pickle:
            steps = through_pickle(program, call.argument, rank)
        else:
            steps = program.steps_of(rank, call.argument)
        return (yield from with_own_random_state(steps, call.seed) if self._isolate_random else steps)

    def _go_on(self, running: RunningCall, answer: object) -> None:
        outcome = running.resume(answer)
        if not isinstance(outcome, Step):
            self._end(running)
            self._agenda.add(0.0, outcome)
            return
        seq = running.seq = running.seq + 1
        event: Event = Emitted(running.call_id, seq, outcome.payload, outcome.waits)
        if seq in running.deaths:
            event = Died(running.call_id, running.deaths[seq])
        self._agenda.add(outcome.seconds / running.speed, event, running)

    def _emitted(self, running: RunningCall, event: Emitted) -> Emitted:
        """What is told of an emission: one of a cancelled call waits, although it was under way before."""
        if not event.waits and not running.cancelled:
            self._go_on(running, None)
            return event
        running.unanswered = event.seq
        return event if event.waits else event._replace(waits=True)

    def _end(self, running: RunningCall) -> None:
        del self._calls[running.call_id]
        running.close()

    def _runs_in(self, reservation: Reservation) -> str | None:
        """The call that runs there, if one does."""
        there = next((one for one in self._held[reservation.reservation_id] if not one.ended), None)
        return None if there is None else self._gangs.call_of(there.call_id)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ExecutorClosedError("this simulated executor was closed; make a new one")

    def _refuse_if_taken(self, reservation: Reservation, call: Call) -> None:
        number = reservation.reservation_id
        if number not in self._held:
            raise ValueError(f"call {call.call_id!r} cannot start: its reservation was released")
        if call.call_id in self._calls or call.call_id in self._gangs:
            raise ValueError(f"call {call.call_id!r} is running already: each call needs an id of its own")
        if (there := self._runs_in(reservation)) is not None:
            raise ValueError(f"call {call.call_id!r} cannot start: its reservation still runs call {there!r}")


def _checked_speeds(nodes: Sequence[Node], speeds: Mapping[str, float]) -> dict[str, float]:
    known = {node.name: 1.0 for node in nodes}
    for name, speed in speeds.items():
        if name not in known:
            raise ValueError(f"speeds names {name!r}, which is none of the nodes {', '.join(known)}")
        if not 0 < speed < math.inf:
            raise ValueError(f"the speed of {name!r} must be above 0 and finite, got {speed!r}")
    return known | dict(speeds)


def _why_nothing_happens(running: Iterable[RunningCall]) -> str:
    waiting = [call for call in running if call.unanswered is not None]
    if not waiting:
        return "nothing can ever happen: no running call will emit or end, and events() was given no time limit"
    first = waiting[0]
    return (
        f"nothing can ever happen: {len(waiting)} calls wait for an answer, the first is {first.call_id!r} at its "
        f"emission {first.unanswered}, and events() was given no time limit"
    )
