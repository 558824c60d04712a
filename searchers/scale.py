"""The unit interval laid over an interval of numbers: evenly, evenly in the logarithm, or in that of the rest to 1.

Each scale is a pair: `spread` gives the number at a place in [0, 1], `position` the place of a number. Both are written
with differences from `low`, so that an interval which is narrow beside its numbers loses no digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

_LARGEST_EXPONENT = 700.0  # exp(710) is no float any more


def spread(low: float, high: float, unit: float) -> float:
    """The number at `unit`, evenly between `low` and `high`."""
    return _within(low, high, low + unit * (high - low))


def position(low: float, high: float, value: float) -> float:
    """Where `value` lies, evenly between `low` and `high`."""
    return (value - low) / (high - low)


def spread_log(low: float, high: float, unit: float) -> float:
    """The number at `unit`, each order of magnitude between `low` and `high`, both above 0, as wide."""
    width = _log_ratio(low, high)
    if width <= _LARGEST_EXPONENT:
        return _within(low, high, low + low * math.expm1(unit * width))
    half = math.exp(unit * width / 2)
    return _within(low, high, low * half * half)


def position_log(low: float, high: float, value: float) -> float:
    """Where `value` lies by its logarithm."""
    return _log_ratio(low, value) / _log_ratio(low, high)


def spread_reverse_log(low: float, high: float, unit: float) -> float:
    """The number at `unit`, each order of magnitude of the rest to 1 as wide; `low` and `high` lie in [0, 1)."""
    rest = 1 - low
    width = -math.log1p(-(high - low) / rest)
    return _within(low, high, low - rest * math.expm1(-unit * width))


def position_reverse_log(low: float, high: float, value: float) -> float:
    """Where `value` lies by the logarithm of its rest to 1."""
    rest = 1 - low
    return math.log1p(-(value - low) / rest) / math.log1p(-(high - low) / rest)


def cell(size: int, unit: float) -> int:
    """Which of `size` cells of one width, counted from 0, holds `unit`."""
    return min(max(int(unit * size), 0), size - 1)


def middle(size: int, index: int) -> float:
    """The middle of a cell."""
    return (index + 0.5) / size


def inverse(function: Callable[[float], float], value: float, guess: float) -> float:
    """The place in [0, 1] at which `function`, which never falls, is `value`: exactly, where there is such a place.

    Formulas for a function and its inverse differ in the last digits. The search goes outwards from `guess` in doubling
    steps, then halves. Where `function` jumps over `value`, a place beside the jump is given.
    """
    here = min(max(guess, 0.0), 1.0)
    if (found := function(here)) == value:
        return here
    rising = found < value
    end = 1.0 if rising else 0.0
    there, step = here, max(math.ulp(here), 2.0**-64)
    while (found < value) == rising:
        if there == end:
            return end
        here, there = there, min(there + step, 1.0) if rising else max(there - step, 0.0)
        step *= 2
        if (found := function(there)) == value:
            return there
    while (between := (here + there) / 2) not in (here, there):
        if (found := function(between)) == value:
            return between
        if (found < value) == rising:
            here = between
        else:
            there = between
    return min(here, there, key=lambda place: abs(function(place) - value))


def _log_ratio(low: float, value: float) -> float:
    excess = (value - low) / low
    return math.log1p(excess) if math.isfinite(excess) else math.log(value) - math.log(low)


def _within(low: float, high: float, value: float) -> float:
    """Rounding must not carry a number over the ends."""
    return min(max(value, low), high)
