"""Frozen distributions of scipy.stats as domains: drawn by their quantile function, from the searcher's own numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from searchers import scale
from searchers.bounds import is_finite_number, read
from searchers.domain import Domain, Float, Integer, Normal, Ordered

_TAILS = (2.0**-53, 2.0**-40, 2.0**-30, 2.0**-20)
"""How near to 0 and 1 a quantile is asked for: as near as a number can be, or where it is infinite there, less near."""


@dataclass(frozen=True, slots=True, repr=False)
class ScipyDistribution(Ordered):
    """``scipy.stats.<name>(**parameters)``, of real or of whole numbers.

    What is drawn from an unbounded distribution lies within its quantiles of 1e-16 and 1 - 1e-16, or those of 1e-12 and
    so on where scipy's are infinite.
    """

    name: str
    parameters: tuple[tuple[str, float], ...]

    def from_unit(self, unit: float) -> float:
        first, last = _ends(self.name, self.parameters)
        value = float(self._frozen.ppf(min(max(unit, first), last)))
        if self.is_whole:
            return round(value)
        # As with the normal distribution: where the last digits waver, the quantile function has no inverse.
        return float(f"{value:.12g}")

    def to_unit(self, value: Any) -> float:
        below, above = (value - 1, value) if self.is_whole else (value, value)
        share = (float(self._frozen.cdf(below)) + float(self._frozen.cdf(above))) / 2
        return scale.inverse(self.from_unit, value, share)

    def cast(self, value: Any) -> float:
        return round(read(self, value)) if self.is_whole else read(self, value)

    def contains(self, value: Any) -> bool:
        if not is_finite_number(value) or (self.is_whole and value != int(value)):
            return False
        low, high = self._frozen.support()
        return bool(low <= value <= high) or math.isclose(value, low) or math.isclose(value, high)

    @property
    def size(self) -> int | None:
        low, high = self._frozen.support()
        return int(high - low) + 1 if self.is_whole and math.isfinite(high - low) else None

    @property
    def is_whole(self) -> bool:
        """Whether it is one of whole numbers."""
        return not hasattr(self._frozen, "pdf")

    @property
    def _frozen(self) -> Any:
        return _frozen(self.name, self.parameters)

    def __repr__(self) -> str:
        return f"scipy.stats.{self.name}({', '.join(f'{name}={value}' for name, value in self.parameters)})"


def read_frozen(frozen: Any) -> Domain:
    """The domain of a frozen distribution: one of ours where there is the same, else a `ScipyDistribution`.

    Raises:
        ValueError: it cannot be made again by its name, or is none of a single number.
    """
    family: Any = getattr(frozen, "dist", None)
    kind = getattr(family, "name", None)
    if kind is None or not hasattr(frozen, "ppf"):
        hint = "freeze it: " if hasattr(frozen, "ppf") else "take a frozen one of one number such as "
        name = frozen.name if hasattr(frozen, "ppf") and getattr(frozen, "name", None) else "norm"
        raise ValueError(f"{type(frozen).__name__} is no frozen distribution; {hint}scipy.stats.{name}(...)")
    import scipy.stats

    if type(getattr(scipy.stats, kind, None)) is not type(family):
        raise ValueError(f"scipy.stats has no distribution {kind!r}, so it cannot be made again on resume")
    shapes = getattr(family, "shapes", None) or ""
    names = [*(name.strip() for name in shapes.split(",") if name.strip()), "loc", "scale"]
    given = {**dict(zip(names, frozen.args, strict=False)), **frozen.kwds}
    parameters = {name: _plain(kind, name, value) for name, value in given.items()}
    return _ours(kind, parameters) or ScipyDistribution(kind, tuple(parameters.items()))


def _ours(kind: str, given: dict[str, float]) -> Domain | None:
    loc, size = given.get("loc", 0), given.get("scale", 1)
    match kind:
        case "uniform":
            return Float(loc, loc + size)
        case "loguniform" | "reciprocal" if loc == 0:
            return Float(given["a"] * size, given["b"] * size, log=True)
        case "norm":
            return Normal(loc, size)
        case "lognorm" if loc == 0:
            return Normal(math.log(size), given["s"], log=True)
        case "randint":
            return Integer(given["low"] + loc, given["high"] + loc - 1)  # type: ignore[arg-type]
        case _:
            return None


def _plain(kind: str, name: str, value: Any) -> float:
    """A parameter as a number of Python's."""
    if not is_finite_number(value):
        raise ValueError(f"scipy.stats.{kind}: {name} must be one finite number, not {value!r}")
    return int(value) if value == int(value) else float(value)


@lru_cache(maxsize=64)
def _frozen(name: str, parameters: tuple[tuple[str, float], ...]) -> Any:
    import scipy.stats

    return getattr(scipy.stats, name)(**dict(parameters))


@lru_cache(maxsize=64)
def _ends(name: str, parameters: tuple[tuple[str, float], ...]) -> tuple[float, float]:
    """The outermost shares whose quantiles are finite."""
    quantile = _frozen(name, parameters).ppf
    first = next((tail for tail in _TAILS if math.isfinite(quantile(tail))), _TAILS[-1])
    last = next((tail for tail in _TAILS if math.isfinite(quantile(1 - tail))), _TAILS[-1])
    return first, 1 - last
