"""Ctrl-C while we change what we hold, or are half way through a message: it comes a moment later instead.

Functions that must not be cut in two are marked `uninterrupted`. The handler of SIGINT looks at the frames it comes
upon; inside such a function it only makes a note, which whoever called the function looks at afterwards. So it costs
nothing where no signal comes. What the user's own code does in the middle of ours is marked `interruptible`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` looks handlers up in an enum: ten times as long
import signal
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

_uninterrupted: set[CodeType] = set()
_interruptible: set[CodeType] = set()


def uninterrupted(function: Function) -> Function:
    """Mark a function that SIGINT does not cut in two. Its caller calls `catch_up` where `came` is set afterwards."""
    _uninterrupted.add(function.__code__)
    return function


def interruptible(function: Function) -> Function:
    """Mark a function that SIGINT may end although it is called by one that it may not."""
    _interruptible.add(function.__code__)
    return function


def is_uninterrupted(frame: FrameType) -> bool:
    """Whether this very frame is that of a function marked so."""
    return frame.f_code in _uninterrupted


def _is_inside(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in _uninterrupted:
            return True
        if frame.f_code in _interruptible:
            return False
        frame = frame.f_back
    return False


class Condition:
    """A condition whose `wait` an interrupt may end only while it waits, and then its lock is held again.

    The standard library's loses its lock, or takes it twice, when one comes as it lets go of it or takes it again.
    """

    def __init__(self) -> None:
        lock = threading.Lock()
        self.acquire, self.release = lock.acquire, lock.release
        self._waiting: list[threading.Lock] = []

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()

    @uninterrupted
    def wait(self, timeout_s: float | None = None) -> None:
        """Let go of the lock, which is held, until somebody notifies all who wait, or the time is over."""
        mine = threading.Lock()
        mine.acquire()
        self._waiting.append(mine)
        self.release()
        try:
            _acquire(mine, timeout_s)
        finally:
            self.acquire()
            if mine in self._waiting:
                self._waiting.remove(mine)

    def notify_all(self) -> None:
        """Wake all who wait; the lock is held."""
        while self._waiting:
            self._waiting.pop().release()


@interruptible
def _acquire(lock: threading.Lock, timeout_s: float | None) -> None:
    lock.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s))


class Interrupts:
    """Takes over SIGINT. What it comes to is `deliver`, or the handler that was there before."""

    def __init__(self, deliver: Callable[[int, FrameType | None], Any] | None = None) -> None:
        self.came = False
        """Whether one came inside an uninterrupted function, and was not delivered yet."""
        self._main = threading.main_thread().ident
        self._deliver = deliver
        self._before: Any = None
        self._ours = self._handle

    def install(self) -> None:
        """Take over SIGINT, in the main thread. To be done again and again: notebooks set it anew for each cell."""
        handler = _signal.getsignal(signal.SIGINT)
        if handler is self._ours or threading.get_ident() != self._main:
            return
        if callable(handler) or self._deliver is not None:
            self._before = handler
            signal.signal(signal.SIGINT, self._ours)

    def remove(self) -> None:
        """Give SIGINT back, if it is still ours."""
        if threading.get_ident() == self._main and _signal.getsignal(signal.SIGINT) is self._ours:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if _is_inside(frame):
            self.came = True
        else:
            (self._deliver or self._before)(number, frame)

    def catch_up(self) -> None:
        """Deliver what came, in the main thread; others leave it to that."""
        if self.came and threading.get_ident() == self._main:
            self.came = False
            (self._deliver or self._before)(signal.SIGINT, None)
