"""A number's range, as the unit interval and back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from random import Random
from typing import Any


class Bounds:
    """From `low` to `high`, both included, on a logarithmic scale with `log`; whole numbers if both ends are.

    Made of a pair of numbers, or of a domain that has bounds, whose type, step and scale are kept.
    """

    def __init__(self, given: Any) -> None:
        self._domain = given if hasattr(given, "cast") else None
        self.low, self.high = (given.low, given.high) if self._domain is not None else given
        self._log = bool(getattr(given, "log", False))
        self._whole = isinstance(self.low, int) and isinstance(self.high, int)

    def sample(self, rng: Random) -> float:
        """A value, drawn evenly on its scale."""
        return self.value(rng.random())

    def unit(self, value: Any) -> float:
        """Where `value` lies between the ends, 0 to 1; in the middle when it is no number."""
        if not isinstance(value, Real) or isinstance(value, bool):
            return 0.5
        low, high = self._scaled(self.low), self._scaled(self.high)
        inside = min(max(float(value), self.low), self.high)
        return (self._scaled(inside) - low) / (high - low)

    def value(self, unit: float) -> float:
        """The value at `unit` between the ends."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        along = low + unit * (high - low)
        found: float = min(max(math.exp(along) if self._log else along, self.low), self.high)
        if self._domain is not None:
            return within(self._domain, found)
        return round(found) if self._whole else found

    def _scaled(self, value: float) -> float:
        return math.log(value) if self._log else float(value)


def within(domain: Any, value: float) -> float:
    """The nearest value of `domain`: of its type and step, and inside its bounds where it has any."""
    low, high, q = (getattr(domain, name, None) for name in ("low", "high", "q"))
    if low is not None and high is not None:
        if q:
            low, high = math.ceil(low / q - 1e-9) * q, math.floor(high / q + 1e-9) * q
        value = min(max(value, low), high)
    cast: float = domain.cast(value)
    return cast


def mistakes_of(bounds: Mapping[str, Any], path: str = "hyperparam_bounds") -> Iterator[str]:
    """What is no range, each with its place."""
    for key, given in bounds.items():
        where = f"{path}[{key!r}]"
        if isinstance(given, Mapping):
            yield from mistakes_of(given, where)
            continue
        ends = (getattr(given, "low", None), getattr(given, "high", None)) if hasattr(given, "cast") else given
        if not _is_range(ends):
            yield f"{where} is {given!r}: give [lowest, highest], or a domain that has bounds"


def as_bounds(bounds: Mapping[str, Any]) -> dict[str, Any]:
    """The same, nested alike, with each range as `Bounds`."""
    return {key: as_bounds(one) if isinstance(one, Mapping) else Bounds(one) for key, one in bounds.items()}


def flat(bounds: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Bounds]]:
    """Each range with the keys that lead to it, in order."""
    for key, one in bounds.items():
        if isinstance(one, Mapping):
            yield from flat(one, (*path, key))
        else:
            yield (*path, key), one


def at(config: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The value at a path of keys; None when it is not there."""
    value: Any = config
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def put(config: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """`config` with the value at a path of keys."""
    key, *rest = path
    if not rest:
        return {**config, key: value}
    inner = config.get(key)
    return {**config, key: put(inner if isinstance(inner, Mapping) else {}, tuple(rest), value)}


def _is_range(ends: Any) -> bool:
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return False
    return all(isinstance(end, Real) and math.isfinite(end) for end in ends) and bool(ends[0] < ends[1])
