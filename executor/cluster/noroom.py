"""What the head had no room for: it is not asked again before anything has changed. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection

from executor.resources import Request

_ASKED_AGAIN_S = 0.5
"""Whoever asks later than that is let through in any case: not all that makes room is told to all who wait."""


class NoRoom:
    """Remembers refusals. A loop with trials that wait would else ask at every turn, and stand still for the answer."""

    def __init__(self) -> None:
        self._refused: dict[tuple[Request, frozenset[str]], float] = {}
        self.changes = 0
        """How often there may have been more room; who asks looks at it before."""

    def change(self) -> None:
        """There may be more room."""
        self.changes += 1
        self._refused.clear()

    def refuse(self, request: Request, avoid: Collection[str], changes: int, now: float) -> None:
        """There was none for a request on nodes not in `avoid`, asked for after so many changes."""
        if changes == self.changes:
            self._refused[request, frozenset(avoid)] = now

    def is_refused(self, request: Request, avoid: Collection[str], now: float) -> bool:
        """Whether there still is none, as far as anybody can tell without asking."""
        asked = request, frozenset(avoid)
        if self._refused.get(asked, -math.inf) + _ASKED_AGAIN_S > now:
            return True
        self._refused.pop(asked, None)
        return False
