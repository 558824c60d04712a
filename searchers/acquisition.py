"""What a point promises: the improvement expected there, times the chance that it keeps the constraints on outcomes.

Gardner, Kusner, Xu, Weinberger and Cunningham, Bayesian Optimization with Inequality Constraints, ICML 2014: the
constraints are taken to be independent of each other and of the objective. While no trial keeps all of them, only the
chance counts: Gelbart, Snoek and Adams, Bayesian Optimization with Unknown Constraints, UAI 2014.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from scipy.special import erfcx, log_ndtr

from searchers.expected_improvement import log_expected_improvement, log_expected_improvement_gradient
from searchers.observations import Array
from searchers.regression import GaussianProcess


@dataclass(frozen=True, slots=True)
class Limit:
    """A model of an outcome that shall be at most `bound`."""

    process: GaussianProcess
    bound: float

    def log_chance(self, points: Array) -> Array:
        """The logarithm of the probability that the outcome keeps its bound, at each of `points`."""
        mean, sigma = self.process.predict(points)
        return numpy.asarray(log_ndtr((self.bound - mean) / sigma))

    def log_chance_gradient(self, point: Array) -> tuple[float, Array]:
        """The same at one point, and its gradient."""
        mean, sigma, mean_slope, sigma_slope = self.process.predict_with_gradients(point)
        z = (self.bound - mean) / sigma
        ratio = math.sqrt(2 / math.pi) / float(erfcx(-z / math.sqrt(2)))  # φ(z) / Φ(z), where both are 0 as well
        return float(log_ndtr(z)), -ratio * (mean_slope + z * sigma_slope) / sigma


@dataclass(frozen=True, slots=True)
class Acquisition:
    """The logarithm of the expected improvement on `least`, plus that of the chance to keep each of `limits`.

    `least` is None while no trial keeps them.
    """

    process: GaussianProcess
    least: float | None
    limits: Sequence[Limit] = ()

    def score(self, points: Array) -> Array:
        """How much each of `points` promises; large is good."""
        total = numpy.zeros(len(points))
        if self.least is not None:
            total = total + log_expected_improvement(*self.process.predict(points), self.least)
        for limit in self.limits:
            total = total + limit.log_chance(points)
        return total

    def score_with_gradient(self, point: Array) -> tuple[float, Array]:
        """The score of one point, and its gradient."""
        total, slope = 0.0, numpy.zeros(len(point))
        if self.least is not None:
            total, slope = log_expected_improvement_gradient(*self.process.predict_with_gradients(point), self.least)
        for limit in self.limits:
            log_chance, its_slope = limit.log_chance_gradient(point)
            total, slope = total + log_chance, slope + its_slope
        return total, slope
