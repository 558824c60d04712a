"""A worker's account of objects: the numbers of those that it makes, and the references that it holds."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from executor.interrupts import uninterrupted
from executor.library.messages import HELD

__audition_internal__ = True


class Account:
    """See the module. What changes in it the hub is told, by `say`, when it is flushed: before anything rests on it."""

    def __init__(self, worker: int, say: Callable[[tuple[Any, ...]], None]) -> None:
        self.lock = threading.Lock()
        self._say = say
        self._next_number = (worker << 40) + 1
        self._dropped: deque[int] = deque()
        self.drop = self._dropped.append
        self._counts: Counter[int] = Counter()
        """How many references there are here to each object."""
        self._held: Counter[int] = Counter()
        """How many of them the hub knows of."""
        self._fresh: set[int] = set()

    def new_numbers(self, count: int) -> int:
        """The first of so many numbers in a row."""
        with self.lock:
            first = self._next_number
            self._next_number += count
            return first

    def own(self, number: int) -> None:
        """There is a reference more, and the hub knows it."""
        with self.lock:
            self._counts[number] += 1
            self._held[number] += 1

    def arrived(self, number: int) -> None:
        """There is a reference more, which was just unpickled."""
        with self.lock:
            self._counts[number] += 1
            if not self._held[number]:
                self._fresh.add(number)

    @property
    def has_news(self) -> bool:
        """Whether references came or were let go of that the hub has not been told of."""
        return bool(self._dropped or self._fresh)

    @uninterrupted
    def flush(self) -> None:
        """Tell the hub which references this worker holds now, and which not any more."""
        if not self._dropped and not self._fresh:
            return
        gone: list[int] = []
        with self.lock:
            while self._dropped:
                number = self._dropped.popleft()
                self._counts[number] -= 1
                if not self._counts[number]:
                    del self._counts[number]
                    gone += [number] * self._held.pop(number, 0)
            taken = [number for number in self._fresh if number in self._counts]
            self._held.update(taken)
            if taken or gone:
                self._say((HELD, taken, gone))
            self._fresh.clear()  # not before: another thread that finds nothing fresh tells that its call has ended
