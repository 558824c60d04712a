"""The numbers that a domain is made of, read from what users give, or refused with what to do."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


def set_fields(domain: Any, **fields: Any) -> None:
    """Keep what was read in a frozen domain that is being made."""
    for name, value in fields.items():
        object.__setattr__(domain, name, value)


def is_finite_number(value: Any) -> bool:
    """Whether `value` is a real number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(float(value))


def number(domain: Any, name: str, value: Any) -> float:
    """The argument `name` of `domain` as a float, or a ValueError."""
    if is_finite_number(value):
        return float(value)
    hint = "; YAML reads 1e-5 as text, write 1.0e-5" if isinstance(value, str) else ""
    raise ValueError(f"{domain}: {name} must be a finite number, not {value!r}{hint}")


def whole(domain: Any, name: str, value: Any) -> int:
    """The argument `name` of `domain` as an int, or a ValueError."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if is_finite_number(value) and value == int(value):
        return int(value)
    raise ValueError(f"{domain}: {name} must be a whole number, not {value!r}")


def step(domain: Any, q: Any) -> float:
    """The step between values, above 0, or a ValueError."""
    distance = number(domain, "q", q)
    if distance <= 0:
        raise ValueError(f"{domain}: q must be above 0")
    return distance


def check_log(domain: Any, low: float, log: bool) -> None:
    """Refuse a logarithmic scale that starts at 0 or below."""
    if log and low <= 0:
        raise ValueError(f"{domain}: a logarithmic scale needs lower above 0; try a small positive number such as 1e-8")


def read(domain: Any, value: Any) -> float:
    """A value given for a parameter, as a float, or a ValueError."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"{value!r} is not a finite number, as {domain} needs")
    return found
