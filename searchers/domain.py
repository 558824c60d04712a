"""What one parameter may be: real, whole and normally distributed numbers, plain, logarithmic and on a grid."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from random import Random
from typing import Any


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


@dataclass(frozen=True, slots=True, repr=False)
class Float(Domain):
    """Real numbers in [low, high], evenly or evenly in their logarithm; with `q`, multiples of q, ends included."""

    low: float
    high: float
    log: bool = False
    q: float | None = None

    def __post_init__(self) -> None:
        _set(self, low=_number(self, "lower", self.low), high=_number(self, "upper", self.high))
        if self.low >= self.high:
            raise ValueError(f"{self}: lower must be below upper; swap them, or write the value itself if it is fixed")
        _check_log(self, self.low, self.log)
        if self.q is not None:
            _set(self, q=_step(self, self.q))
            for bound in (self.low, self.high):
                if not _is_multiple(bound, self.q):
                    nearest = _multiple(round(bound / self.q), self.q)
                    raise ValueError(f"{self}: {bound} is not a multiple of q={self.q}; the nearest one is {nearest}")

    def sample(self, rng: Random) -> float:
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            value = min(max(value, self.low), self.high)
            return value if self.q is None else self.cast(value)
        if self.q is None:
            return rng.uniform(self.low, self.high)
        return _multiple(rng.randint(round(self.low / self.q), round(self.high / self.q)), self.q)

    def cast(self, value: Any) -> float:
        value = _read(self, value)
        return value if self.q is None else _multiple(round(value / self.q), self.q)

    def contains(self, value: Any) -> bool:
        if not _is_finite_number(value):
            return False
        if self.q is None:
            return self.low <= float(value) <= self.high
        multiple = round(value / self.q)
        return _is_multiple(value, self.q) and round(self.low / self.q) <= multiple <= round(self.high / self.q)

    @property
    def size(self) -> int | None:
        return None if self.q is None else round(self.high / self.q) - round(self.low / self.q) + 1

    def __repr__(self) -> str:
        step = "" if self.q is None else f", {self.q}"
        return f"{'q' if step else ''}{'log' if self.log else ''}uniform({self.low}, {self.high}{step})"


@dataclass(frozen=True, slots=True, repr=False)
class Integer(Domain):
    """Whole numbers in [low, high], both included, evenly or evenly in their logarithm; with `q`, multiples of q."""

    low: int
    high: int
    log: bool = False
    q: int = 1

    def __post_init__(self) -> None:
        names = {"low": "lower", "high": "upper", "q": "q"}
        _set(self, **{field: _whole(self, name, getattr(self, field)) for field, name in names.items()})
        if self.q < 1:
            raise ValueError(f"{self}: q must be 1 or more")
        if self.low > self.high:
            hint = " (upper itself is never drawn)" if self.q == 1 else ""
            raise ValueError(f"{self}: lower must be below upper{hint}; swap them, or write the value itself")
        _check_log(self, self.low, self.log)
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
        if not self.log:
            return rng.randint(self.first, self.last) * self.q
        # One more than high, then cut: every whole number, the last one too, has an interval of its own.
        value = int(math.exp(rng.uniform(math.log(self.low), math.log(self.high + 1))))
        return min(max(round(min(value, self.high) / self.q), self.first), self.last) * self.q

    def cast(self, value: Any) -> int:
        return round(_read(self, value) / self.q) * self.q

    def contains(self, value: Any) -> bool:
        if not _is_finite_number(value) or value != int(value):
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
class Normal(Domain):
    """Real numbers around `mean` with standard deviation `sd`, without bounds; with `q`, multiples of q."""

    mean: float = 0.0
    sd: float = 1.0
    q: float | None = None

    def __post_init__(self) -> None:
        _set(self, mean=_number(self, "mean", self.mean), sd=_number(self, "sd", self.sd))
        if self.sd <= 0:
            raise ValueError(f"{self}: sd must be above 0")
        if self.q is not None:
            _set(self, q=_step(self, self.q))

    def sample(self, rng: Random) -> float:
        return self.cast(rng.gauss(self.mean, self.sd))

    def cast(self, value: Any) -> float:
        value = _read(self, value)
        return value if self.q is None else _multiple(round(value / self.q), self.q)

    def contains(self, value: Any) -> bool:
        return _is_finite_number(value) and (self.q is None or _is_multiple(value, self.q))

    def __repr__(self) -> str:
        step = "" if self.q is None else f", {self.q}"
        return f"{'q' if step else ''}randn({self.mean}, {self.sd}{step})"


def _set(domain: Domain, **fields: Any) -> None:
    for name, value in fields.items():
        object.__setattr__(domain, name, value)


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(float(value))


def _number(domain: Domain, name: str, value: Any) -> float:
    if _is_finite_number(value):
        return float(value)
    hint = "; YAML reads 1e-5 as text, write 1.0e-5" if isinstance(value, str) else ""
    raise ValueError(f"{domain}: {name} must be a finite number, not {value!r}{hint}")


def _whole(domain: Domain, name: str, value: Any) -> int:
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if _is_finite_number(value) and value == int(value):
        return int(value)
    raise ValueError(f"{domain}: {name} must be a whole number, not {value!r}")


def _step(domain: Domain, q: Any) -> float:
    step = _number(domain, "q", q)
    if step <= 0:
        raise ValueError(f"{domain}: q must be above 0")
    return step


def _check_log(domain: Domain, low: float, log: bool) -> None:
    if log and low <= 0:
        raise ValueError(f"{domain}: a logarithmic scale needs lower above 0; try a small positive number such as 1e-8")


def _read(domain: Domain, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number, as {domain} needs")
    return number


def _multiple(count: int, q: float) -> float:
    """``count * q`` as a person would write it: 3 * 0.1 is 0.3, not 0.30000000000000004."""
    return float(count * Decimal(repr(q)))


def _is_multiple(value: float, q: float) -> bool:
    return math.isclose(value, round(value / q) * q, rel_tol=1e-9, abs_tol=1e-9 * q)
