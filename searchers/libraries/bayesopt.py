"""A Gaussian process by the library bayesian-optimization (`bayes_opt`), whose next point has the best upper bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from searchers.encoding import Column
from searchers.libraries.box import LibrarySearch, Proposal
from searchers.objectives import Names


class BayesOptSearch(LibrarySearch):
    """The library's Gaussian process over numbers; a choice is one number for each option, of which the largest wins.

    Parallel trials do not repel each other: combine it with `ConcurrencyLimiter`.

    Args:
        metric: What to optimise, when the run does not say.
        mode: ``min`` or ``max``.
        points_to_evaluate: Configurations to try first.
        random_state: In place of the run's seed.
        random_search_steps: How many configurations are drawn at random before the model is asked.
        kappa: How many standard deviations above the mean a point is valued at.
        skip_duplicate: Whether no configuration of a finite space is run twice.
    """

    package, extra, one_hot = "bayes_opt", "bayesopt", True

    def __init__(
        self,
        metric: Names = None,
        mode: Names = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_state: int | None = None,
        random_search_steps: int = 10,
        kappa: float = 2.576,
        skip_duplicate: bool = True,
    ) -> None:
        super().__init__(metric, mode, points_to_evaluate, random_state, skip_duplicate)
        self.random_search_steps = random_search_steps
        self.kappa = kappa

    def open(self, columns: Sequence[Column]) -> None:
        import bayes_opt

        self._names = [f"x{index:04d}" for index in range(self.dimension)]
        bounds = dict.fromkeys(self._names, (0.0, 1.0))
        seed = self.rng("bayes_opt").getrandbits(32)
        options: dict[str, Any] = {"f": None, "pbounds": bounds, "random_state": seed, "verbose": 0}
        if hasattr(bayes_opt, "UtilityFunction"):  # until their version 2
            self._suggest_by = [bayes_opt.UtilityFunction(kind="ucb", kappa=self.kappa, xi=0.0)]
        else:
            options["acquisition_function"] = bayes_opt.acquisition.UpperConfidenceBound(kappa=self.kappa)
            self._suggest_by = []
        self._optimiser = bayes_opt.BayesianOptimization(allow_duplicate_points=True, **options)
        self._told = 0

    def ask(self) -> Proposal:
        if self._told < self.random_search_steps:
            return Proposal(np.random.uniform(size=self.dimension), True)
        found = self._optimiser.suggest(*self._suggest_by)
        return Proposal(np.array([float(found[name]) for name in self._names]), True)

    def tell(self, proposal: Proposal, loss: float) -> None:
        self._told += 1
        self._optimiser.register(params=dict(zip(self._names, proposal.vector.tolist(), strict=True)), target=-loss)
