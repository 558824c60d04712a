"""The logarithm of expected improvement, which tells points apart where the improvement itself is 0 in floating point.

Ament, Daulton, Eriksson, Balandat and Bakshy, Unexpected Improvements to Expected Improvement for Bayesian
Optimization, NeurIPS 2023.
"""

from __future__ import annotations

import math

import numpy
from scipy.special import erfcx, log_ndtr, ndtr

from searchers.observations import Array

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def log_expected_improvement(mean: Array, sigma: Array, least: float) -> Array:
    """Log E[max(`least` - f, 0)] for f ~ N(mean, sigma²): equation 8, with z = (least - mean) / sigma."""
    return numpy.asarray(_log_h((least - mean) / sigma) + numpy.log(sigma))


def log_expected_improvement_gradient(
    mean: float, sigma: float, mean_slope: Array, sigma_slope: Array, least: float
) -> tuple[float, Array]:
    """The same at one point, and its gradient, from those of mean and sigma."""
    z = (least - mean) / sigma
    log_h = _log_h_at(z)
    ratio = math.exp(float(log_ndtr(z)) - log_h)  # h'(z) = Φ(z)
    slope = ratio * (-mean_slope - z * sigma_slope) / sigma + sigma_slope / sigma
    return log_h + math.log(sigma), slope


def _log_h(z: Array) -> Array:
    """log(φ(z) + z Φ(z)), in the paper's branches: directly, by erfcx, and asymptotically."""
    log_density = -0.5 * z**2 - _LOG_SQRT_2PI
    safe = numpy.maximum(z, -1.0)
    direct = numpy.log(numpy.exp(-0.5 * safe**2 - _LOG_SQRT_2PI) + safe * ndtr(safe))
    middle = numpy.clip(z, -1e6, -1.0)
    inner = 1 + middle * erfcx(-middle / math.sqrt(2)) * math.sqrt(math.pi / 2)
    by_erfcx = log_density + numpy.log(numpy.maximum(inner, 1e-300))
    far = log_density - 2 * numpy.log(numpy.abs(numpy.minimum(z, -1.0)))
    values: Array = numpy.where(z > -1.0, direct, numpy.where(z > -1e4, by_erfcx, far))
    return values


def _log_h_at(z: float) -> float:
    """The same for one number, at a tenth of the time."""
    log_density = -0.5 * z**2 - _LOG_SQRT_2PI
    if z > -1:
        return math.log(math.exp(log_density) + z * float(ndtr(z)))
    if z > -1e4:
        return log_density + math.log(max(1 + z * float(erfcx(-z / math.sqrt(2))) * math.sqrt(math.pi / 2), 1e-300))
    return log_density - 2 * math.log(-z)
