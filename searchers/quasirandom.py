"""Quasi-random search: points that cover the space more evenly than random ones do, for the same number of trials.

Sobol, On the Distribution of Points in a Cube, 1967, scrambled after Matousek, 1998; Halton, 1960, scrambled after
Owen, arXiv 1706.02808, 2017. Both as scipy.stats.qmc has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from searchers.base import SearchContext, trial_number
from searchers.model import ModelSearch

if TYPE_CHECKING:
    from numpy.random import Generator

    from searchers.observations import Array


class SobolSearch(ModelSearch):
    """The trial's number in a Sobol sequence, scrambled with the run's seed, says where it lies.

    Each parameter is one dimension, those of options that are not chosen too. Powers of two are good budgets: the
    sequence is balanced there. No result is looked at, so no metric is needed. At most 21,201 parameters.
    """

    needs_metric = False

    @property
    def learns(self) -> bool:
        return False

    def propose(self, generator: Generator, trial_id: str) -> Array:
        return _followed(sobol(len(self.encoding.columns), self._number(trial_id), self._scrambling), generator)

    def bind(self, context: SearchContext) -> None:
        super().bind(context)
        self._scrambling = self.rng("scrambling").getrandbits(32)

    def _number(self, trial_id: str) -> int:
        """The trial's place in the sequence, which begins after the points that were given."""
        return max(trial_number(trial_id) - (0 if self.evaluated_rewards else len(self.points_to_evaluate)), 0)


class HaltonSearch(SobolSearch):
    """As `SobolSearch`, with a Halton sequence: no budget is better than another. Best up to some ten parameters."""

    def propose(self, generator: Generator, trial_id: str) -> Array:
        return _followed(halton(len(self.encoding.columns), self._number(trial_id), self._scrambling), generator)


def sobol(dimensions: int, number: int, seed: int) -> Array:
    """Point `number`, counted from 0, of the Sobol sequence scrambled with `seed`."""
    from scipy.stats import qmc

    engine = qmc.Sobol(dimensions, scramble=True, rng=seed)
    if number:
        engine.fast_forward(number)
    point: Array = engine.random(1)[0]
    return point


def halton(dimensions: int, number: int, seed: int) -> Array:
    """Point `number`, counted from 0, of the Halton sequence scrambled with `seed`."""
    from scipy.stats import qmc

    engine = qmc.Halton(dimensions, scramble=True, rng=seed)
    engine.num_generated = number  # fast_forward would draw all that come before
    point: Array = engine.random(1)[0]
    return point


def _followed(point: Array, generator: Generator) -> Array:
    """`point`, then some random ones in case that it was tried already in a finite space."""
    import numpy

    return numpy.vstack([point, generator.random((15, len(point)))])
