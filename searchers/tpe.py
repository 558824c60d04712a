"""A tree-structured Parzen estimator (TPE) over all parameters jointly, whose cost is a few matrix products.

Bergstra, Bardenet, Bengio and Kégl, Algorithms for Hyper-Parameter Optimization, NeurIPS 2011. All parameters in one
kernel: Falkner, Klein and Hutter, BOHB, ICML 2018. What each part does: Watanabe, arXiv 2304.11127, 2023.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from searchers.base import SearchContext
from searchers.model import ModelSearch
from searchers.objectives import Names

if TYPE_CHECKING:
    from numpy.random import Generator

    from searchers.observations import Array
    from searchers.parzen import ParzenEstimator


class TPESearch(ModelSearch):
    """Of the points that the good trials make likely, the one that the bad ones make least likely: argmax l(x) / g(x).

    The finished trials are split: the best γ n, at most `most_good`, are the good ones (l), the others the bad ones
    (g). With several objectives the best are whole non-dominated fronts, and of the last one the least crowded. What
    breaks a constraint on outcomes is worse than all that keeps them, by how far (`searchers.pareto`). Running
    trials count as bad (the constant liar), so that parallel trials spread; failed ones are overlooked. `n_candidates`
    points are drawn from l.

    The cost of a suggestion is bounded: l has at most `most_good` kernels, g those of the newest `most_bad` trials, and
    the history is encoded once.

    Args:
        space, metric, mode, points_to_evaluate, seed, evaluated_rewards, skip_duplicate: See `ModelSearch`.
        n_startup_trials: How many trials are drawn at random before the model is asked.
        n_candidates: How many points are compared for a suggestion.
        gamma: γ, the share of good trials, above 0 and below 1.
        most_good: The most trials that count as good.
        most_bad: The most trials that count as bad.
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
        n_startup_trials: int = 10,
        n_candidates: int = 24,
        gamma: float = 0.1,
        most_good: int = 25,
        most_bad: int = 2000,
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
        counts = {"n_candidates": n_candidates, "most_good": most_good, "most_bad": most_bad}
        mistakes = [f"{name} must be 1 or more, not {count!r}" for name, count in counts.items() if count < 1]
        mistakes += [] if 0 < gamma < 1 else [f"gamma must lie between 0 and 1, not {gamma!r}"]
        if mistakes:
            raise ValueError("; ".join(mistakes))
        self.n_startup_trials = n_startup_trials
        self.n_candidates = n_candidates
        self.gamma, self.most_good, self.most_bad = gamma, most_good, most_bad

    def bind(self, context: SearchContext) -> None:
        from searchers.axes import Axes

        super().bind(context)
        self._axes = Axes(self.encoding.columns)

    def propose(self, generator: Generator, trial_id: str) -> Array:
        if len(self.observations.history.losses) < self.n_startup_trials:
            return generator.random((self.n_candidates, len(self.encoding.columns)))
        good, bad = self._densities()
        points = good.sample(generator, self.n_candidates)
        score = good.log_density(points) - bad.log_density(points)
        return points[(-score).argsort(kind="stable")]

    def _densities(self) -> tuple[ParzenEstimator, ParzenEstimator]:
        """The densities l and g."""
        import numpy

        from searchers.pareto import best_rows
        from searchers.parzen import ParzenEstimator, neighbour_widths, ramp

        history = self.observations.history
        units = history.units
        count = min(math.ceil(self.gamma * len(units)), self.most_good)
        is_good = numpy.zeros(len(units), dtype=bool)
        is_good[best_rows(history, count)] = True
        good = units[is_good]
        bad = numpy.vstack([units[~is_good], self.observations.running])[-self.most_bad :]
        return (
            ParzenEstimator(self._axes, good, numpy.ones(len(good)), neighbour_widths(good)),
            ParzenEstimator(self._axes, bad, ramp(len(bad)), neighbour_widths(bad)),
        )
