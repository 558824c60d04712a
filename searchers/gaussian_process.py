"""Bayesian optimisation with a Gaussian process: for expensive trials and few parameters, numeric or mixed.

Snoek, Larochelle and Adams, Practical Bayesian Optimization of Machine Learning Algorithms, NeurIPS 2012 (Matérn 5/2
with a lengthscale for each parameter). The acquisition: `searchers.acquisition`. Running trials are taken to
come to what the model expects of them, the kriging believer: Ginsbourger, Le Riche and Carraro, Kriging Is Well-Suited
to Parallelize Optimization, 2010.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from searchers.base import SearchContext, trial_number
from searchers.model import ModelSearch
from searchers.objectives import Names

if TYPE_CHECKING:
    from numpy.random import Generator

    from searchers.observations import Array
    from searchers.surrogate import Thetas


class GaussianProcessSearch(ModelSearch):
    """The point of which the model expects the most improvement, after a scrambled Sobol sequence to begin with.

    Each constraint on outcomes has a model of its own; the improvement counts as far as it is likely to keep them all.

    The worst quarter of the losses is compressed logarithmically before the model sees it: how bad a bad configuration
    is says little about where the good ones are. Four of five suggestions look near the best only. An unordered choice
    has one lengthscale, its options are all equally far apart; a parameter that does not exist is taken to be in its
    middle.

    The cost of a suggestion is bounded: the model sees at most `most_trials` finished trials, a third of them the best
    and the others the newest, and its hyperparameters are sought again whenever the history has grown by a twelfth,
    from where they were. They depend on the history alone, and are found again in the same way on resume.

    Args:
        space, metric, mode, points_to_evaluate, seed, evaluated_rewards, skip_duplicate: See `ModelSearch`.
        n_startup_trials: How many trials have to finish before the model is asked; three for each parameter by default.
        most_trials: The most trials that the model sees.
        n_candidates: How many points of each kind, anywhere and near the best, are compared before the best of them
            are refined.
    """

    def __init__(
        self,
        space: Mapping[str, Any] | None = None,
        *,
        metric: Names = None,
        mode: Names = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        seed: int | None = None,
        evaluated_rewards: Sequence[float | Sequence[float]] | None = None,
        skip_duplicate: bool = True,
        n_startup_trials: int | None = None,
        most_trials: int = 300,
        n_candidates: int = 512,
    ) -> None:
        super().__init__(
            space,
            metric=metric,
            mode=mode,
            points_to_evaluate=points_to_evaluate,
            seed=seed,
            evaluated_rewards=evaluated_rewards,
            skip_duplicate=skip_duplicate,
        )
        self.n_startup_trials = n_startup_trials
        self.most_trials = most_trials
        self.n_candidates = n_candidates

    def bind(self, context: SearchContext) -> None:
        from searchers.surrogate import Surrogate

        super().bind(context)
        if len(self.context.metrics) > 1:
            raise ValueError(
                f"GaussianProcessSearch optimises one metric, not {', '.join(self.context.metrics)}; use TPESearch"
            )
        self._surrogate = Surrogate(self.encoding.columns, self.most_trials)
        self._fitted_at = 0
        self._thetas: Thetas | None = None

    @property
    def startup_trials(self) -> int:
        """How many trials have to finish before the model is asked."""
        return max(3 * len(self.encoding.columns), 4) if self.n_startup_trials is None else self.n_startup_trials

    def propose(self, generator: Generator, trial_id: str) -> Array:
        import numpy

        from searchers.quasirandom import sobol

        if len(self.observations) < max(self.startup_trials, 2):
            first = sobol(len(self.encoding.columns), trial_number(trial_id), self.rng("sobol").getrandbits(32))
            return numpy.vstack([first, generator.random((15, first.shape[0]))])
        known = self.observations
        thetas = self._hyperparameters()
        return self._surrogate.best_points(known.history, known.running, thetas, generator, self.n_candidates)

    def _hyperparameters(self) -> Thetas:
        """Those of the longest history at which they were to be sought, each search starting from the one before."""
        due = self._fitted_at
        while (due := _next_fit(due, max(self.startup_trials, 2))) <= len(self.observations):
            self._thetas = self._surrogate.fit(self.observations.first(due), self._thetas)
            self._fitted_at = due
        assert self._thetas is not None
        return self._thetas


def _next_fit(last: int, first: int) -> int:
    return first if last < first else last + max(1, math.ceil(last / 12))
