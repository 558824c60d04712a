"""What a worker asks its hub, or the host of its node: each request is answered once, or given up."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from executor.errors import GetTimeoutError
from executor.interrupts import uninterrupted
from executor.library.account import Account
from executor.library.messages import REQUEST
from executor.library.uplink import Uplink
from executor.processes.worker import SocketChannel

__audition_internal__ = True

running: ContextVar[int] = ContextVar("running", default=0)
"""The call that runs here just now."""


class Requests:
    """See the module. What comes for a request that was given up, `refuse` lets go of: it is told the verb and that."""

    def __init__(
        self, channel: SocketChannel, uplink: Uplink, account: Account, refuse: Callable[[str, Any], None]
    ) -> None:
        self.lock = threading.Lock()
        self._channel = channel
        self._uplink = uplink
        self._account = account
        self._refuse = refuse
        self._numbers = itertools.count(1)
        self._replies: dict[int, Any] = {}
        """Of each request that was answered: whether it went well, and what; of each that was given up: its verb."""
        self._callbacks: dict[int, Callable[[bool, Any], None]] = {}
        self._reads_callbacks = False

    def ask(self, verb: str, arguments: tuple[Any, ...], timeout_s: float | None = None) -> Any:
        """Have the hub do something, and wait for its answer.

        Raises:
            GetTimeoutError: it has not answered in time.
            BaseException: what came of it in the hub.
        """
        self._uplink.before_waiting()  # it may be for what waits here to be told
        self._account.flush()
        number = next(self._numbers)
        replies = self._replies
        try:
            self._uplink.say((REQUEST, number, running.get(), verb, arguments))
            if not self._uplink.until(lambda: number in replies, timeout_s):
                raise GetTimeoutError
            if self._uplink.interrupts.came:
                self._uplink.interrupts.catch_up()
        except BaseException:  # mostly that the call was cancelled
            self._give_up(number, verb)
            raise
        well, value = replies.pop(number)
        if not well:
            raise value
        return value

    def ask_host(self, verb: str, kind: type[Exception], *arguments: Any, timeout_s: float | None = None) -> Any:
        """Ask the host of our node.

        Raises:
            Exception: of that kind, when it has no such thing.
            GetTimeoutError: it has not answered in time.
        """
        self._uplink.before_waiting()
        number, replies = next(self._numbers), self._replies
        try:
            self._channel.ask_host(number, json.dumps([verb, *arguments]))
            if not self._uplink.until(lambda: number in replies, timeout_s):
                raise GetTimeoutError
        except BaseException:  # mostly that the call was cancelled
            self._forget(number, verb)
            raise
        well, value = replies.pop(number)
        if not well:
            raise kind(value)
        return value

    def take(self, number: int, well: bool, value: Any) -> None:
        """A reply has come."""
        callback = self._callbacks.pop(number, None)
        if callback is not None:
            self._uplink.afterwards.append(lambda: callback(well, value))
        elif type(verb := self._replies.setdefault(number, (well, value))) is str:
            del self._replies[number]
            self._refuse(verb, value)

    @uninterrupted
    def _forget(self, number: int, verb: str) -> None:
        """Nobody here waits for it any more; what has come all the same is let go of."""
        reply = self._replies.setdefault(number, verb)
        if type(reply) is tuple:
            del self._replies[number]
            self._refuse(verb, reply[1])

    @uninterrupted
    def _give_up(self, number: int, verb: str) -> None:
        """Forget a request, and have the hub not think that somebody waits."""
        self._forget(number, verb)
        self._channel.say((REQUEST, 0, running.get(), "give_up", (number,)))

    @contextmanager
    def standing(self, timeout_s: float | None) -> Iterator[None]:
        """Let the hub know that this thread stands still, until it goes on; not if it only looks."""
        if timeout_s is not None and timeout_s <= 0:
            yield
            return
        self._uplink.before_waiting()
        number = next(self._numbers)
        try:
            self._uplink.say((REQUEST, number, running.get(), "stand_still", ()))
            yield
        finally:
            self._give_up(number, "stand_still")
            if self._uplink.interrupts.came:
                self._uplink.interrupts.catch_up()

    def wake(self) -> None:
        """Have every thread that waits for the hub look up: by an answer, for nothing else ends their wait."""
        number = next(self._numbers)
        self._callbacks[number] = lambda *_: None
        self._uplink.say((REQUEST, number, 0, "there", ([],)))

    # With a callback.

    def ask_later(self, verb: str, arguments: tuple[Any, ...], callback: Callable[[bool, Any], None]) -> int:
        """Ask, and have `callback` told whether it went well, and what; the number of the request."""
        self._account.flush()
        number = next(self._numbers)
        self._callbacks[number] = callback
        if not self._uplink.is_watched:  # nobody reads while the worker's own code runs: a thread has to
            self._have_callbacks_read()
        self._uplink.say((REQUEST, number, running.get(), verb, arguments))
        return number

    @uninterrupted
    def call_off(self, number: int, verb: str) -> None:
        """Nobody is to be called back any more."""
        if self._callbacks.pop(number, None) is not None:  # else its reply has come
            self._give_up(number, verb)

    @uninterrupted
    def _have_callbacks_read(self) -> None:
        """Have one thread read for all callbacks, as long as there are any."""
        with self.lock:
            if not self._reads_callbacks:
                self._reads_callbacks = True
                threading.Thread(target=self._read_callbacks, daemon=True, name="executor-futures").start()

    def _read_callbacks(self) -> None:
        try:
            while self._uplink.until(lambda: not self._callbacks):
                with self.lock:
                    if not self._callbacks:  # else somebody who saw this thread at work relies on it
                        self._reads_callbacks = False
                        return
        except EOFError:
            pass
