"""The driver's side of the library: what its program asks of the hub, which is in the same process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from executor.depot.store import Place
from executor.errors import ExecutorClosedError, ExecutorError, GetTimeoutError, ObjectLostError
from executor.interrupts import uninterrupted
from executor.library.calls import Submission
from executor.library.definitions import Definition
from executor.library.failures import pack_own
from executor.library.hub import Hub
from executor.library.objects import ERROR, VALUE, Outcome
from executor.library.plans import Code
from executor.library.refs import ObjectRef, number_of
from executor.library.runtime import Runtime
from executor.library.values import pack_value, place_of


class Driver(Runtime):
    """See the module. Whoever waits turns the hub meanwhile; what changes it is not cut in two by Ctrl-C."""

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self.hub = hub
        self.node, self.is_among_nodes = hub.backend.node, not hub.backend.is_here
        self.drop = hub.dropped.append
        self._interrupts = hub.interrupts

    def _until(self, ready: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until something holds, turning the hub, or until the time is over; whether it holds."""
        if self.hub.is_closed:
            self.hub.check_open()
        self._interrupts.install()
        holds = self.hub.turns.until(ready, timeout_s)
        if self._interrupts.came:
            self._interrupts.catch_up()
        if not holds:
            self.hub.check_open()  # it may have been shut down meanwhile
        return holds

    def _change(self, action: Callable[..., Any], *arguments: Any) -> Any:
        """Do something under the lock, in one piece."""
        result = self._change_now(action, *arguments)
        if self._interrupts.came:
            self._interrupts.catch_up()
        return result

    @uninterrupted
    def _change_now(self, action: Callable[..., Any], *arguments: Any) -> Any:
        with self.hub.lock:
            return action(*arguments)

    # References.

    def new_numbers(self, count: int) -> int:
        return self.hub.new_numbers(count)

    def arrived(self, number: int) -> ObjectRef[Any]:
        with self.hub.lock:
            self.hub.objects.keep(number)
        return ObjectRef(number, self)

    def own(self, number: int) -> ObjectRef[Any]:
        return ObjectRef(number, self)

    def pin(self, number: int) -> None:
        with self.hub.lock:
            self.hub.objects.keep(number)

    def put(self, value: Any) -> ObjectRef[Any]:
        self.hub.check_open()
        self._interrupts.install()
        ref = self._put_now(value)
        if self._interrupts.came:
            self._interrupts.catch_up()
        return ref

    @uninterrupted
    def _put_now(self, value: Any) -> ObjectRef[Any]:
        packed = pack_value(value, self)
        ref = self.own(number := self.hub.new_numbers(1))
        self._change_now(self.hub.objects.put, number, (VALUE, packed))
        return ref

    # Waiting.

    def outcomes(self, numbers: Sequence[int], timeout_s: float | None) -> list[Outcome]:
        entries = self.hub.objects.entries
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        found = []
        for number in numbers:
            entry = entries.get(number)
            if entry is None:
                raise ExecutorClosedError("the object belongs to an executor that was shut down, or was freed")
            if entry.outcome is None:
                left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not self._until(lambda entry=entry: entry.outcome is not None, left_s):  # type: ignore[misc]
                    there = sum(entries[n].outcome is not None for n in numbers if n in entries)
                    raise GetTimeoutError(
                        f"{there} of {len(numbers)} values were there after {timeout_s:g} s. Ask again, or longer."
                    )
            assert entry.outcome is not None
            found.append(entry.outcome)
        return found

    def wait(self, numbers: Sequence[int], count: int, timeout_s: float | None) -> set[int]:
        there = self._there(numbers)
        if len(there) < count:
            self.hub.check_open()
            settled = [0]

            def one_more() -> None:
                settled[0] += 1

            try:
                self._change(self.hub.objects.watch, numbers, one_more)
                self._until(lambda: settled[0] >= count, timeout_s)
            finally:
                self._change(self.hub.objects.not_any_more, numbers, one_more)
            there = self._there(numbers)
        return there

    def _there(self, numbers: Sequence[int]) -> set[int]:
        entries = self.hub.objects.entries
        return {n for n in numbers if (entry := entries.get(n)) is None or entry.outcome is not None}

    def when_there(self, number: int, callback: Callable[[Outcome], None]) -> None:
        self.hub.check_open()

        def there() -> None:
            outcome = self.hub.objects.outcome(number) or (ERROR, pack_own(ExecutorError("the object is gone")))
            if (place := place_of(outcome[1])) is None:
                self.hub.afterwards.append(partial(callback, outcome))
            else:  # the thread that calls back may be the one that has to turn for it to come
                self.hub.backend.bring(place, partial(self._brought, callback, outcome))

        def watch() -> bool:
            entry = self.hub.objects.entries.get(number)
            self.hub.objects.when_settled(number, there)
            return entry is None or entry.outcome is not None

        if self._change(watch):  # else the turn that takes it in calls back
            self.hub.turns.notice()

    def _brought(self, callback: Callable[[Outcome], None], outcome: Outcome, why_not: str) -> None:
        if why_not:
            outcome = (ERROR, pack_own(ObjectLostError(why_not)))
        self.hub.afterwards.append(partial(callback, outcome))
        self.hub.turns.notice()

    # Asking.

    def define(self, definition: Definition) -> None:
        if definition.digest not in self.hub.workers.definitions:
            self._change(self.hub.define, definition)

    def carry(self, code: Code) -> None:
        self.hub.backend.carry(code)

    def submit(self, submission: Submission) -> None:
        self.hub.submit(submission)
        if self._interrupts.came:
            self._interrupts.catch_up()

    def next_item(self, call: int, taken: int, answer: Any) -> ObjectRef[Any] | None:
        reply = None if answer is None else self.put(answer)
        number = self.ask("next_item", call, taken, None if reply is None else number_of(reply))
        return None if number is None else self.own(number)

    def ask(self, verb: str, *arguments: Any) -> Any:
        self.hub.check_open()
        answers: list[tuple[bool, Any]] = []
        wanted = True

        def answer(well: bool, value: Any) -> bool:
            answers.append((well, value))
            return wanted

        try:
            self._change(self.hub.serve, verb, arguments, answer)
            if not answers:
                self._until(lambda: bool(answers), None)
        finally:
            wanted = False
        well, value = answers[0]
        if not well:
            raise value
        return value

    # Large objects.

    def allocate(self, size: int) -> tuple[Place, memoryview]:
        if self.hub.dropped:
            self._change(self.hub.take_drops)
        place = self.hub.backend.allocate(size)
        return place, self.hub.store.memory_of(place)

    def path_of(self, place: Place) -> str:
        return self.hub.backend.path_of(place)

    def bring(self, places: Sequence[Place], timeout_s: float | None) -> bool:
        told: list[str] = []

        def tell(why_not: str) -> None:
            told.append(why_not)
            self.hub.backend.wake()

        for place in places:
            self._change(self.hub.backend.bring, place, tell)
        if len(told) < len(places) and not self._until(lambda: len(told) == len(places), timeout_s):
            return False
        if why_not := next(filter(None, told), ""):
            raise ObjectLostError(why_not)
        return True

    def give_back(self, place: Place) -> None:
        self.hub.backend.give_back(place)

    def disown(self) -> None:
        self.hub.disown()
