"""A Gaussian process whose function changes with time, and the point that promises most: what PB2 learns with.

Parker-Holder, Nguyen, Roberts, "Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits",
NeurIPS 2020, arXiv:2002.02518; the kernel is from Bogunovic et al., "Time-Varying Gaussian Process Bandit
Optimization", AISTATS 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

Array = Any
_FITTED_ON = 150
_CANDIDATES = 500
_JITTER = 1e-6
# The logarithms of length scale, noise and omega.
_START = np.log([0.3, 0.1, 0.02])
_BOUNDS = [tuple(np.log(pair)) for pair in ((0.05, 3.0), (1e-3, 1.0), (1e-4, 0.5))]


@dataclass(frozen=True, slots=True)
class Observed:
    """`y` was seen at times `t` (in intervals), with hyperparameters `x` in the unit cube."""

    t: Array
    x: Array
    y: Array


def kernel(parameters: Array, a: Observed, b: Observed) -> Array:
    """k(x, x') = exp(-|x - x'|^2 / 2 l^2) * (1 - omega)^(|t - t'| / 2)."""
    length, _, omega = np.exp(parameters)
    apart = ((a.x[:, None, :] - b.x[None, :, :]) ** 2).sum(-1) / length**2
    later = np.abs(a.t[:, None] - b.t[None, :])
    kept: Array = np.exp(-apart / 2) * (1 - omega) ** (later / 2)
    return kept


def fitted(observed: Observed) -> Array:
    """The parameters under which the latest observations are most likely."""
    recent = Observed(*(getattr(observed, name)[-_FITTED_ON:] for name in ("t", "x", "y")))
    count = len(recent.y)

    def unlikelihood(parameters: Array) -> float:
        try:
            factor = cho_factor(kernel(parameters, recent, recent) + np.exp(parameters[1]) * np.eye(count), lower=True)
        except np.linalg.LinAlgError:
            return 1e10
        fit = recent.y @ cho_solve(factor, recent.y)
        return float(fit / 2 + np.log(np.diag(factor[0])).sum())

    found: Array = minimize(unlikelihood, _START, method="L-BFGS-B", bounds=_BOUNDS, options={"maxiter": 30}).x
    return found


def best_point(observed: Observed, pending: Array, now: float, beta: float, rng: Any) -> Array:
    """The `x` whose upper confidence bound, mean + sqrt(beta) * deviation, is highest at time `now`.

    The mean is of what was observed. For the deviation the `pending` points count as well, whatever they will show: so
    those who ask at the same time do not all get the same answer. `rng` is numpy's.
    """
    parameters = fitted(observed)
    held = len(pending)
    told = Observed(
        np.append(observed.t, np.full(held, now)),
        np.vstack([observed.x, pending]) if held else observed.x,
        observed.y,
    )
    noise = np.exp(parameters[1]) + _JITTER
    of_mean = cho_factor(kernel(parameters, observed, observed) + noise * np.eye(len(observed.y)), lower=True)
    of_deviation = cho_factor(kernel(parameters, told, told) + noise * np.eye(len(told.t)), lower=True)
    weights = cho_solve(of_mean, observed.y)

    def bound(x: Array) -> Array:
        at = Observed(np.full(len(x), now), x, None)
        mean = kernel(parameters, at, observed) @ weights
        across = kernel(parameters, at, told)
        variance = 1 - np.einsum("ij,ji->i", across, cho_solve(of_deviation, across.T))
        return mean + np.sqrt(beta * np.maximum(variance, 0))

    points = rng.random((_CANDIDATES, observed.x.shape[1]))
    best = points[np.argmax(bound(points))]
    for width in (0.1, 0.03, 0.01):
        near = np.clip(best + width * rng.standard_normal((100, len(best))), 0, 1)
        near[0] = best
        best = near[np.argmax(bound(near))]
    return best
