"""Domains of listed values in order: numbers at equal distances or ratios, and categories with an order."""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect_left
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any

from searchers import scale
from searchers.bounds import check_log, number, set_fields, whole
from searchers.choices import Choice, holds_domain
from searchers.domain import Float, Ordered


class Ladder(Ordered):
    """A finite number of values in order, its rungs, each as likely. They are counted from 0."""

    __slots__ = ()

    @property
    @abstractmethod
    def size(self) -> int: ...

    @abstractmethod
    def at(self, rung: int) -> Any:
        """The value at a rung."""

    @abstractmethod
    def rung_of(self, value: Any) -> int | None:
        """The rung of `value`, None when it is on none."""

    def from_unit(self, unit: float) -> Any:
        return self.at(scale.cell(self.size, unit))

    def to_unit(self, value: Any) -> float:
        rung = self.rung_of(value)
        if rung is None:
            raise ValueError(f"{value!r} is not in {self}")
        return scale.middle(self.size, rung)

    def contains(self, value: Any) -> bool:
        return self.rung_of(value) is not None


@dataclass(frozen=True, slots=True, repr=False)
class FiniteRange(Ladder):
    """`count` numbers from `low` to `high`, both included, at equal distances or, with `log`, at equal ratios.

    With `cast_int` they are rounded to whole numbers.

    Raises:
        ValueError: the ends do not suit, or rounding makes two of the numbers one.
    """

    low: float
    high: float
    count: int
    log: bool = False
    cast_int: bool = False

    def __post_init__(self) -> None:
        set_fields(self, low=number(self, "lower", self.low), high=number(self, "upper", self.high))
        set_fields(self, count=whole(self, "size", self.count))
        check_log(self, self.low, self.log)
        if self.low >= self.high:
            raise ValueError(f"{self}: lower must be below upper; swap them, or write the value itself")
        if self.count < 2:
            raise ValueError(f"{self}: size must be 2 or more, not {self.count}")
        if any(one == next_one for one, next_one in pairwise(self.values)):
            raise ValueError(f"{self}: two of its {self.count} numbers are one when rounded; take a smaller size")

    @property
    def values(self) -> tuple[float, ...]:
        """All of them, in order."""
        return _finite_range(self.low, self.high, self.count, self.log, self.cast_int)

    @property
    def size(self) -> int:
        return self.count

    def at(self, rung: int) -> float:
        return self.values[rung]

    def cast(self, value: Any) -> float:
        """The nearest of the numbers."""
        return self.values[self._nearest(Float(self.low, self.high).cast(value))]

    def rung_of(self, value: Any) -> int | None:
        if not Float(self.values[0], self.values[-1]).contains(value):
            return None
        rung = self._nearest(float(value))
        return rung if math.isclose(value, self.values[rung], rel_tol=1e-9) else None

    def _nearest(self, value: float) -> int:
        above = bisect_left(self.values, value)
        return min(
            (rung for rung in (above - 1, above) if 0 <= rung < self.count), key=lambda r: abs(self.at(r) - value)
        )

    def __repr__(self) -> str:
        name = "logfinrange" if self.log else "finrange"
        return f"{name}({self.low}, {self.high}, {self.count}{', cast_int=True' if self.cast_int else ''})"


@dataclass(frozen=True, slots=True, repr=False)
class Ordinal(Ladder):
    """One of `categories`, each as likely, in an order that searchers may use: neighbours are alike."""

    categories: tuple[Any, ...]

    def __post_init__(self) -> None:
        set_fields(self, categories=tuple(self.categories))
        if not self.categories:
            raise ValueError("ordinal([]): there is nothing to choose from; list at least one category")
        if holds_domain(self.categories):
            raise ValueError(f"{self}: a domain has no place in an order of categories; use choice for that")

    @property
    def size(self) -> int:
        return len(self.categories)

    def at(self, rung: int) -> Any:
        return self.categories[rung]

    def cast(self, value: Any) -> Any:
        rung = self.rung_of(value)
        if rung is None:
            raise ValueError(f"{value!r} is none of the categories of {self}")
        return self.categories[rung]

    def rung_of(self, value: Any) -> int | None:
        return Choice(self.categories).index_of(value)

    def __repr__(self) -> str:
        return f"ordinal({list(self.categories)!r})"


@lru_cache(maxsize=256)
def _finite_range(low: float, high: float, count: int, log: bool, cast_int: bool) -> tuple[float, ...]:
    """The numbers as a person would write them: 0.3 and 0.001, not 0.30000000000000004 and 0.0010000000000000002."""
    if log:
        inner = [float(f"{scale.spread_log(low, high, rung / (count - 1)):.12g}") for rung in range(1, count - 1)]
    else:
        first, last = Decimal(repr(low)), Decimal(repr(high))
        inner = [float((first * (count - 1 - rung) + last * rung) / (count - 1)) for rung in range(1, count - 1)]
    numbers = (low, *inner, high)
    return tuple(map(round, numbers)) if cast_int else numbers
