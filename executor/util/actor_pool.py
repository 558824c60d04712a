"""A pool of actors that users have made: each gets its next call when the result of its last one is taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from executor.errors import GetTimeoutError
from executor.library.api import get, wait
from executor.library.handles import ActorHandle
from executor.library.refs import ObjectRef

__audition_internal__ = True

Call = Callable[[ActorHandle, Any], Any]
"""Calls an actor with a value, and returns the reference: ``lambda actor, value: actor.double.remote(value)``."""


class ActorPool:
    """Gives values to actors, one at a time each. Calls for which no actor is free wait, in their order.

    Args:
        actors: the handles.
    """

    def __init__(self, actors: Iterable[ActorHandle]) -> None:
        self._idle = list(actors)
        self._waiting: deque[tuple[Call, Any]] = deque()
        self._running: dict[int, tuple[Any, ActorHandle]] = {}
        self._next_submitted = 0
        self._next_returned = 0

    def map(self, fn: Call, values: Iterable[Any]) -> Iterator[Any]:
        """The results of calling actors with `values`, in order. Results that nobody took before are thrown away.

        Raises:
            BaseException: from the iterator, what a call raised; the others go on.
        """
        self._start_anew(fn, values)
        return self._results(self.get_next)

    def map_unordered(self, fn: Call, values: Iterable[Any]) -> Iterator[Any]:
        """As `map`, with the results in the order in which they come."""
        self._start_anew(fn, values)
        return self._results(self.get_next_unordered)

    def _start_anew(self, fn: Call, values: Iterable[Any]) -> None:
        # What is left of earlier calls is waited for, as the actors are; what it raises is not this call's.
        while self.has_next():
            try:
                self.get_next_unordered()
            except Exception:  # noqa: BLE001
                pass
        for value in values:
            self.submit(fn, value)

    def _results(self, following: Callable[[], Any]) -> Iterator[Any]:
        while self.has_next():
            yield following()

    def submit(self, fn: Call, value: Any) -> None:
        """Call an actor with a value, as soon as one is free."""
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.pop()
        self._running[self._next_submitted] = fn(actor, value), actor
        self._next_submitted += 1

    def has_next(self) -> bool:
        """Whether there is a result to take, now or later."""
        return bool(self._running)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The result of the call that was submitted first of those whose results were not taken, waited for.

        Args:
            timeout: seconds to wait at most.
            ignore_if_timedout: when they are over, give the result up, and have the actor called again meanwhile.

        Raises:
            StopIteration: there is none.
            ValueError: `get_next_unordered` has taken a later one.
            TimeoutError: it was not there in time; it can be asked for again.
        """
        if not self._running:
            raise StopIteration("No more results to get")
        if self._next_returned not in self._running:
            raise ValueError("It is not allowed to call get_next() after get_next_unordered().")
        number = self._next_returned
        if timeout is not None and not self._is_there(self._running[number][0], timeout):
            if ignore_if_timedout:
                self._take(number)
            raise GetTimeoutError("Timed out waiting for result")
        return get(self._take(number))

    def _is_there(self, result: Any, timeout: float) -> bool:
        refs = _refs_of(result)
        return len(wait(refs, num_returns=len(refs), timeout=timeout)[0]) == len(refs)

    def get_next_unordered(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The result of whichever call ends first.

        Raises:
            StopIteration: there is none.
            TimeoutError: none was there in time.
        """
        if not self._running:
            raise StopIteration("No more results to get")
        number_of = {_refs_of(result)[0]: number for number, (result, _) in self._running.items()}
        ready, _ = wait(list(number_of), timeout=timeout)
        if not ready:
            if ignore_if_timedout:
                self._take(next(iter(self._running)))
            raise GetTimeoutError("Timed out waiting for result")
        return get(self._take(number_of[ready[0]]))

    def _take(self, number: int) -> Any:
        result, actor = self._running.pop(number)
        self._next_returned = max(self._next_returned, number + 1)
        self._free(actor)
        return result

    def _free(self, actor: ActorHandle) -> None:
        self._idle.append(actor)
        if self._waiting:
            self.submit(*self._waiting.popleft())

    def has_free(self) -> bool:
        """Whether an actor has nothing to do, and no call waits."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> ActorHandle | None:
        """Take an actor that has nothing to do out of the pool; None when there is none."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: ActorHandle) -> None:
        """Put an actor into the pool.

        Raises:
            ValueError: it is in it already.
        """
        if actor in self._idle or any(actor == busy for _, busy in self._running.values()):
            raise ValueError("Actor already belongs to current ActorPool")
        self._free(actor)


def _refs_of(result: Any) -> list[ObjectRef[Any]]:
    return result if isinstance(result, list) else [result]
