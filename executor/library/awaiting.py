"""Futures in a worker: whoever waits for one lets it be known, so that the worker's cpus are lent meanwhile."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any

__audition_internal__ = True

Standing = Callable[[float | None], AbstractContextManager[None]]
"""Inside of it this thread stands still for at most so long."""


class AwaitedFuture(Future[Any]):
    """A future of a value that others make."""

    def __init__(self, standing: Standing) -> None:
        super().__init__()
        self._standing = standing
        self._waiters = _Waiters(standing)

    def result(self, timeout: float | None = None) -> Any:
        with self._until_done(timeout):
            return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        with self._until_done(timeout):
            return super().exception(timeout)

    def _until_done(self, timeout_s: float | None) -> AbstractContextManager[None]:
        return nullcontext() if self.done() else self._standing(timeout_s)


class _Waiters(list[Any]):
    """Whoever waits by `concurrent.futures.wait` or `as_completed`: they leave themselves here, with an event each.

    They tell nobody when they stand still, but for the event: it is replaced by one that does. All futures are locked
    just then, so that nobody has set it or waits for it.
    """

    def __init__(self, standing: Standing) -> None:
        super().__init__()
        self._standing = standing

    def append(self, waiter: Any) -> None:
        if not isinstance(waiter.event, _Event):
            waiter.event = _Event(self._standing)
        super().append(waiter)


class _Event(threading.Event):
    def __init__(self, standing: Standing) -> None:
        super().__init__()
        self._standing = standing

    def wait(self, timeout: float | None = None) -> bool:
        with nullcontext() if self.is_set() else self._standing(timeout):
            return super().wait(timeout)


def is_in_event_loop() -> bool:
    """Whether an event loop runs on this thread; asyncio, which takes 40 ms, is not imported to find that out."""
    running_loop = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    return running_loop is not None and running_loop() is not None
