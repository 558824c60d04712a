"""A mixture of product kernels over the unit cube: the density that tree-structured Parzen estimators compare.

One kernel stands on each observation, and one more, the prior, covers the whole cube. Along a number a kernel is a
Gaussian cut off at 0 and 1; along the values of a small finite domain it is that Gaussian's share of each cell; along
an unordered choice it is the kernel of Aitchison and Aitken, Biometrika 63, 1976. Where an observation lacks a
parameter, its kernel is even along it. All kernels at once are a few matrix products: the cost is linear in the number
of observations.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy
from numpy.random import Generator
from scipy.special import ndtr, ndtri

from searchers.axes import Axes, Indices
from searchers.observations import Array

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class ParzenEstimator:
    """Kernels of `weights` on `units`, and a prior of weight `prior`; a NaN is a parameter that was not there.

    `widths` has the bandwidth of each kernel along each column. Of finite domains it is one for the whole column: the
    greatest; for a choice without order, it is the probability of another option than the observed one.
    """

    def __init__(self, axes: Axes, units: Array, weights: Array, widths: Array, prior: float = 1.0) -> None:
        self._axes = axes
        nowhere = numpy.full((1 if prior else 0, units.shape[1]), numpy.nan)  # the prior is even along all columns
        self._units = numpy.vstack([units, nowhere])
        self._present = ~numpy.isnan(self._units)
        self._widths = numpy.vstack([widths, numpy.ones_like(nowhere)])
        self._weights = numpy.append(weights, [prior] if prior else [])
        self._weights /= self._weights.sum()
        self._tables = {place: _table(axes, place, float(widths[:, place].max(initial=0.01))) for place in axes.rungs}

    def sample(self, generator: Generator, count: int) -> Array:
        """`count` points, NaN for the parameters that they do not have."""
        kernels = generator.choice(len(self._weights), size=count, p=self._weights)
        chance = generator.random((count, self._units.shape[1]))
        points = self._axes.snap(chance)  # even along what a kernel lacks
        for place in range(points.shape[1]):
            rows = numpy.flatnonzero(self._present[kernels, place])
            centres, share = self._units[kernels[rows], place], chance[rows, place]
            if place in self._tables:
                reached = self._tables[place].cumsum(axis=1)[self._axes.rung_of(place, centres)]
                rungs = (reached < share[:, None] * reached[:, -1:]).sum(axis=1)
                points[rows, place] = self._axes.rungs[place][rungs]
            else:
                widths = self._widths[kernels[rows], place]
                low, high = ndtr(-centres / widths), ndtr((1 - centres) / widths)
                points[rows, place] = numpy.clip(centres + widths * ndtri(low + share * (high - low)), 0, 1)
        return self._axes.without_inactive(points)

    def log_density(self, points: Array) -> Array:
        """The logarithm of the mixture's density at each of `points`."""
        kernels = self._log_gaussians(points)
        kernels += numpy.log(self._weights)
        for place, table in self._tables.items():
            # One more row and column, all even, for the kernels and the points that have no value here: index -1.
            padded = numpy.zeros((len(table) + 1, len(table) + 1))
            padded[:-1, :-1] = numpy.log(table * len(table)).T
            kernels += padded[self._axes.rung_of(place, points[:, place])][:, self._kernel_rungs[place]]
        return _log_sum_exp(kernels)

    @cached_property
    def _kernel_rungs(self) -> dict[int, Indices]:
        return {place: self._axes.rung_of(place, self._units[:, place]) for place in self._tables}

    def _log_gaussians(self, points: Array) -> Array:
        """For every point and kernel, the sum over the smooth columns that both have: (x - μ)² multiplied out."""
        places = self._axes.smooth
        present, widths = self._present[:, places], self._widths[:, places]
        centres = numpy.where(present, self._units[:, places], 0.5)
        precision = present / widths**2
        mass = ndtr((1 - centres) / widths) - ndtr(-centres / widths)
        constant = present * -(numpy.log(mass * widths) + _LOG_SQRT_2PI) - 0.5 * precision * centres**2
        here = ~numpy.isnan(points[:, places])
        x = numpy.where(here, points[:, places], 0.0)
        density: Array = x @ (precision * centres).T - (0.5 * x**2) @ precision.T + here.astype(float) @ constant.T
        return density


def neighbour_widths(units: Array) -> Array:
    """The bandwidths of Bergstra et al.: along each column, the distance to the farther of both neighbours.

    At least 1 / min(100, n + 2), where n counts the observations, which is also the probability of another option.
    """
    count = len(units)
    widths = numpy.full(units.shape, 1 / min(100, count + 2))
    for place, column in enumerate(units.T):
        order = numpy.argsort(column, kind="stable")[: count - int(numpy.isnan(column).sum())]
        gaps = numpy.diff(column[order], prepend=0.0, append=1.0)
        if len(order) > 1:  # the ends have one neighbour; the walls are none
            gaps[0], gaps[-1] = gaps[1], gaps[-2]
        widths[order, place] = numpy.maximum(widths[order, place], numpy.maximum(gaps[1:], gaps[:-1]))
    return widths


def ramp(count: int) -> Array:
    """Weights by age, the oldest first: 1 for the newest 25, falling evenly to 1 / count for the oldest (Optuna)."""
    if count <= 25:
        return numpy.ones(count)
    return numpy.concatenate([numpy.linspace(1 / count, 1.0, count - 25), numpy.ones(25)])


def _table(axes: Axes, place: int, width: float) -> Array:
    """How likely each value is (columns) for a kernel that stands on each value (rows)."""
    rungs = axes.rungs[place]
    size = len(rungs)
    if axes.columns[place].kind == "unordered":
        other = min(width, 1.0)
        return numpy.eye(size) * (1 - other) + other / size
    ends = numpy.concatenate([[0.0], axes.edges[place], [1.0]])
    share = numpy.diff(ndtr((ends[None, :] - rungs[:, None]) / width), axis=1)
    share = numpy.maximum(share, 1e-12)
    table: Array = share / share.sum(axis=1, keepdims=True)
    return table


def _log_sum_exp(values: Array) -> Array:
    """The logarithm of each row's sum of exponentials; overwrites `values`."""
    most = values.max(axis=1, keepdims=True)
    values -= most
    numpy.exp(values, out=values)
    return numpy.asarray(most[:, 0] + numpy.log(values.sum(axis=1)))
