"""The calls of an actor that run on threads of it, and how one of them is interrupted."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from executor.interrupts import Interrupts, is_uninterrupted

if TYPE_CHECKING:
    from executor.library.client import Client

__audition_internal__ = True


class ThreadInterrupts(Interrupts):
    """Those of the main thread, which come as a signal, and what is noted for other threads."""

    def __init__(self, deliver: Callable[[int, FrameType | None], Any]) -> None:
        super().__init__(deliver)
        self._noted: set[int] = set()

    def note(self, thread: int) -> None:
        """Have a thread meet a KeyboardInterrupt when it catches up."""
        self._noted.add(thread)
        self.came = True

    def forget(self, thread: int) -> None:
        """What a thread was to be interrupted in is over."""
        self._noted.discard(thread)

    def catch_up(self) -> None:
        """Deliver what came for this thread."""
        thread = threading.get_ident()
        if thread in self._noted:
            self._noted.remove(thread)
            raise KeyboardInterrupt
        try:
            super().catch_up()
        finally:
            if self._noted:
                self.came = True  # for the other threads


class Threads:
    """Which thread runs which call."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._running: dict[int, int] = {}

    def run(self, call: int, function: Callable[[], Any]) -> Any:
        """Do the user's part of a call on this thread; a KeyboardInterrupt comes there or not at all."""
        thread = threading.get_ident()
        self._running[call] = thread
        try:
            return function()
        finally:
            with self._lock:  # one that is on its way comes while this is waited for
                self._running.pop(call, None)
                self._client.uplink.interrupts.forget(thread)

    def interrupt(self, call: int) -> None:
        """Raise KeyboardInterrupt where a call runs, if it does: there and then, or where it waits for the hub."""
        with self._lock:
            thread = self._running.pop(call, None)
            if thread is None or self._raise_in(thread):
                return
            self._client.uplink.interrupts.note(thread)
        self._client.requests.wake()

    def _raise_in(self, thread: int) -> bool:
        """Raise in a thread, unless it is in the midst of what must not be cut in two; whether that was done."""
        with self._client.standstill():
            if _is_in_the_midst(thread):
                return False
            _set_exception(thread, KeyboardInterrupt)
            if not _is_in_the_midst(thread):
                return True
            # It has come there meanwhile, and stands before a lock that is held here.
            _set_exception(thread, None)
            return False


def _is_in_the_midst(thread: int) -> bool:
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented, underscore and all
    while frame is not None:
        if is_uninterrupted(frame):
            return True
        frame = frame.f_back
    return False


def _set_exception(thread: int, kind: type[BaseException] | None) -> None:
    """Have a thread raise an exception with its next step in Python; with None, not any more."""
    import ctypes  # not before somebody cancels such a call

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None if kind is None else ctypes.py_object(kind))
