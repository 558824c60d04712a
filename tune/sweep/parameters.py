"""One parameter of a sweep file, and the domain that it stands for.

| written | meaning |
| --- | --- |
| ``27``, ``{value: 27}`` | always 27 |
| ``{min: 16, max: 256}`` | a whole number, both ends included; a real number when one end is written as one |
| ``{distribution: loguniform, min: 1e-5, max: 1e-1}`` | drawn so; `q` rounds to multiples of it |
| ``{distribution: normal, mu: 0, sigma: 1}`` | normally distributed; `lognormal`: its natural logarithm is |
| ``{distribution: logfinrange, min: 1, max: 100, size: 3}`` | one of 3 numbers at equal ratios |
| ``{values: [sgd, adam]}`` | one of these |
| ``{distribution: ordinal, values: [s, m, l]}`` | one of these, listed in their order |
| ``{grid: [relu, tanh]}`` | each of these in turn, combined with the other grids |
| ``{parameters: {...}}`` | nested; also as one of `values`: parameters that exist only where it is chosen |

`distribution` takes Ray Tune's names and those of W&B's sweeps. `min` and `max` are both included in all of them, and
``log_uniform`` takes the values themselves (as W&B's ``log_uniform_values``), not their exponents.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated, Any, Self

from pydantic import Discriminator, Tag, model_validator
from pydantic_core import PydanticCustomError

from searchers.choices import Choice, holds_domain
from searchers.domain import Domain, Float, Integer, Normal, ReverseLog
from searchers.ladder import FiniteRange, Ordinal
from searchers.space import DISTRIBUTIONS
from tune.sweep.section import Number, Section, refuse

SPELLINGS = {
    **{name: name for name in DISTRIBUTIONS},
    "int_uniform": "randint",
    "q_uniform": "quniform",
    "log_uniform": "loguniform",
    "log_uniform_values": "loguniform",
    "q_log_uniform": "qloguniform",
    "q_log_uniform_values": "qloguniform",
    "normal": "randn",
    "q_normal": "qrandn",
    "log_normal": "lognormal",
    "q_log_normal": "qlognormal",
    "categorical": "choice",
    "grid": "grid_search",
    "constant": "constant",
}
"""What `distribution` may say, and Ray Tune's name for it."""

_KIND_KEYS = {"choice": "values", "ordinal": "values", "grid_search": "grid", "constant": "value"}
_BOUNDS = ("min", "max", "q")
_ENDS = ("min", "max")
_COUNTED = ("min", "max", "size", "cast_int")
_SHAPE = ("mu", "sigma", "q")
_TAKES = {
    **dict.fromkeys(("randn", "qrandn", "lognormal", "qlognormal"), _SHAPE),
    **dict.fromkeys(("finrange", "logfinrange"), _COUNTED),
    "reverseloguniform": _ENDS,
}
_RANGED = ("min", "max", "q", "size", "cast_int", "mu", "sigma")


def _kind_of_option(option: Any) -> str:
    """Whether one of `values` is nested parameters. The words are in brackets as no parameter's name is."""
    nested = isinstance(option, Parameter) or (isinstance(option, dict) and set(option) == {"parameters"})
    return "(nested)" if nested else "(plain)"


_Nested = Annotated["Parameter", Tag("(nested)")]
_Option = Annotated[_Nested | Annotated[Any, Tag("(plain)")], Discriminator(_kind_of_option)]


class Parameter(Section):
    """What a parameter may be; see the table above."""

    distribution: str | None = None
    min: Number | None = None
    max: Number | None = None
    q: Number | None = None
    mu: Number | None = None
    sigma: Number | None = None
    size: int | None = None
    cast_int: bool = False
    value: Any = None
    values: list[_Option] | None = None
    grid: list[Any] | None = None
    parameters: dict[str, Parameter] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_constant(cls, given: Any) -> Any:
        if given is None:
            refuse("nothing is said about it; {value: null} is the constant null")
        if isinstance(given, list):
            refuse("a list may mean two things: {values: [...]} chooses one of them, {value: [...]} is this very list")
        return given if isinstance(given, dict) else {"value": given}

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.node()
        return self

    def node(self, *, grid: bool = False) -> Any:
        """The part of the search space that this stands for; with `grid`, `values` are a grid axis too.

        Raises:
            PydanticCustomError: it stands for nothing: says why.
        """
        match self._kind():
            case "value":
                return self.value
            case "parameters":
                return {name: one.node(grid=grid) for name, one in (self.parameters or {}).items()}
            case "grid":
                return {"grid_search": _some(self.grid, "grid")}
            case "values":
                options = tuple(_option(one) for one in _some(self.values, "values"))
                if grid:
                    return {"grid_search": list(options)}
                return self._ordinal(options) if self._family() == "ordinal" else Choice(options)
        return self._range()

    def _kind(self) -> str:
        """Which key says what the parameter is; ``range`` for numbers between bounds."""
        given = self.model_fields_set
        kinds = [key for key in ("value", "values", "grid", "parameters") if key in given]
        ranged = [key for key in _RANGED if key in given]
        wanted = _KIND_KEYS.get(self._family() or "")
        if wanted and wanted not in kinds:
            refuse(f"distribution {self.distribution} needs `{wanted}`", at="distribution")
        if len(kinds) + bool(ranged) > 1:
            refuse(f"`{kinds[0]}` and `{[*kinds, *ranged][1]}` exclude each other", at=[*kinds, *ranged][1])
        if kinds and self.distribution and wanted != kinds[0]:
            refuse(f"distribution {self.distribution} takes no `{kinds[0]}`", at=kinds[0])
        if not kinds and not ranged and not self.distribution:
            refuse("it needs `min` and `max`, `values`, `grid`, `value` or `parameters`")
        return kinds[0] if kinds else "range"

    def _family(self) -> str | None:
        if self.distribution is None:
            return None
        if self.distribution not in SPELLINGS:
            near = get_close_matches(self.distribution, SPELLINGS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(SPELLINGS)}"
            refuse(f"there is no distribution {self.distribution!r}; {hint}", at="distribution")
        return SPELLINGS[self.distribution]

    def _range(self) -> Domain:
        family = self._family() or self._plain_family()
        takes = _TAKES.get(family, _BOUNDS)
        for key in _RANGED:
            if key in self.model_fields_set and key not in takes:
                refuse(f"distribution {self.distribution or family} takes {', '.join(takes)}, not `{key}`", at=key)
        if family.startswith("q") and self.q is None:
            refuse(f"distribution {self.distribution} needs `q`, the step between values", at="distribution")
        try:
            return self._normal(family) if takes is _SHAPE else self._between(family.removeprefix("q"))
        except PydanticCustomError:
            raise
        except ValueError as error:
            message = str(error).partition(": ")[2] or str(error)
            refuse(message.replace("lower", "min").replace("upper", "max"), at=_blamed(message))

    def _plain_family(self) -> str:
        if self.mu is not None or self.sigma is not None:
            return "randn"
        whole = all(isinstance(bound, int) for bound in (self.min, self.max, self.q) if bound is not None)
        return "randint" if whole else "uniform"

    def _normal(self, family: str) -> Normal:
        mean, sd = (default if given is None else given for given, default in ((self.mu, 0.0), (self.sigma, 1.0)))
        return Normal(mean, sd, self.q, log=family.endswith("lognormal"))

    def _ordinal(self, options: tuple[Any, ...]) -> Ordinal:
        if holds_domain(options):
            refuse("parameters have no place in an order of values; leave the distribution out", at="values")
        return Ordinal(options)

    def _between(self, family: str) -> Domain:
        if self.min is None or self.max is None:
            refuse(f"`{'min' if self.min is None else 'max'}` is missing")
        if self.min >= self.max:
            refuse(f"min {self.min} must be below max {self.max}; swap them, or write the value itself", at="min")
        log = family.startswith("log")
        if family == "reverseloguniform":
            return ReverseLog(self.min, self.max)
        if family.endswith("finrange"):
            if self.size is None:
                refuse(f"distribution {family} needs `size`, how many numbers it has", at="distribution")
            return FiniteRange(self.min, self.max, self.size, log=log, cast_int=self.cast_int)
        if family.removeprefix("log") == "uniform":
            return Float(self.min, self.max, log=log, q=self.q)
        for key in _BOUNDS:
            if not isinstance(bound := getattr(self, key), int | None) and bound != int(bound):
                refuse(f"expected a whole number, got {bound!r}", at=key)
        return Integer(int(self.min), int(self.max), log=log, q=1 if self.q is None else int(self.q))


def _some(values: list[Any] | None, key: str) -> list[Any]:
    if not values:
        refuse("there is nothing to choose from; list at least one value", at=key)
    return values


def _option(value: Any) -> Any:
    return value.node() if isinstance(value, Parameter) else value


def _blamed(message: str) -> str:
    """The key that a domain's complaint is about."""
    for pattern, key in (
        (r"\bsize\b", "size"),
        (r"\bq\b", "q"),
        (r"\bsd\b", "sigma"),
        ("lower", "min"),
        ("upper", "max"),
    ):
        if re.search(pattern, message):
            return key
    return ""
