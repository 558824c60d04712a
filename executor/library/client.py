"""A worker's side of the library: what its tasks and its actor ask of the hub, and what the hub sends them."""

from __future__ import annotations

import itertools
import json
import linecache
import os
import pickle
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
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
    ITEM,
    PROCEED,
    PUT,
    REPLY,
    REQUEST,
    SUBMIT,
    UNUSED,
)
from executor.library.objects import VALUE, Outcome
from executor.library.plans import Code
from executor.library.refs import ObjectRef, number_of
from executor.library.runtime import Runtime, settler
from executor.library.uplink import Uplink
from executor.library.values import Packed, pack_value, size_of, unpack_value
from executor.processes.protocol import GRANTED
from executor.processes.worker import SocketChannel

__audition_internal__ = True

running: ContextVar[int] = ContextVar("running", default=0)
"""The call that runs here just now."""


class Client(Runtime):
    """See the module."""

    def __init__(self, channel: SocketChannel, number: int, node: str, *, is_among_nodes: bool) -> None:
        """Among nodes the host of ours keeps large objects; otherwise the driver does, on this machine."""
        super().__init__()
        self.number = number
        self.node = node
        self.is_among_nodes = is_among_nodes
        self.uplink = Uplink(channel, self._take)
        self.account = Account(number, channel.say)
        self.drop = self.account.drop
        self.calls: deque[Any] = deque()
        self.on_calls: Callable[[], None] | None = None
        self.actor: tuple[int, str, int] | None = None
        self._channel = channel
        self._replies: dict[int, Any] = {}
        """Of each request that was answered: whether it went well, and what; of each that was given up: its verb."""
        self._callbacks: dict[int, Callable[[bool, Any], None]] = {}
        self._reads_callbacks = False
        self._answers: dict[int, tuple[ObjectRef[Any], Packed] | None] = {}
        self._proceed: dict[int, int] = {}
        self._items: Counter[int] = Counter()
        self.streaming: set[int] = set()
        self._definitions: dict[str, bytes] = {}
        self._functions: dict[str, Any] = {}
        self._carried = {Code()}
        self._requests = itertools.count(1)
        self._lock = threading.Lock()

    # Hearing.

    def _take(self, message: tuple[Any, ...]) -> None:
        kind = message[0]
        if kind == CALLS:
            self.calls.extend(message[1])
            if self.on_calls is not None:
                self.on_calls()
        elif kind in (REPLY, GRANTED):
            self._take_reply(*message[1:])
        elif kind == DEFINE:
            self._know(message[1])
        elif kind == ANSWER:
            answer = None if message[2] is None else (self.own(message[2]), message[3])
            if message[1] in self.streaming:
                self._answers[message[1]] = answer
        elif kind == PROCEED:
            self._proceed[message[1]] = max(self._proceed.get(message[1], 0), message[2])
        else:
            assert kind == CREATE, message
            self.calls.append(message)

    def _take_reply(self, request: int, well: bool, value: Any) -> None:
        callback = self._callbacks.pop(request, None)
        if callback is not None:
            self.uplink.afterwards.append(lambda: callback(well, value))
        elif type(verb := self._replies.setdefault(request, (well, value))) is str:
            del self._replies[request]
            self._refuse(verb, value)

    @contextmanager
    def standstill(self) -> Iterator[None]:
        """Inside of it no other thread sends, reads or keeps account of references, if it has not begun before."""
        with self.uplink.condition, self.account.lock, self._lock, self._channel.lock:
            yield

    def wake(self) -> None:
        """Have every thread that waits for the hub look up: by an answer, for nothing else ends their wait."""
        request = next(self._requests)
        self._callbacks[request] = lambda *_: None
        self.uplink.say((REQUEST, request, 0, "there", ([],)))

    # Asking.

    def ask(self, verb: str, *arguments: Any) -> Any:
        return self._ask(verb, arguments, None)

    def _ask(self, verb: str, arguments: tuple[Any, ...], timeout_s: float | None) -> Any:
        self.uplink.before_waiting()  # it may be for what waits here to be told
        self.account.flush()
        number = next(self._requests)
        replies = self._replies
        try:
            self.uplink.say((REQUEST, number, running.get(), verb, arguments))
            if not self.uplink.until(lambda: number in replies, timeout_s):
                raise GetTimeoutError
            if self.uplink.interrupts.came:
                self.uplink.interrupts.catch_up()
        except BaseException:  # mostly that the call was cancelled
            self._give_up(number, verb)
            raise
        well, value = replies.pop(number)
        if not well:
            raise value
        return value

    @uninterrupted
    def _give_up(self, number: int, verb: str) -> None:
        """The hub is not to think that somebody waits; what it has given all the same is let go of."""
        reply = self._replies.setdefault(number, verb)
        if type(reply) is tuple:
            del self._replies[number]
            self._refuse(verb, reply[1])
        self._channel.say((REQUEST, 0, running.get(), "give_up", (number,)))

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
            found: list[Outcome] = self._ask("outcomes", (list(numbers),), timeout_s)
        except GetTimeoutError:
            there = len(self.ask("there", list(numbers)))
            text = f"{there} of {len(numbers)} values were there after {timeout_s:g} s. Ask again, or longer."
            raise GetTimeoutError(text) from None
        return found

    def wait(self, numbers: Sequence[int], count: int, timeout_s: float | None) -> set[int]:
        try:
            return set(self._ask("wait", (list(numbers), count), timeout_s))
        except GetTimeoutError:
            return set(self.ask("there", list(numbers)))

    def when_there(self, number: int, callback: Callable[[Outcome], None]) -> None:
        self._ask_later("outcomes_later", number, callback)

    def _ask_later(self, verb: str, number: int, callback: Callable[[Outcome], None]) -> int:
        """Ask for an outcome, and call back with it; the number of the request."""
        self.account.flush()
        request = next(self._requests)
        self._callbacks[request] = lambda _, found: callback(found[0])
        if not self.uplink.is_watched:  # nobody reads while the worker's own code runs: a thread has to
            self._have_callbacks_read()
        self.uplink.say((REQUEST, request, running.get(), verb, ([number],)))
        return request

    @uninterrupted
    def _have_callbacks_read(self) -> None:
        """Have one thread read for all callbacks, as long as there are any."""
        with self._lock:
            if not self._reads_callbacks:
                self._reads_callbacks = True
                threading.Thread(target=self._read_callbacks, daemon=True, name="executor-futures").start()

    def _read_callbacks(self) -> None:
        try:
            while self.uplink.until(lambda: not self._callbacks):
                with self._lock:
                    if not self._callbacks:  # else somebody who saw this thread at work relies on it
                        self._reads_callbacks = False
                        return
        except EOFError:
            pass

    def future(self, ref: ObjectRef[Any]) -> Future[Any]:
        """A future of the value. What asks for it in an event loop awaits it; others wait when they say so."""
        self.uplink.before_waiting()
        future = AwaitedFuture(self._standing)
        verb = "outcomes_awaited" if is_in_event_loop() else "outcomes_later"
        request = self._ask_later(verb, number_of(ref), settler(future, ref, self))
        future.add_done_callback(lambda future: self._call_off(request, verb) if future.cancelled() else None)
        return future

    @uninterrupted
    def _call_off(self, request: int, verb: str) -> None:
        if self._callbacks.pop(request, None) is not None:  # else its reply has come
            self._give_up(request, verb)

    @contextmanager
    def _standing(self, timeout_s: float | None) -> Iterator[None]:
        """Let the hub know that this thread stands still, until it goes on; not if it only looks."""
        if timeout_s is not None and timeout_s <= 0:
            yield
            return
        self.uplink.before_waiting()
        request = next(self._requests)
        try:
            self.uplink.say((REQUEST, request, running.get(), "stand_still", ()))
            yield
        finally:
            self._give_up(request, "stand_still")
            if self.uplink.interrupts.came:
                self.uplink.interrupts.catch_up()

    def path_of(self, place: Place) -> str:
        if not self.is_among_nodes or place.home == self.node:
            return place.path
        return self._fetched(place, None)

    def _fetched(self, place: Place, timeout_s: float | None) -> str:
        arguments = place.home, place.segment, size_of(place)
        return str(self._ask_host("fetch", ObjectLostError, *arguments, timeout_s=timeout_s))

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

    def _ask_host(self, verb: str, kind: type[Exception], *arguments: Any, timeout_s: float | None = None) -> Any:
        """Ask the host of our node.

        Raises:
            Exception: of that kind, when it has no such thing.
            GetTimeoutError: it has not answered in time.
        """
        self.uplink.before_waiting()
        number, replies = next(self._requests), self._replies
        try:
            self._channel.ask_host(number, json.dumps([verb, *arguments]))
            if not self.uplink.until(lambda: number in replies, timeout_s):
                raise GetTimeoutError
        except BaseException:  # mostly that the call was cancelled
            reply = replies.setdefault(number, verb)
            if type(reply) is tuple:
                del replies[number]
                self._refuse(verb, reply[1])
            raise
        well, value = replies.pop(number)
        if not well:
            raise kind(value)
        return value

    def _allocated(self, size: int) -> Place:
        if not self.is_among_nodes:
            place: Place = self.ask("allocate", size)
            return place
        return Place(*self._ask_host("allocate", ObjectStoreFullError, size))._replace(home=self.node)

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

    # Streaming.

    def next_item(self, call: int, taken: int, answer: Any) -> ObjectRef[Any] | None:
        reply = None if answer is None else self.put(answer)
        number = self.ask("next_item", call, taken, None if reply is None else number_of(reply))
        return None if number is None else self.own(number)

    def stream(self, call: int, value: Any, *, window: int = 0) -> None:
        """Send up a value that a call yields; waits while the reader is `window` values behind."""
        index = self._items[call]
        if window:
            self.uplink.until(lambda: index - self._proceed.get(call, 0) < window)
        self._send_up(call, value, waits=False)

    def emit(self, call: int, value: Any) -> Any:
        """Send up a value and wait for the reader's answer to it."""
        self._answers.pop(call, None)
        self.uplink.before_waiting()
        self._send_up(call, value, waits=True)
        self.uplink.until(lambda: call in self._answers)
        answer = self._answers.pop(call)
        return None if answer is None else unpack_value(answer[1], self)

    @uninterrupted
    def _send_up(self, call: int, value: Any, *, waits: bool) -> None:
        packed = pack_value(value, self)
        self._items[call] += 1
        self.account.flush()
        self.uplink.say((ITEM, call, self.account.new_numbers(1), (VALUE, packed), waits))

    def end_stream(self, call: int) -> None:
        """Forget what was kept for a call's stream."""
        self.streaming.discard(call)
        self._items.pop(call, None)
        self._proceed.pop(call, None)
        self._answers.pop(call, None)
