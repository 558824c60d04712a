"""How much trials gain from one rung to the next, learnt from those that made the step."""

from __future__ import annotations

import math
from typing import NamedTuple

_PRIOR_STEPS = 2.0
"""How many steps the uncertainty that is assumed at first counts as."""


class Outlook(NamedTuple):
    """Where a trial is expected to stand: its value, its uncertainty (a standard deviation), and its slope."""

    value: float
    deviation: float
    slope: float

    def chance_to_exceed(self, other: float) -> float:
        """How likely the value is to be above `other`: logistic, as learning has more surprises than a normal."""
        if self.deviation <= 0:
            return float(self.value > other)
        return 1 / (1 + math.exp(min(1.7 * (other - self.value) / self.deviation, 500.0)))


class _Line(NamedTuple):
    """gain = at_mean + b * (value - mean_value) + c * (slope - mean_slope), and what is left over."""

    at_mean: float
    b: float
    c: float
    mean_value: float
    mean_slope: float
    variance: float
    share: float


class Gains:
    """Steps from one rung to the next: gain = a + b * value + c * slope, by ridge regression, with what is left over.

    The slope is what a trial gained in the second half of its way so far: whoever still rises quickly goes on rising,
    whoever stands still stays. That trials were chosen by value and slope to make the step biases nothing, as these are
    what is regressed on. Sums are kept, so a step costs the same however many there were.

    Until steps are known, no gain is expected, and as much uncertainty as good trials differ by.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._origin = (0.0, 0.0)
        self._v = self._s = self._g = self._slopes = 0.0
        self._vv = self._vs = self._ss = self._vg = self._sg = self._gg = 0.0
        self._line = _Line(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5)

    def add(self, value: float, slope: float, later: float, later_slope: float) -> None:
        """A trial went from `value` to `later`; its slope changed too."""
        if not self.steps:
            self._origin = value, slope  # sums of squares of what is far from zero would lose their digits
        v, s, g = value - self._origin[0], slope - self._origin[1], later - value
        self.steps += 1
        self._v += v
        self._s += s
        self._g += g
        self._slopes += later_slope
        self._vv += v * v
        self._vs += v * s
        self._ss += s * s
        self._vg += v * g
        self._sg += s * g
        self._gg += g * g

    def fit(self, spread: float) -> None:
        """Learn from the steps so far; `spread` says how far apart good trials of this rung are."""
        n = self.steps
        if not n:
            self._line = self._line._replace(variance=spread * spread)
            return
        mean_v, mean_s, mean_g = self._v / n, self._s / n, self._g / n
        vv, ss, vs = self._vv - n * mean_v**2, self._ss - n * mean_s**2, self._vs - n * mean_v * mean_s
        vg, sg, gg = self._vg - n * mean_v * mean_g, self._sg - n * mean_s * mean_g, self._gg - n * mean_g**2
        # Ridge: as if one step more, as far off as trials differ, and two of usual slope had gained what is usual.
        rv, rs = vv + spread * spread, ss * (1 + _PRIOR_STEPS / n)
        determinant = rv * rs - vs * vs
        b = (vg * rs - sg * vs) / determinant if determinant > 0 else 0.0
        c = (sg * rv - vg * vs) / determinant if determinant > 0 else 0.0
        left_over = max(gg - 2 * (b * vg + c * sg) + b * b * vv + 2 * b * c * vs + c * c * ss, 0.0)
        variance = (left_over + _PRIOR_STEPS * (spread / 2) ** 2) / (max(n - 2, 0) + _PRIOR_STEPS)
        share = min(max(self._slopes / self._g, 0.0), 1.0) if self._g > 0 else 0.5
        self._line = _Line(mean_g, b, c, self._origin[0] + mean_v, self._origin[1] + mean_s, variance, share)

    def ahead(self, now: Outlook) -> Outlook:
        """The outlook one rung on, by what was learnt last."""
        value, deviation, slope = now
        at_mean, b, c, mean_value, mean_slope, variance, share = self._line
        gain = at_mean + b * (value - mean_value) + c * (slope - mean_slope)
        if gain < 0:
            gain = 0.0  # the best value so far cannot get worse
        if deviation:
            variance += (min(max(1 + b, 0.0), 1.0) * deviation) ** 2
        return Outlook(value + gain, math.sqrt(variance), share * gain)
