"""Gaussian processes over encoded configurations, and where they promise most.

There is one of the losses, and one for each constraint on outcomes: of how far trials are beyond its bound, on the
scale of Eriksson and Poloczek, Scalable Constrained Bayesian Optimization, AISTATS 2021, which tells small excesses
apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
from numpy.random import Generator
from scipy.optimize import minimize

from searchers.acquisition import Acquisition, Limit
from searchers.axes import Axes
from searchers.encoding import Column
from searchers.observations import Array, History
from searchers.pareto import best_rows
from searchers.regression import GaussianProcess, Hyperparameters, fit

_REFINED = 2
"""How many of the candidates are refined."""

_LOCAL_SHARE = 0.8
"""How many of the suggestions look near the best only: rugged functions reward it, and smooth ones lose little."""

_CLOSE = 1e-5
"""A place this near to one that was tried, in shares of each range, has nothing new to say."""


Thetas = tuple[Hyperparameters, ...]
"""The hyperparameters of the losses' process, then those of each constraint's."""


class Surrogate:
    """Maps points of the unit cube to features of a Gaussian process: a number is one, a choice one for each option."""

    def __init__(self, columns: tuple[Column, ...], most_trials: int) -> None:
        self._axes = Axes(columns)
        self._most_trials = most_trials
        sizes = [len(self._axes.rungs[n]) if column.kind == "unordered" else 1 for n, column in enumerate(columns)]
        self._owner = numpy.repeat(numpy.arange(len(columns)), sizes)
        self._first = numpy.concatenate([[0], numpy.cumsum(sizes)[:-1]]).astype(int)
        self._smooth = numpy.array(self._axes.smooth, dtype=int)

    def fit(self, history: History, start: Thetas | None) -> Thetas:
        """Hyperparameters for this history, sought from `start` and, while there is little, from the prior's middle."""
        seen = self._seen(history)
        features = self._features(seen.units)
        squares = numpy.zeros((len(self._axes.columns), len(features), len(features)))
        for feature, owner in enumerate(self._owner):
            squares[owner] += (features[:, None, feature] - features[None, :, feature]) ** 2
        modelled = [_modelled_losses(seen), *(values for values, _ in _modelled_excesses(seen))]
        starts = start or (None,) * len(modelled)
        return tuple(_best_fit(squares, values, begin) for values, begin in zip(modelled, starts, strict=True))

    def best_points(self, history: History, running: Array, thetas: Thetas, generator: Generator, count: int) -> Array:
        """Points of the unit cube, those first that promise most."""
        seen = self._seen(history)
        units = seen.units
        acquisition = self._acquisition(seen, running, thetas)
        best = units[best_rows(seen, 5)]
        low, high = self._box(best[0], generator)
        anywhere = low + (high - low) * generator.random((count, units.shape[1]))
        near = self._near(best, generator, count // 2)
        near = numpy.where((near < low) | (near > high), anywhere[: len(near)], near)
        known = numpy.vstack([units, running])
        candidates = self._axes.without_inactive(self._axes.snap(numpy.vstack([anywhere, near])))
        candidates = self._unlike(candidates, known)
        score = acquisition.score(self._features(candidates))
        order = numpy.argsort(-score, kind="stable")
        refined = [self._refined(acquisition, candidates[row], low, high) for row in order[: 8 * _REFINED : 8]]
        refined.sort(key=lambda pair: -pair[1])
        points = numpy.vstack([point for point, _ in refined] + [candidates[order[:64]]])
        return self._unlike(points, known)

    def _seen(self, history: History) -> History:
        """What the models see: all, or a third of the most that they may see by value and the rest by age."""
        ended = len(history.units)
        if ended <= self._most_trials:
            return history
        newest = numpy.arange(ended - self._most_trials * 2 // 3, ended)
        best = best_rows(history.at(slice(newest[0])), self._most_trials - len(newest))
        return history.at(numpy.sort(numpy.concatenate([best, newest])))

    def _acquisition(self, seen: History, running: Array, thetas: Thetas) -> Acquisition:
        features, believed = self._features(seen.units), self._features(running)
        process = self._process(features, believed, _modelled_losses(seen), thetas[0])
        keeps = seen.violations == 0
        # Not the least value: of a function that is rough, or noise, that one was lucky.
        least = float(process.predict(features[keeps])[0].min()) if keeps.any() else None
        limits = [
            Limit(self._process(features, believed, values, theta), bound)
            for (values, bound), theta in zip(_modelled_excesses(seen), thetas[1:], strict=True)
        ]
        return Acquisition(process, least, limits)

    def _process(self, features: Array, believed: Array, values: Array, theta: Hyperparameters) -> GaussianProcess:
        """A process that saw `values`, and takes what it then expects at the `believed` points for seen as well."""
        spread = Hyperparameters(theta.lengthscales[self._owner], theta.signal, theta.noise)
        process = GaussianProcess(features, values, spread)
        if not len(believed):
            return process
        expected = process.predict(believed)[0]
        return GaussianProcess(numpy.vstack([features, believed]), numpy.concatenate([values, expected]), spread)

    def _features(self, units: Array) -> Array:
        features = numpy.where(numpy.isnan(units), 0.5, units)[:, self._owner]
        for place, rungs in self._axes.rungs.items():
            if self._axes.columns[place].kind == "unordered":
                options = self._axes.rung_of(place, units[:, place])
                first = self._first[place]
                # Two different options are 1 apart; none is as far from each.
                features[:, first : first + len(rungs)] = (options[:, None] == numpy.arange(len(rungs))) / numpy.sqrt(2)
        return features

    def _box(self, best: Array, generator: Generator) -> tuple[Array, Array]:
        """Where to look this time: everywhere, or at most a quarter to a 64th of each range away from the best."""
        low, high = numpy.zeros(len(best)), numpy.ones(len(best))
        if generator.random() < _LOCAL_SHARE:
            reach = 2.0 ** -generator.integers(2, 7)
            numbers = self._smooth[~numpy.isnan(best[self._smooth])]
            low[numbers] = numpy.maximum(best[numbers] - reach, 0)
            high[numbers] = numpy.minimum(best[numbers] + reach, 1)
        return low, high

    def _unlike(self, points: Array, known: Array) -> Array:
        """Those of `points` that are not as good as equal to one of `known`; all, when none is left."""
        close = numpy.nan_to_num(numpy.abs(points[:, None, :] - known[None, :, :])) < _CLOSE
        is_new = ~numpy.any(numpy.all(close, axis=2), axis=1)
        return points[is_new] if is_new.any() else points

    def _near(self, best: Array, generator: Generator, count: int) -> Array:
        """Points that differ from one of `best` in some parameters, by steps of all sizes."""
        dimensions = best.shape[1]
        centres = best[generator.integers(len(best), size=count)]
        is_moved = generator.random((count, dimensions)) < 0.5
        is_moved[numpy.arange(count), generator.integers(dimensions, size=count)] = True
        anywhere = generator.random((count, dimensions))
        centres = numpy.where(numpy.isnan(centres), anywhere, centres)
        steps = 10 ** generator.uniform(-3, -0.5, (count, 1)) * generator.standard_normal((count, dimensions))
        moved = numpy.clip(centres + steps, 0, 1)
        unordered = [place for place in self._axes.rungs if self._axes.columns[place].kind == "unordered"]
        moved[:, unordered] = anywhere[:, unordered]
        return numpy.where(is_moved, moved, centres)

    def _refined(self, acquisition: Acquisition, point: Array, low: Array, high: Array) -> tuple[Array, float]:
        """`point` moved uphill along the numbers that are no grid, and its score there."""
        free = self._smooth[~numpy.isnan(point[self._smooth])]
        features = self._features(point[None, :])[0]
        places = self._first[free]

        def loss(x: Array) -> tuple[float, Array]:
            features[places] = x
            score, slope = acquisition.score_with_gradient(features)
            return -score, -slope[places]

        if not len(free):
            return point, float(acquisition.score(features[None, :])[0])
        found: Any = minimize(
            loss,
            point[free],
            method="L-BFGS-B",
            jac=True,
            bounds=list(zip(low[free], high[free], strict=True)),
            options={"maxiter": 25},
        )
        moved = point.copy()
        moved[free] = found.x
        return moved, -float(found.fun)


def _best_fit(squares: Array, values: Array, start: Hyperparameters | None) -> Hyperparameters:
    typical = Hyperparameters.typical(len(squares))
    found = [fit(squares, values, begin) for begin in (start, typical) if begin is not None]
    return min(found, key=lambda pair: pair[1])[0]


def _modelled_losses(seen: History) -> Array:
    return standardised(compressed(seen.losses[:, 0]))


def _modelled_excesses(seen: History) -> Iterator[tuple[Array, float]]:
    """For each constraint the excesses as they are modelled, and the bound on that scale."""
    for excesses in seen.excesses.T:
        scaled = numpy.sign(excesses) * numpy.log1p(numpy.abs(excesses))
        middle, spread = float(scaled.mean()), float(scaled.std()) or 1.0
        yield (scaled - middle) / spread, -middle / spread


def compressed(losses: Array) -> Array:
    """`losses` with the worst quarter compressed logarithmically, by the others' distance to the best."""
    middle = float(numpy.quantile(losses, 0.75))
    scale = middle - float(losses.min())
    if scale <= 0:
        return losses
    return numpy.where(losses > middle, middle + scale * numpy.log1p(numpy.maximum(losses - middle, 0) / scale), losses)


def standardised(values: Array) -> Array:
    """`values` with mean 0 and standard deviation 1; all zero when they do not differ."""
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 0 else numpy.zeros_like(values)
