"""Ctrl-C while we change what we hold or are half way through a message: it comes a moment later instead."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` looks handlers up in an enum: ten times as long
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupts:
    """As a context, a stretch of code in the main thread that SIGINT does not cut in two; other threads never are.

    What it comes to is `deliver`, or the handler that was there before.
    """

    def __init__(self, deliver: Callable[[int, FrameType | None], Any] | None = None) -> None:
        self.depth = 0
        self._main = threading.main_thread().ident
        self._late: FrameType | None = None
        self._came = False
        self._deliver = deliver
        self._before: Any = None
        self.on_late: Callable[[], None] | None = None
        """Called in the signal handler, to end a wait within a calm stretch."""
        self._ours = self._handle

    def install(self) -> None:
        """Take over SIGINT, in the main thread. To be done again and again: notebooks set it anew for each cell."""
        if threading.get_ident() == self._main:
            handler = _signal.getsignal(signal.SIGINT)
            if handler is not self._ours and (callable(handler) or self._deliver is not None):
                self._before = handler
                signal.signal(signal.SIGINT, self._ours)

    def remove(self) -> None:
        """Give SIGINT back, if it is still ours."""
        if threading.get_ident() == self._main and signal.getsignal(signal.SIGINT) is self._ours:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.depth:
            self._came, self._late = True, frame
            if self.on_late is not None:
                self.on_late()
        else:
            (self._deliver or self._before)(number, frame)

    def __enter__(self) -> None:
        if threading.get_ident() == self._main:
            self.depth += 1

    def __exit__(self, *exc: object) -> None:
        if threading.get_ident() == self._main:
            self.depth -= 1
            if self._came and not self.depth:
                self.catch_up()

    def is_due(self) -> bool:
        """Whether one has come that this thread is to meet, once it is out of the calm stretch."""
        return self._came and threading.get_ident() == self._main

    def let_in(self, action: Callable[[], None]) -> None:
        """Do something, within a calm stretch, in which interrupts come at once."""
        if threading.get_ident() != self._main:
            action()
            return
        depth = self.depth
        try:
            self.depth = 0
            self.catch_up()
            action()
        finally:
            self.depth = depth

    def catch_up(self) -> None:
        """Deliver what came in the meantime."""
        if self._came:
            frame, self._came, self._late = self._late, False, None
            (self._deliver or self._before)(signal.SIGINT, frame)
