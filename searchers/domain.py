"""What one parameter may be: real, whole and normally distributed numbers, plain, logarithmic and on a grid."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

from searchers import scale
from searchers.bounds import check_log, is_finite_number, number, read, set_fields, step, whole


class Domain(ABC):
    """The values that one parameter may take, and how likely each is. A value: frozen, and its fields rebuild it."""

    __slots__ = ()

    @abstractmethod
    def sample(self, rng: Random) -> Any:
        """One value, drawn with `rng`."""

    @abstractmethod
    def cast(self, value: Any) -> Any:
        """`value` as this domain would give it: its type, nearest multiple of q. Not clipped: ask `contains`.

        Raises:
            ValueError: `value` cannot be read as one of this domain.
        """

    @abstractmethod
    def contains(self, value: Any) -> bool:
        """Whether `value` could have been drawn from here."""

    @property
    def size(self) -> int | None:
        """How many different values there are; None when they cannot be counted."""
        return None

    @property
    def is_finite(self) -> bool:
        return self.size is not None


class Ordered(Domain):
    """A domain whose values have an order: each is the value at a place in [0, 1], and a draw is that at random.

    `from_unit` never falls, and ``from_unit(to_unit(value)) == value`` for every value that was drawn from here or by
    `from_unit`. Other real numbers (there are more floats in [-1, 1] than in [0, 1]) come back as a neighbour, which
    differs by some 1e-16 of the domain's width. Values that are counted have cells of [0, 1], and lie in their middles.
    """

    __slots__ = ()

    @abstractmethod
    def from_unit(self, unit: float) -> Any:
        """The value at `unit`, from 0 to 1."""

    @abstractmethod
    def to_unit(self, value: Any) -> float:
        """The place of `value`, which this domain contains, from 0 to 1."""

    def sample(self, rng: Random) -> Any:
        return self.from_unit(rng.random())


@dataclass(frozen=True, slots=True, repr=False)
class Float(Ordered):
    """Real numbers in [low, high], evenly or evenly in their logarithm; with `q`, multiples of q, ends included."""

    low: float
    high: float
    log: bool = False
    q: float | None = None

    def __post_init__(self) -> None:
        set_fields(self, low=number(self, "lower", self.low), high=number(self, "upper", self.high))
        if self.low >= self.high:
            raise ValueError(f"{self}: lower must be below upper; swap them, or write the value itself if it is fixed")
        if not math.isfinite(self.high - self.low):
            raise ValueError(f"{self}: upper - lower is no float any more; take closer ones, or loguniform")
        check_log(self, self.low, self.log)
        if self.q is not None:
            set_fields(self, q=step(self, self.q))
            for bound in (self.low, self.high):
                if not _is_multiple(bound, self.q):
                    nearest = _multiple(round(bound / self.q), self.q)
                    raise ValueError(f"{self}: {bound} is not a multiple of q={self.q}; the nearest one is {nearest}")

    def from_unit(self, unit: float) -> float:
        if self.q is not None and not self.log:
            return _multiple(self._first + scale.cell(self._count, unit), self.q)
        value = (scale.spread_log if self.log else scale.spread)(self.low, self.high, unit)
        return value if self.q is None else self.cast(value)

    def to_unit(self, value: Any) -> float:
        if self.q is None:
            place = (scale.position_log if self.log else scale.position)(self.low, self.high, value)
            return scale.inverse(self.from_unit, value, place)
        index = round(value / self.q)
        if not self.log:
            return scale.middle(self._count, index - self._first)
        return _middle_of_logs(self.low, self.high, (index - 0.5) * self.q, (index + 0.5) * self.q)

    def cast(self, value: Any) -> float:
        value = read(self, value)
        return value if self.q is None else _multiple(round(value / self.q), self.q)

    def contains(self, value: Any) -> bool:
        if not is_finite_number(value):
            return False
        if self.q is None:
            return self.low <= float(value) <= self.high
        return _is_multiple(value, self.q) and 0 <= round(value / self.q) - self._first < self._count

    @property
    def size(self) -> int | None:
        return None if self.q is None else self._count

    @property
    def _first(self) -> int:
        """The smallest multiple, in units of q."""
        assert self.q is not None
        return round(self.low / self.q)

    @property
    def _count(self) -> int:
        assert self.q is not None
        return round(self.high / self.q) - self._first + 1

    def __repr__(self) -> str:
        step = "" if self.q is None else f", {self.q}"
        return f"{'q' if step else ''}{'log' if self.log else ''}uniform({self.low}, {self.high}{step})"


@dataclass(frozen=True, slots=True, repr=False)
class ReverseLog(Ordered):
    """Real numbers in [low, high], both in [0, 1), evenly in the logarithm of what is missing to 1.

    For what is a matter of nines, such as momentum or a discount: 0.9 to 0.99 is as likely as 0.99 to 0.999.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        set_fields(self, low=number(self, "lower", self.low), high=number(self, "upper", self.high))
        if not 0 <= self.low < self.high < 1:
            raise ValueError(f"{self}: lower and upper must lie in [0, 1), lower below upper; give them as they are")

    def from_unit(self, unit: float) -> float:
        return scale.spread_reverse_log(self.low, self.high, unit)

    def to_unit(self, value: Any) -> float:
        return scale.inverse(self.from_unit, value, scale.position_reverse_log(self.low, self.high, value))

    def cast(self, value: Any) -> float:
        return read(self, value)

    def contains(self, value: Any) -> bool:
        return is_finite_number(value) and self.low <= float(value) <= self.high

    def __repr__(self) -> str:
        return f"reverseloguniform({self.low}, {self.high})"


@dataclass(frozen=True, slots=True, repr=False)
class Integer(Ordered):
    """Whole numbers in [low, high], both included, evenly or evenly in their logarithm; with `q`, multiples of q.

    Of more than ``2 ** 52`` numbers not all have a place of their own in [0, 1]; they are drawn all the same.
    """

    low: int
    high: int
    log: bool = False
    q: int = 1

    def __post_init__(self) -> None:
        names = {"low": "lower", "high": "upper", "q": "q"}
        set_fields(self, **{field: whole(self, name, getattr(self, field)) for field, name in names.items()})
        if self.q < 1:
            raise ValueError(f"{self}: q must be 1 or more")
        if self.low > self.high:
            hint = " (upper itself is never drawn)" if self.q == 1 else ""
            raise ValueError(f"{self}: lower must be below upper{hint}; swap them, or write the value itself")
        check_log(self, self.low, self.log)
        if self.first > self.last:
            raise ValueError(f"{self}: no multiple of {self.q} lies in {self.low} to {self.high}; take a smaller q")

    @property
    def first(self) -> int:
        """The smallest multiple of q in range, in units of q."""
        return -(-self.low // self.q)

    @property
    def last(self) -> int:
        """The largest multiple of q in range, in units of q."""
        return self.high // self.q

    def sample(self, rng: Random) -> int:
        if self.log:
            return self.from_unit(rng.random())
        return rng.randint(self.first, self.last) * self.q  # a float has not the digits for more than 2**53 of them

    def from_unit(self, unit: float) -> int:
        if not self.log:
            return (self.first + scale.cell(self.size, unit)) * self.q
        value = scale.spread_log(*self._ends, unit)
        return min(max(int(value) if self.q == 1 else round(value / self.q), self.first), self.last) * self.q

    def to_unit(self, value: Any) -> float:
        index = int(value) // self.q
        if not self.log:
            return scale.middle(self.size, index - self.first)
        below, above = (0, 1) if self.q == 1 else (0.5, 0.5)
        return _middle_of_logs(*self._ends, (index - below) * self.q, (index + above) * self.q)

    @property
    def _ends(self) -> tuple[float, float]:
        """Of the logarithmic scale. Where numbers are cut, one more than high: the last one has an interval too."""
        return float(self.low), float(self.high + 1 if self.q == 1 or self.low == self.high else self.high)

    def cast(self, value: Any) -> int:
        return round(read(self, value) / self.q) * self.q

    def contains(self, value: Any) -> bool:
        if not is_finite_number(value) or value != int(value):
            return False
        return self.low <= int(value) <= self.high and int(value) % self.q == 0

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def __repr__(self) -> str:
        if self.q == 1:
            high = self.high + 1 if isinstance(self.high, int) else self.high
            return f"{'log' if self.log else ''}randint({self.low}, {high})"
        return f"q{'log' if self.log else ''}randint({self.low}, {self.high}, {self.q})"


@dataclass(frozen=True, slots=True, repr=False)
class Normal(Ordered):
    """Real numbers around `mean` with standard deviation `sd`, without bounds; with `q`, multiples of q.

    With `log`, the numbers whose natural logarithm is distributed so. What is drawn lies within 8.2 `sd` of the mean.
    """

    mean: float = 0.0
    sd: float = 1.0
    q: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        set_fields(self, mean=number(self, "mean", self.mean), sd=number(self, "sd", self.sd))
        if self.sd <= 0:
            raise ValueError(f"{self}: sd must be above 0")
        if self.log and abs(self.mean) + 9 * self.sd > 700:
            raise ValueError(f"{self}: exp(mean + 9 sd) is no float any more; mean and sd are those of the logarithm")
        if self.q is not None:
            set_fields(self, q=step(self, self.q))

    def from_unit(self, unit: float) -> float:
        value = self._at(unit)
        return value if self.q is None else _multiple(round(value / self.q), self.q)

    def to_unit(self, value: Any) -> float:
        if self.q is None:
            return scale.inverse(self._at, value, self._below(value))
        index = round(value / self.q)
        ends = ((index - 0.5) * self.q, (index + 0.5) * self.q)
        return scale.inverse(self.from_unit, self.cast(value), sum(map(self._below, ends)) / 2)

    def cast(self, value: Any) -> float:
        value = read(self, value)
        return value if self.q is None else _multiple(round(value / self.q), self.q)

    def contains(self, value: Any) -> bool:
        if not is_finite_number(value) or (self.q is not None and not _is_multiple(value, self.q)):
            return False
        return not self.log or value > 0 or (value == 0 and self.q is not None)

    def _at(self, unit: float) -> float:
        """The number below which the share `unit` of all lies (the quantile function)."""
        # The last digits of the quantile go up and down where they should only rise: without them it has an inverse.
        value = self.mean + self.sd * round(_quantile()(min(max(unit, 2.0**-53), 1 - 2.0**-53)), 13)
        return math.exp(value) if self.log else value

    def _below(self, value: float) -> float:
        """The share of all that lies below `value` (the distribution function)."""
        if self.log:
            value = math.log(value) if value > 0 else -math.inf
        return math.erfc((self.mean - value) / self.sd / math.sqrt(2)) / 2

    def __repr__(self) -> str:
        step = "" if self.q is None else f", {self.q}"
        return f"{'q' if step else ''}{'lognormal' if self.log else 'randn'}({self.mean}, {self.sd}{step})"


@cache
def _quantile() -> Callable[[float], float]:
    """That of the standard normal distribution. The module takes 10 ms to import, and few spaces need it."""
    from statistics import NormalDist

    return NormalDist().inv_cdf


def _middle_of_logs(low: float, high: float, first: float, last: float) -> float:
    """The middle, on the logarithmic scale of [low, high], of what of it lies between `first` and `last`."""
    ends = max(first, low), min(last, high)
    return sum(scale.position_log(low, high, end) for end in ends) / 2


def _multiple(count: int, q: float) -> float:
    """``count * q`` as a person would write it: 3 * 0.1 is 0.3, not 0.30000000000000004."""
    return float(count * Decimal(repr(q)))


def _is_multiple(value: float, q: float) -> bool:
    return math.isclose(value, round(value / q) * q, rel_tol=1e-9, abs_tol=1e-9 * q)
