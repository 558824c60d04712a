"""What is to be done at some time. Pure."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class Timers:
    """Actions by when they are due; of those due at the same time the first set comes first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def set(self, at: float, action: Callable[[], None]) -> None:
        """Have something done at that time."""
        heapq.heappush(self._heap, (at, next(self._numbers), action))

    def ring(self, now: float) -> float | None:
        """Do what is due; how long until the next."""
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2]()
        return self._heap[0][0] - now if self._heap else None
