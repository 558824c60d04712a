"""BOHB's model: densities of good and bad configurations on the largest budget that enough trials have reached.

Falkner, Klein and Hutter, BOHB: Robust and Efficient Hyperparameter Optimization at Scale, ICML 2018, algorithm 2.
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

    from searchers.encoding import Vector
    from searchers.observations import Array


_SAMPLES = 64  # N_s
_LEAST_BANDWIDTH = 1e-3

_Merit = tuple[float, float]
"""How far an observation breaks the constraints, and its loss: the first of two in order is the better one."""


class BOHBSearch(ModelSearch):
    """Suggests for a scheduler that runs trials on several budgets, such as HyperBand or ASHA.

    Every report is an observation of its trial on the budget that it names. The model is made of the largest budget on
    which at least N_min + 2 trials have reported. Of these the best q N, at least N_min, are the good ones, l; the
    worst of the others, at least N_min, the bad ones, g. A share ρ of the suggestions is random; the others are the
    best by l(x) / g(x) of N_s points that are drawn from l with its bandwidths times b_w.

    What budgets below that of the model have seen is forgotten: it will not be asked for again. A failed trial is
    overlooked. Observations that break a constraint on outcomes are worse than all that keep them, the more the further
    they do.

    Args:
        space, metric, mode, points_to_evaluate, seed, evaluated_rewards, skip_duplicate: See `ModelSearch`.
        time_attr: What in a result is the budget; a result without it counts as one on budget 1.
        min_points_in_model: N_min, one more than there are parameters by default.
        top_n_percent: q, the percentage of good trials.
        random_fraction: ρ.
        bandwidth_factor: b_w.
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
        time_attr: str = "training_iteration",
        min_points_in_model: int | None = None,
        top_n_percent: float = 15,
        random_fraction: float = 1 / 3,
        bandwidth_factor: float = 3,
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
        mistakes = [] if 0 < top_n_percent < 100 else [f"top_n_percent must be above 0, below 100, not {top_n_percent}"]
        mistakes += [] if 0 <= random_fraction <= 1 else [f"random_fraction must lie in [0, 1], not {random_fraction}"]
        if mistakes:
            raise ValueError("; ".join(mistakes))
        self.time_attr = time_attr
        self.min_points_in_model = min_points_in_model
        self.top_n_percent, self.random_fraction = top_n_percent, random_fraction
        self.bandwidth_factor = bandwidth_factor
        self._units: dict[str, Vector] = {}
        self._merits_on: dict[float, dict[str, _Merit]] = {}

    def bind(self, context: SearchContext) -> None:
        from searchers.axes import Axes

        super().bind(context)
        if len(self.context.metrics) > 1:
            raise ValueError(f"BOHBSearch optimises one metric, not {', '.join(self.context.metrics)}; use TPESearch")
        self._axes = Axes(self.encoding.columns)
        self._least_points = self.min_points_in_model or len(self.encoding.columns) + 1  # N_min

    @property
    def model_budget(self) -> float | None:
        """The largest budget with enough trials for a model; None when there is none yet."""
        enough = [budget for budget, merits in self._merits_on.items() if len(merits) >= self._least_points + 2]
        return max(enough, default=None)

    def propose(self, generator: Generator, trial_id: str) -> Array:
        budget = self.model_budget
        if budget is None or generator.random() < self.random_fraction:
            return generator.random((_SAMPLES, len(self.encoding.columns)))
        return self._best_by_ratio(self._merits_on[budget], generator)

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        super().on_trial_add(trial_id, config)
        if trial_id in self.observations and trial_id not in self._units:
            self._units[trial_id] = self.encoding.encode(config)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        losses, excesses = self.outcome(result)
        if trial_id not in self._units or losses is None:
            return
        budget, least = float(result.get(self.time_attr, 1)), self.model_budget
        if least is None or budget >= least:
            broken = math.fsum(max(excess, 0.0) for excess in excesses)
            self._merits_on.setdefault(budget, {})[trial_id] = broken, losses[0]
        if (reached := self.model_budget) is not None and reached != least:
            self._merits_on = {on: merits for on, merits in self._merits_on.items() if on >= reached}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        super().on_trial_complete(trial_id, result, error)
        if result is not None and not error:
            self.on_trial_result(trial_id, result)
        elif self._units.pop(trial_id, None) is not None:
            for merits in self._merits_on.values():
                merits.pop(trial_id, None)

    def _best_by_ratio(self, merits: Mapping[str, _Merit], generator: Generator) -> Array:
        import numpy

        from searchers.parzen import ParzenEstimator

        units = numpy.array([self._units[trial_id] for trial_id in sorted(merits, key=merits.__getitem__)])
        good_count = max(self._least_points, int(self.top_n_percent / 100 * len(units)))
        bad_count = max(self._least_points, len(units) - good_count)
        good, bad = units[:good_count], units[-bad_count:]
        ones, widths = numpy.ones(len(good)), self._widths(good)
        wide = ParzenEstimator(self._axes, good, ones, widths * self.bandwidth_factor, prior=0)
        points = wide.sample(generator, _SAMPLES)
        likely = ParzenEstimator(self._axes, good, ones, widths, prior=0).log_density(points)
        unlikely = ParzenEstimator(self._axes, bad, numpy.ones(len(bad)), self._widths(bad), prior=0)
        return points[(unlikely.log_density(points) - likely).argsort(kind="stable")]

    def _widths(self, units: Array) -> Array:
        """Scott's rule, h = 1.06 σ n^(-1 / (4 + d)); along a choice, σ is that of its options' numbers."""
        import numpy

        count, dimensions = units.shape
        present = ~numpy.isnan(units)
        counts = numpy.maximum(present.sum(axis=0), 1)
        mean = numpy.where(present, units, 0).sum(axis=0) / counts
        sigma = numpy.sqrt(numpy.where(present, (units - mean) ** 2, 0).sum(axis=0) / counts)
        sizes = [column.size or 1 if column.kind == "unordered" else 1 for column in self.encoding.columns]
        widths = 1.06 * sigma * numpy.array(sizes) * count ** (-1 / (4 + dimensions))
        is_choice = numpy.array([column.kind == "unordered" for column in self.encoding.columns])
        widths = numpy.where(is_choice, numpy.minimum(widths, 1 - _LEAST_BANDWIDTH), widths)
        return numpy.broadcast_to(numpy.maximum(widths, _LEAST_BANDWIDTH), units.shape)


TuneBOHB = BOHBSearch
"""The name that Ray Tune has for it."""
