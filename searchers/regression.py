"""Gaussian process regression with a Matérn 5/2 kernel, a lengthscale for every column.

Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapters 2 and 5. The prior of the lengthscales:
Hvarfner, Hellsten and Nardi, Vanilla Bayesian Optimization Performs Great in High Dimensions, ICML 2024.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize

from searchers.observations import Array

_SQRT5 = math.sqrt(5)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """θ: a lengthscale for each column, the standard deviation of the function and of the noise."""

    lengthscales: Array
    signal: float
    noise: float

    @classmethod
    def typical(cls, dimensions: int) -> Hyperparameters:
        """Where the prior has its middle, but for the noise: the more columns, the less each of them matters."""
        return cls(numpy.full(dimensions, math.sqrt(dimensions) / 2), 1.0, 1e-2)


class GaussianProcess:
    """The posterior over functions, given `values` at `points` (a row each) and hyperparameters.

    `values` are taken to have mean 0.
    """

    def __init__(self, points: Array, values: Array, theta: Hyperparameters) -> None:
        self.points, self.theta = points, theta
        self._scaled = points / theta.lengthscales
        covariance = theta.signal**2 * _matern(_squared_distances(self._scaled, self._scaled))
        covariance[numpy.diag_indices_from(covariance)] += theta.noise**2
        self._factor = numpy.linalg.cholesky(covariance)
        self._alpha = cho_solve((self._factor, True), values)
        # The inverse makes the variance and its gradient matrix products, instead of a solve for every point.
        self._inverse = cho_solve((self._factor, True), numpy.eye(len(points)))

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the function at `points`."""
        across = self.theta.signal**2 * _matern(_squared_distances(points / self.theta.lengthscales, self._scaled))
        solved = solve_triangular(self._factor, across.T, lower=True, check_finite=False)
        variance = self.theta.signal**2 - (solved**2).sum(axis=0)
        return across @ self._alpha, numpy.sqrt(numpy.maximum(variance, 1e-20))

    def predict_with_gradients(self, point: Array) -> tuple[float, float, Array, Array]:
        """Mean μ and standard deviation σ at one point, and their gradients."""
        difference = point / self.theta.lengthscales - self._scaled
        distance = _SQRT5 * numpy.sqrt((difference**2).sum(axis=1))
        decay = self.theta.signal**2 * numpy.exp(-distance)
        across = decay * (1 + distance + distance**2 / 3)
        slope = -(5 / 3) * (decay * (1 + distance))[:, None] * difference / self.theta.lengthscales
        solved = self._inverse @ across
        sigma = math.sqrt(max(self.theta.signal**2 - across @ solved, 1e-20))
        return float(across @ self._alpha), sigma, self._alpha @ slope, -(solved @ slope) / sigma


def fit(squares: Array, values: Array, start: Hyperparameters, most_steps: int = 40) -> tuple[Hyperparameters, float]:
    """Hyperparameters of a high posterior density, found by L-BFGS from `start`, and the negative logarithm of it.

    `squares` are the squared distances of all pairs of points along each column; `values` are taken to have mean 0 and
    standard deviation 1.
    """
    dimensions = len(squares)
    bounds = [_LENGTHSCALES] * dimensions + [_SIGNAL, _NOISE]
    found = minimize(
        negative_log_posterior,
        numpy.log([*start.lengthscales, start.signal, start.noise]),
        (squares, values),
        method="L-BFGS-B",
        jac=True,
        bounds=bounds,
        options={"maxiter": most_steps},
    )
    parameters = numpy.exp(found.x)
    theta = Hyperparameters(parameters[:dimensions], float(parameters[-2]), float(parameters[-1]))
    return theta, float(found.fun)


_LENGTHSCALES = math.log(0.01), math.log(100)
_SIGNAL = math.log(0.05), math.log(20)
_NOISE = math.log(1e-4), 0.0


def negative_log_posterior(log_theta: Array, squares: Array, values: Array) -> tuple[float, Array]:
    """-log p(θ | y) up to a constant, and its gradient in log θ (Rasmussen and Williams, 5.8 and 5.9)."""
    dimensions, count = len(squares), len(values)
    precisions = numpy.exp(-2 * log_theta[:dimensions])
    signal, noise = numpy.exp(2 * log_theta[dimensions:])
    distance = _SQRT5 * numpy.sqrt(numpy.einsum("d,dij->ij", precisions, squares))
    decay = signal * numpy.exp(-distance)
    kernel = decay * (1 + distance + distance**2 / 3)
    covariance = kernel.copy()
    covariance[numpy.diag_indices(count)] += noise + 1e-10
    factor, failed = dpotrf(covariance, lower=True, clean=True)
    if failed:
        return 1e10, numpy.zeros_like(log_theta)
    inverse, _ = dpotri(factor, lower=True)
    inverse = inverse + inverse.T  # LAPACK leaves one triangle as it was: zero, but for the diagonal
    inverse[numpy.diag_indices(count)] *= 0.5
    alpha = inverse @ values
    loss = 0.5 * values @ alpha + numpy.log(numpy.diagonal(factor)).sum()
    weights = numpy.outer(alpha, alpha) - inverse  # dlog p/dθ is half the sum of these times dK/dθ
    slopes = weights * decay * (1 + distance) * (5 / 3)
    gradient = numpy.empty_like(log_theta)
    gradient[:dimensions] = -0.5 * precisions * numpy.einsum("ij,dij->d", slopes, squares)
    gradient[dimensions] = -(weights * kernel).sum()
    gradient[dimensions + 1] = -noise * numpy.trace(weights)
    prior, prior_gradient = _negative_log_prior(log_theta)
    return float(loss + prior), gradient + prior_gradient


def _negative_log_prior(log_theta: Array) -> tuple[float, Array]:
    """Log-normal: lengthscales around √d / 2, a signal around 1, noise of any size but more likely small."""
    dimensions = len(log_theta) - 2
    centre = numpy.array([math.log(math.sqrt(dimensions) / 2)] * dimensions + [0.0, math.log(1e-3)])
    spread = numpy.array([0.7] * dimensions + [1.0, 2.0])
    deviation = (log_theta - centre) / spread
    return float(0.5 * (deviation**2).sum()), deviation / spread


def _squared_distances(one: Array, other: Array) -> Array:
    products = one @ other.T
    squares: Array = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2 * products
    return numpy.maximum(squares, 0.0, out=squares)


def _matern(squared: Array) -> Array:
    distance = _SQRT5 * numpy.sqrt(squared)
    correlation: Array = (1 + distance + distance**2 / 3) * numpy.exp(-distance)
    return correlation
