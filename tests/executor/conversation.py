"""The caller's side of a test: starts calls, awaits events with a deadline, checks what holds of all events."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Self

from executor.interface import Prepared, Program, TrialExecutor
from executor.messages import (
    Call,
    Died,
    Emitted,
    Event,
    NodeDraining,
    Raised,
    Reservation,
    Returned,
    RoomAdded,
    RoomFreed,
)
from executor.resources import Request

DEADLINE_S = 60.0
"""How long a test waits for what must come. Only a broken executor takes as long."""

QUIET_S = 0.1
"""How long a test watches for what must not come."""

Ending = Returned | Raised | Died


class Conversation:
    """Talks with one executor and holds it to its order: 1, 2, 3 and so on, then one ending, then nothing."""

    _numbers = itertools.count(1)  # call ids are never used twice, and conversations share executors

    def __init__(self, executor: TrialExecutor) -> None:
        self.executor = executor
        self._unread: list[Event] = []
        self._last_seq: dict[str, int] = {}
        self._ended: set[str] = set()
        self._reservations: list[Reservation] = []
        self._freed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Give all room back, and see that every call has ended and every reservation is told to be free then."""
        for reservation in self._reservations:
            self.executor.release(reservation)
        until = self.executor.clock() + DEADLINE_S
        while self._last_seq.keys() != self._ended or self._freed < len(self._reservations):
            running = self._last_seq.keys() - self._ended
            freed = f"{self._freed} of {len(self._reservations)} reservations freed"
            assert self.executor.clock() < until, f"{freed}, no ending of {running}"
            self._read(until)

    def reserve(self, request: Request | None = None) -> Reservation:
        reservation = self.executor.reserve(request or Request())
        assert reservation is not None
        self._reservations.append(reservation)
        return reservation

    def start(self, program: Program, argument: Any = None, *, on: Reservation | None = None, **options: Any) -> str:
        """Start a call and return its id."""
        return self.start_prepared(self.executor.prepare(program), argument, on=on, **options)

    def start_prepared(
        self, prepared: Prepared, argument: Any = None, *, on: Reservation | None = None, **options: Any
    ) -> str:
        """Start a call of a program that was prepared before and return its id."""
        call = Call(f"call-{next(self._numbers)}", argument, **options)
        self._last_seq[call.call_id] = 0
        self.executor.start(prepared, on or self.reserve(), call)
        return call.call_id

    def events(self, until: float | None) -> list[Event]:
        """What the executor's `events` returns, checked."""
        events = self.executor.events(until)
        for event in events:
            self._check(event)
        return events

    def next_of(self, call_id: str) -> Emitted | Ending:
        """The next event of this call; those of others wait for their readers."""
        return self._await(lambda event: getattr(event, "call_id", None) == call_id)  # type: ignore[return-value]

    def emission_of(self, call_id: str) -> Emitted:
        event = self.next_of(call_id)
        assert isinstance(event, Emitted), event
        return event

    def answer(self, emitted: Emitted, answer: Any = None) -> None:
        self.executor.reply(emitted.call_id, emitted.seq, answer)

    def end_of(self, call_id: str, answer: Any = None) -> Ending:
        """How the call ends when all its emissions are given `answer`."""
        while isinstance(event := self.next_of(call_id), Emitted):
            self.answer(event, answer)
        return event

    def returned_by(self, call_id: str, answer: Any = None) -> Any:
        event = self.end_of(call_id, answer)
        assert isinstance(event, Returned), event
        return event.value

    def returned_by_from(self, emitted: Emitted, answer: Any) -> Any:
        """What the call returns when `emitted` and all that follows are given `answer`."""
        self.answer(emitted, answer)
        return self.returned_by(emitted.call_id, answer)

    def room_freed(self) -> None:
        self._await(lambda event: isinstance(event, RoomFreed))

    def nothing_happens(self) -> None:
        """Nothing unread is there, and nothing comes for a while."""
        until = self.executor.clock() + QUIET_S
        while self.executor.clock() < until:
            self._read(until)
        assert self._unread == []

    def _await(self, wanted: Callable[[Event], bool]) -> Event:
        until = self.executor.clock() + DEADLINE_S
        while True:
            for position, event in enumerate(self._unread):
                if wanted(event):
                    return self._unread.pop(position)
            assert self.executor.clock() < until, f"it did not come in {DEADLINE_S} s; what came: {self._unread}"
            self._read(until)

    def _read(self, until: float) -> None:
        self._unread += [event for event in self.events(until) if not isinstance(event, RoomAdded)]

    def _check(self, event: Event) -> None:
        if isinstance(event, RoomAdded | NodeDraining):
            return
        if isinstance(event, RoomFreed):
            self._freed += 1
            assert self._freed <= len(self._reservations), "more room freed than was ever held"
            return
        assert event.call_id in self._last_seq, f"of a call that nobody started: {event}"
        assert event.call_id not in self._ended, f"after the call's ending: {event}"
        if isinstance(event, Emitted):
            self._last_seq[event.call_id] += 1
            assert event.seq == self._last_seq[event.call_id], event
        else:
            self._ended.add(event.call_id)
