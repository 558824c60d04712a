"""Numbers on a ladder: from `low` upwards in equal steps, wherever `low` lies. What Optuna's ``step`` means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from searchers.ladder import Ladder


@dataclass(frozen=True, slots=True)
class Stepped(Ladder):
    """``low, low + step, low + 2 step, ...`` up to at most `high`, each as likely; whole numbers when all three are.

    Raises:
        ValueError: `low` is not below `high`, or `step` is not above 0 and at most their difference.
    """

    low: float
    high: float
    step: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"{self}: low must be below high")
        if self.step <= 0 or self.size < 2:
            raise ValueError(f"{self}: step must be above 0 and at most {self.high - self.low:g}")

    @property
    def size(self) -> int:
        return math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def at(self, rung: int) -> float:
        """The value at a rung, counted from 0; as in Optuna, no float's digits bring the last above `high`."""
        return min(self.low + rung * self.step, self.high)

    def cast(self, value: Any) -> float:
        return self.at(round((float(value) - self.low) / self.step))

    def rung_of(self, value: Any) -> int | None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        place = (value - self.low) / self.step
        is_on_one = -1e-9 < place < self.size - 1 + 1e-9 and abs(place - round(place)) < 1e-6
        return round(place) if is_on_one else None
