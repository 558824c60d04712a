"""Numbers on a ladder: from `low` upwards in equal steps, wherever `low` lies. What Optuna's ``step`` means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any

from searchers.domain import Domain


@dataclass(frozen=True, slots=True)
class Stepped(Domain):
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
        if not 0 < self.step <= self.high - self.low:
            raise ValueError(f"{self}: step must be above 0 and at most {self.high - self.low:g}")

    @property
    def size(self) -> int:
        return math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def at(self, rung: int) -> float:
        """The value at a rung, counted from 0."""
        return self.low + rung * self.step

    def sample(self, rng: Random) -> float:
        return self.at(rng.randrange(self.size))

    def cast(self, value: Any) -> float:
        return self.at(round((float(value) - self.low) / self.step))

    def contains(self, value: Any) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        rung = (value - self.low) / self.step
        return -1e-9 < rung < self.size - 1 + 1e-9 and abs(rung - round(rung)) < 1e-6
