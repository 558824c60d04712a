"""A worker's side of the library: what its tasks and its actor ask of the hub, and what the hub sends them."""

from __future__ import annotations

import linecache
import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from mmap import mmap
from typing import Any

from executor.depot.store import Place
from executor.errors import GetTimeoutError, ObjectLostError, ObjectStoreFullError
from executor.interrupts import uninterrupted
from executor.library.account import Account
from executor.library.awaiting import AwaitedFuture, is_in_event_loop
from executor.library.calls import Submission
from executor.library.definitions import Definition
from executor.library.messages import (
    ANSWER,
    CALLS,
    CREATE,
    DEFINE,
    HELD,
    PROCEED,
    PUT,
    REPLY,
    SUBMIT,
    UNUSED,
)
from executor.library.objects import Outcome
from executor.library.plans import Code
from executor.library.refs import ObjectRef, number_of
from executor.library.requests import Requests, running
from executor.library.runtime import Runtime, settler
from executor.library.streams import Streams
from executor.library.uplink import Uplink
from executor.library.values import pack_value, size_of
from executor.processes.protocol import GRANTED
from executor.processes.worker import SocketChannel

__audition_internal__ = True


class Client(Runtime):
    """See the module. `calls` has those that are to be run, and the order to become an actor."""

    def __init__(self, channel: SocketChannel, number: int, node: str, *, is_among_nodes: bool) -> None:
        """Among nodes the host of ours keeps large objects; otherwise the driver does, on this machine."""
        super().__init__()
        self.number = number
        self.node = node
        self.is_among_nodes = is_among_nodes
        self.uplink = Uplink(channel, self._take)
        self.account = Account(number, channel.say)
        self.drop = self.account.drop
        self.requests = Requests(channel, self.uplink, self.account, self._refuse)
        self.streams = Streams(self.uplink, self.account, self)
        self.calls: deque[Any] = deque()
        self.on_calls: Callable[[], None] | None = None
        self.actor: tuple[int, str, int] | None = None
        self._channel = channel
        self._definitions: dict[str, bytes] = {}
        self._functions: dict[str, Any] = {}
        self._carried = {Code()}

    # Hearing.

    def _take(self, message: tuple[Any, ...]) -> None:
        kind = message[0]
        if kind == CALLS:
            self.calls.extend(message[1])
            if self.on_calls is not None:
                self.on_calls()
        elif kind in (REPLY, GRANTED):
            self.requests.take(*message[1:])
        elif kind == DEFINE:
            self._know(message[1])
        elif kind == ANSWER:
            self.streams.answered(*message[1:])
        elif kind == PROCEED:
            self.streams.taken(*message[1:])
        else:
            assert kind == CREATE, message
            self.calls.append(message)

    @contextmanager
    def standstill(self) -> Iterator[None]:
        """Inside of it no other thread sends, reads or keeps account of references, if it has not begun before."""
        with self.uplink.condition, self.account.lock, self.requests.lock, self._channel.lock:
            yield

    # Asking.

    def ask(self, verb: str, *arguments: Any) -> Any:
        return self.requests.ask(verb, arguments)

    def _refuse(self, verb: str, value: Any) -> None:
        """Let go of what a request has brought that nobody waits for any more."""
        if value is None or isinstance(value, BaseException | str):
            return
        if verb == "allocate":
            self.give_back(Place(*value))
        elif verb == "next_item":
            self.own(value)
        elif verb in ("create_actor", "get_actor"):
            self.own(value[0])

    def outcomes(self, numbers: Sequence[int], timeout_s: float | None) -> list[Outcome]:
        try:
            found: list[Outcome] = self.requests.ask("outcomes", (list(numbers),), timeout_s)
        except GetTimeoutError:
            there = len(self.ask("there", list(numbers)))
            text = f"{there} of {len(numbers)} values were there after {timeout_s:g} s. Ask again, or longer."
            raise GetTimeoutError(text) from None
        return found

    def wait(self, numbers: Sequence[int], count: int, timeout_s: float | None) -> set[int]:
        try:
            return set(self.requests.ask("wait", (list(numbers), count), timeout_s))
        except GetTimeoutError:
            return set(self.ask("there", list(numbers)))

    def when_there(self, number: int, callback: Callable[[Outcome], None]) -> None:
        self._ask_for_outcome("outcomes_later", number, callback)

    def _ask_for_outcome(self, verb: str, number: int, callback: Callable[[Outcome], None]) -> int:
        """Have an outcome called back with; the number of the request."""
        return self.requests.ask_later(verb, ([number],), lambda _, found: callback(found[0]))

    def future(self, ref: ObjectRef[Any]) -> Future[Any]:
        """A future of the value. What asks for it in an event loop awaits it; others wait when they say so."""
        self.uplink.before_waiting()
        future = AwaitedFuture(self.requests.standing)
        verb = "outcomes_awaited" if is_in_event_loop() else "outcomes_later"
        request = self._ask_for_outcome(verb, number_of(ref), settler(future, ref, self))
        future.add_done_callback(lambda future: self.requests.call_off(request, verb) if future.cancelled() else None)
        return future

    def next_item(self, call: int, taken: int, answer: Any) -> ObjectRef[Any] | None:
        reply = None if answer is None else self.put(answer)
        number = self.ask("next_item", call, taken, None if reply is None else number_of(reply))
        return None if number is None else self.own(number)

    # Large objects.

    def path_of(self, place: Place) -> str:
        if not self.is_among_nodes or place.home == self.node:
            return place.path
        return self._fetched(place, None)

    def _fetched(self, place: Place, timeout_s: float | None) -> str:
        arguments = place.home, place.segment, size_of(place)
        return str(self.requests.ask_host("fetch", ObjectLostError, *arguments, timeout_s=timeout_s))

    def bring(self, places: Sequence[Place], timeout_s: float | None) -> bool:
        if timeout_s is None:
            return True  # who opens a value waits for it
        deadline = time.monotonic() + timeout_s
        try:
            for place in places:
                if place.home != self.node:
                    self._fetched(place, max(0.0, deadline - time.monotonic()))
        except GetTimeoutError:
            return False
        return True

    def _allocated(self, size: int) -> Place:
        if not self.is_among_nodes:
            place: Place = self.ask("allocate", size)
            return place
        return Place(*self.requests.ask_host("allocate", ObjectStoreFullError, size))._replace(home=self.node)

    def allocate(self, size: int) -> tuple[Place, memoryview]:
        place = self._allocated(size)
        fd = os.open(place.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return place, memoryview(mmap(fd, place.size))
        finally:
            os.close(fd)

    def give_back(self, place: Place) -> None:
        self._channel.say((UNUSED, place.segment))

    # References.

    def new_numbers(self, count: int) -> int:
        return self.account.new_numbers(count)

    def own(self, number: int) -> ObjectRef[Any]:
        """A reference that the hub knows this worker to hold."""
        self.account.own(number)
        return ObjectRef(number, self)

    def arrived(self, number: int) -> ObjectRef[Any]:
        self.account.arrived(number)
        return ObjectRef(number, self)

    def pin(self, number: int) -> None:
        self.uplink.say((HELD, (number,), ()))

    # Making.

    @uninterrupted
    def put(self, value: Any) -> ObjectRef[Any]:
        packed = pack_value(value, self)
        number = self.account.new_numbers(1)
        ref = self.own(number)  # before: what has come meanwhile is raised once it is said
        self.account.flush()
        self.uplink.say((PUT, number, packed))
        return ref

    def define(self, definition: Definition) -> None:
        if definition.digest not in self._definitions:
            self.uplink.say((DEFINE, definition))  # before another thread may take it for known
            self._know(definition)

    def _know(self, definition: Definition) -> None:
        self._definitions[definition.digest] = definition.pickled
        for name, lines in definition.sources:
            linecache.cache[name] = (0, None, list(lines), name)

    def function(self, digest: str) -> Any:
        """A function or class that was defined."""
        function = self._functions.get(digest)
        if function is None:
            function = self._functions[digest] = pickle.loads(self._definitions[digest])  # noqa: S301 - our own driver's
        return function

    def carry(self, code: Code) -> None:
        if self.is_among_nodes and code not in self._carried:
            if code != self.surrounding.code:
                self.ask("carry", code)
            self._carried.add(code)

    def submit(self, submission: Submission) -> None:
        self.account.flush()
        self.uplink.say((SUBMIT, running.get(), submission))
