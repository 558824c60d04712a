"""A Gaussian process whose function changes with time, and the point that promises most: what PB2 learns with.

Parker-Holder, Nguyen, Roberts, "Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits",
NeurIPS 2020, arXiv:2002.02518; the kernel is from Bogunovic et al., "Time-Varying Gaussian Process Bandit
Optimization", AISTATS 2016.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

Array = Any

MOST = 200
"""How many observations are kept, the latest: of eight members those of 25 intervals."""

_FITTED_ON = 100
_STEPS = 15
_GROWTH = 1.1
_FEWEST = 4
_CANDIDATES = 500
_JITTER = 1e-6
# The logarithms of length scale, noise and omega.
_START = np.log([0.3, 0.1, 0.02])
_BOUNDS = [tuple(np.log(pair)) for pair in ((0.05, 3.0), (1e-3, 1.0), (1e-4, 0.5))]


class Observed(NamedTuple):
    """`y` was seen at times `t` (in intervals), with hyperparameters `x` in the unit cube."""

    t: Array
    x: Array
    y: Array

    def latest(self, count: int) -> Observed:
        """The last `count` of them."""
        return Observed(*(each[-count:] for each in self))


class Bandit:
    """Learns from one observation after the other, and says where the most is to be had.

    What it costs is bounded, and small enough for the loop that decides: `MOST` observations are kept, and the kernel's
    parameters are sought on the latest of them, from where they were, when it is asked and a tenth more has been seen.
    They depend on what was seen and asked, and on nothing else; one thread computes, since sums of several come out
    differently.
    """

    def __init__(self) -> None:
        self._latest: deque[tuple[float, Sequence[float], float]] = deque(maxlen=MOST)
        self._seen = self._fitted_at = 0
        self._parameters: Array = _START
        self._blas: Any = ThreadpoolController().select(user_api="blas")

    @property
    def is_ready(self) -> bool:
        """Whether enough was seen for an answer."""
        return self._seen >= _FEWEST

    @property
    def observed(self) -> Observed:
        """What it goes by."""
        return Observed(*map(np.array, zip(*self._latest, strict=True)))

    def see(self, t: float, x: Sequence[float], y: float) -> None:
        """At time `t`, in intervals, `y` was seen with `x`."""
        self._latest.append((t, x, y))
        self._seen += 1

    def best_point(self, pending: Array, now: float, beta: float, rng: Any) -> Array:
        """See `best_point`."""
        standardised = _standardised(self.observed)
        with self._blas.limit(limits=1):
            if self._seen > _GROWTH * self._fitted_at:
                self._fitted_at = self._seen
                self._parameters = fitted(standardised.latest(_FITTED_ON), self._parameters)
            return best_point(standardised, self._parameters, pending, now, beta, rng)


def kernel(parameters: Array, a: Observed, b: Observed) -> Array:
    """k(x, x') = exp(-|x - x'|^2 / 2 l^2) * (1 - omega)^(|t - t'| / 2)."""
    length, _, omega = np.exp(parameters)
    kept: Array = np.exp(_squares(a, b) / (-2 * length**2) + np.log1p(-omega) / 2 * _gaps(a, b))
    return kept


def fitted(observed: Observed, start: Array) -> Array:
    """The parameters under which the observations are most likely, sought from `start`."""
    squares, gaps = _squares(observed, observed), _gaps(observed, observed)
    found: Array = minimize(
        unlikelihood, start, (squares, gaps, observed.y), "L-BFGS-B", True, bounds=_BOUNDS, options={"maxiter": _STEPS}
    ).x
    return found


def unlikelihood(parameters: Array, squares: Array, gaps: Array, y: Array) -> tuple[float, Array]:
    """-log p(y) up to a constant, and its gradient in the logarithms of length scale, noise and omega.

    `squares` are |x - x'|^2 and `gaps` |t - t'| of all pairs. Rasmussen and Williams, 2006, equations 5.8 and 5.9.
    """
    length, noise, omega = np.exp(parameters)
    alike = np.exp(squares / (-2 * length**2) + math.log1p(-omega) / 2 * gaps)
    factor, failed = dpotrf(alike + (noise + _JITTER) * np.eye(len(y)), lower=True, clean=True)
    if failed:
        return 1e10, np.zeros(3)
    inverse, _ = dpotri(factor, lower=True)
    inverse = inverse + np.tril(inverse, -1).T
    weights = inverse @ y
    slopes = inverse - np.outer(weights, weights)
    shared = slopes * alike
    gradient = np.array(
        [
            (shared * squares).sum() / length**2,
            noise * np.trace(slopes),
            -omega / (1 - omega) / 2 * (shared * gaps).sum(),
        ]
    )
    return float(y @ weights / 2 + np.log(np.diag(factor)).sum()), gradient / 2


def best_point(observed: Observed, parameters: Array, pending: Array, now: float, beta: float, rng: Any) -> Array:
    """The `x` whose upper confidence bound, mean + sqrt(beta) * deviation, is highest at time `now`.

    The mean is of what was observed. For the deviation the `pending` points count as well, whatever they will show: so
    those who ask at the same time do not all get the same answer. `rng` is numpy's.
    """
    count, held = len(observed.y), len(pending)
    told = Observed(np.append(observed.t, np.full(held, now)), np.vstack([observed.x, pending]), observed.y)
    noisy = kernel(parameters, told, told) + (np.exp(parameters[1]) + _JITTER) * np.eye(count + held)
    weights = cho_solve((np.linalg.cholesky(noisy[:count, :count]), True), observed.y)
    inverse = cho_solve((np.linalg.cholesky(noisy), True), np.eye(count + held))

    def bound(x: Array) -> Array:
        across = kernel(parameters, Observed(np.full(len(x), now), x, None), told)
        variance = 1 - ((across @ inverse) * across).sum(axis=1)
        return across[:, :count] @ weights + np.sqrt(beta * np.maximum(variance, 0))

    points = rng.random((_CANDIDATES, observed.x.shape[1]))
    best = points[np.argmax(bound(points))]
    for width in (0.1, 0.03, 0.01):
        near = np.clip(best + width * rng.standard_normal((100, len(best))), 0, 1)
        near[0] = best
        best = near[np.argmax(bound(near))]
    return best


def _standardised(observed: Observed) -> Observed:
    return observed._replace(y=(observed.y - observed.y.mean()) / (observed.y.std() or 1.0))


def _squares(a: Observed, b: Observed) -> Array:
    squares = (a.x**2).sum(axis=1)[:, None] + (b.x**2).sum(axis=1)[None, :] - 2 * (a.x @ b.x.T)
    return np.maximum(squares, 0.0)


def _gaps(a: Observed, b: Observed) -> Array:
    return np.abs(a.t[:, None] - b.t[None, :])
