"""Hypothesis strategies: every kind of domain."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import assume
from hypothesis import strategies as st

from searchers import (
    Domain,
    Ordered,
    choice,
    finrange,
    logfinrange,
    lognormal,
    lograndint,
    loguniform,
    ordinal,
    qlognormal,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    reverseloguniform,
    uniform,
)
from searchers.stepped import Stepped

numbers = st.floats(-1e6, 1e6).filter(lambda number: abs(number) > 1e-6 or number == 0)
positive = st.floats(1e-6, 1e6)
steps = st.sampled_from([0.1, 0.25, 1 / 3, 1.0, 5.0, 1e-5])

Draw = st.DrawFn


def _floats(draw: Draw) -> tuple[float, float]:
    low, high = sorted((draw(positive), draw(positive)))
    assume(low < high)
    return low, high


def _extreme(draw: Draw) -> tuple[float, float]:
    low, high = sorted((draw(st.floats(1e-300, 1e300)), draw(st.floats(1e-300, 1e300))))
    assume(low < high)
    return low, high


def _whole(draw: Draw) -> tuple[int, int]:
    first, last = sorted((draw(st.integers(1, 10**6)), draw(st.integers(1, 10**6))))
    assume(first < last)
    return first, last


def _multiples(draw: Draw, negative: bool = False) -> tuple[float, float, float]:
    (first, last), q = _whole(draw), draw(steps)
    return (-first if negative else first) * q, last * q, q


def _whole_multiples(draw: Draw, negative: bool = False) -> tuple[int, int, int]:
    (first, last), q = _whole(draw), draw(st.integers(2, 50))
    assume(last // q > 0 and -(-first // q) <= last // q)
    return -first if negative else first, last, q


def _uniform(draw: Draw) -> Ordered:
    low, high = _floats(draw)
    return uniform(low, high) if draw(st.booleans()) else uniform(-low, high)


def _reverse_log(draw: Draw) -> Ordered:
    low, high = sorted((draw(st.floats(0, 1 - 1e-12)), draw(st.floats(0, 1 - 1e-12))))
    assume(low < high)
    return reverseloguniform(low, high)


def _finite_range(draw: Draw) -> Ordered:
    low, high = _floats(draw)
    assume(high > 1.001 * low)
    return draw(st.sampled_from([finrange, logfinrange]))(low, high, draw(st.integers(2, 30)))


def _stepped(draw: Draw) -> Ordered:
    low, step = draw(st.integers(-50, 50)), draw(st.sampled_from([0.25, 1, 3]))
    return Stepped(low, low + step * draw(st.integers(1, 40)), step)


_ORDERED: dict[str, Callable[[Draw], Ordered]] = {
    "uniform": _uniform,
    "loguniform": lambda draw: loguniform(*_floats(draw)),
    "loguniform of any size": lambda draw: loguniform(*_extreme(draw)),
    "quniform": lambda draw: quniform(*_multiples(draw, negative=True)),
    "qloguniform": lambda draw: qloguniform(*_multiples(draw)),
    "reverseloguniform": _reverse_log,
    "randint": lambda draw: randint(*_whole(draw)),
    "lograndint": lambda draw: lograndint(*_whole(draw)),
    "qrandint": lambda draw: qrandint(*_whole_multiples(draw, negative=True)),
    "qlograndint": lambda draw: qlograndint(*_whole_multiples(draw)),
    "randn": lambda draw: randn(draw(numbers), draw(positive)),
    "qrandn": lambda draw: qrandn(draw(st.floats(-100, 100)), draw(st.floats(0.1, 100)), draw(steps)),
    "lognormal": lambda draw: lognormal(draw(st.floats(-5, 5)), draw(st.floats(0.01, 5))),
    "qlognormal": lambda draw: qlognormal(draw(st.floats(-5, 5)), draw(st.floats(0.01, 3)), draw(steps)),
    "finrange": _finite_range,
    "ordinal": lambda draw: ordinal(draw(st.lists(st.text(max_size=3), min_size=1, max_size=6, unique=True))),
    "stepped": _stepped,
}


@st.composite
def ordered_domains(draw: Draw) -> Ordered:
    """Any domain whose values have an order."""
    return _ORDERED[draw(st.sampled_from(sorted(_ORDERED)))](draw)


@st.composite
def domains(draw: Draw) -> Domain:
    """Any domain that can be drawn from by itself."""
    if draw(st.integers(0, 8)) == 0:
        return choice([1, True, "a", None, (1, 2), uniform(*_floats(draw))])
    return draw(ordered_domains())
