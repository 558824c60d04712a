"""Virtual time: what will happen when."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator

from executor.messages import Event
from executor.simulation.running import RunningCall


class Agenda:
    """Events to come, and the time now. Events of one moment keep the order in which they were added."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Event, RunningCall | None]] = []
        self._order = itertools.count()

    def add(self, after_s: float, event: Event, running: RunningCall | None = None) -> None:
        """`event` will happen in `after_s` seconds, unless `running` was given and has ended by then."""
        if after_s < math.inf:
            heapq.heappush(self._heap, (self.now + after_s, next(self._order), event, running))

    def advance(self, until: float | None) -> bool:
        """Go to the next moment at which something happens, at most to `until`; False when there is neither."""
        heap = self._heap
        while heap and (running := heap[0][3]) is not None and running.ended:
            heapq.heappop(heap)
        moment = heap[0][0] if heap else math.inf
        if until is not None and until < moment:
            moment = until
        if moment == math.inf:
            return False
        self.now = max(self.now, moment)
        return True

    def due(self) -> Iterator[tuple[Event, RunningCall | None]]:
        """What happens now; it goes off the agenda. Ending a call while iterating takes its other events away."""
        heap, now = self._heap, self.now
        while heap and heap[0][0] <= now:
            _, _, event, running = heapq.heappop(heap)
            if running is None or not running.ended:
                yield event, running
