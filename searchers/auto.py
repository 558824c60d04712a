"""Search that picks its algorithm from the space and the budget, and says which and why.

What is best where was found on instances 11 to 13 of the BBOB functions in three, four and six dimensions, and never on
those that `benchmarks/bbob.py` judges.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from searchers.base import SearchContext, Searcher, Suggestion
from searchers.choices import holds_domain
from searchers.domain import Domain
from searchers.gaussian_process import GaussianProcessSearch
from searchers.model import ModelSearch
from searchers.objectives import Names, names
from searchers.optuna import OptunaSearch
from searchers.quasirandom import SobolSearch
from searchers.space import grid_axes
from searchers.tpe import TPESearch
from searchers.variants import BasicVariantGenerator

logger = logging.getLogger(__name__)

_MOST_COLUMNS = 20
"""With more parameters than this a Gaussian process learns little from the trials that it can afford to look at."""

_MOST_MODELLED = 300
"""After so many trials the Gaussian process has found what it will find, and costs more than it brings."""


class AutoSearch(Searcher):
    """The searcher that suits the space and the budget; `why` says which it is, as one line of the log does.

    | the run | is searched by |
    | --- | --- |
    | an objective that asks for its parameters one by one | Optuna's TPE |
    | with `grid_search` axes | the grid, the other parameters at random |
    | without a metric | a Sobol sequence |
    | one metric, up to 20 parameters, most of them always there | a Gaussian process for 300 trials, then TPE |
    | everything else | TPE |

    Each is told every trial, so that the second of two goes on from all that is known. A finite space is searched
    without repetition, and the run ends when all of it has been tried.

    Args:
        space, metric, mode, points_to_evaluate, seed, evaluated_rewards, allow_duplicates: See
            `searchers.model.ModelSearch`.
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
        allow_duplicates: bool = False,
    ) -> None:
        self.space = space
        self.metric, self.mode = metric, mode
        self.points_to_evaluate = points_to_evaluate
        self.seed = seed
        self.evaluated_rewards = evaluated_rewards
        self.allow_duplicates = allow_duplicates

    def bind(self, context: SearchContext) -> None:
        self._searchers, self.why = self._chosen(context)
        for searcher in self._searchers:
            searcher.bind(context)
        super().bind(self._searchers[0].context)
        logger.info("search: %s", self.why)

    @property
    def total_trials(self) -> int | None:
        return self._searchers[0].total_trials

    def suggest(self, trial_id: str) -> Suggestion:
        return self._current.suggest(trial_id)

    def suggest_parameter(self, trial_id: str, name: str, domain: Domain) -> Any:
        return self._current.suggest_parameter(trial_id, name, domain)

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        for searcher in self._searchers:
            searcher.on_trial_add(trial_id, config)

    def on_trial_start(self, trial_id: str) -> None:
        for searcher in self._searchers:
            searcher.on_trial_start(trial_id)

    def on_trial_pause(self, trial_id: str) -> None:
        for searcher in self._searchers:
            searcher.on_trial_pause(trial_id)

    def on_parameter(self, trial_id: str, name: str, domain: Domain, value: Any) -> None:
        for searcher in self._searchers:
            searcher.on_parameter(trial_id, name, domain, value)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        for searcher in self._searchers:
            searcher.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        for searcher in self._searchers:
            searcher.on_trial_complete(trial_id, result, error)

    @property
    def _current(self) -> Searcher:
        first, last = self._searchers[0], self._searchers[-1]
        is_over = isinstance(first, GaussianProcessSearch) and len(first.observations) >= _MOST_MODELLED
        return last if is_over else first

    def _chosen(self, context: SearchContext) -> tuple[list[Searcher], str]:
        """The searchers to go by, one after the other, and why these."""
        from searchers.cells import Cells
        from searchers.encoding import Encoding

        space = {**context.space, **(self.space or {})}
        if not holds_domain(space) and not grid_axes(space):
            return [self._optuna()], "Optuna's TPE, since the objective asks for its parameters one by one"
        if axes := ", ".join(grid_axes(space)):
            return [self._variants()], f"the grid of {axes} as it was asked for, other parameters at random"
        columns = Encoding(space).columns
        size = Cells(space, columns).size
        ending = f"; the space has {size:,} configurations, each is run at most once" if size is not None else ""
        metrics = names(self.metric) or context.metrics
        if not metrics:
            return [self._own(SobolSearch)], f"a Sobol sequence, since there is no metric to learn from{ending}"
        if len(metrics) > 1:
            return [self._own(TPESearch)], f"TPE, since there are {len(metrics)} metrics{ending}"
        conditional = sum(column.condition is not None for column in columns)
        if len(columns) > _MOST_COLUMNS:
            return [
                self._own(TPESearch)
            ], f"TPE, since {len(columns)} parameters are many for a Gaussian process{ending}"
        if 2 * conditional > len(columns):
            return [
                self._own(TPESearch)
            ], f"TPE, since {conditional} of {len(columns)} parameters are conditional{ending}"
        return self._model_then_tpe(context.num_samples, len(columns), ending)

    def _own(self, kind: type[ModelSearch]) -> Searcher:
        return kind(
            self.space,
            metric=self.metric,
            mode=self.mode,
            points_to_evaluate=self.points_to_evaluate,
            seed=self.seed,
            evaluated_rewards=self.evaluated_rewards,
            allow_duplicates=self.allow_duplicates,
        )

    def _optuna(self) -> Searcher:
        return OptunaSearch(
            metric=self.metric, mode=self.mode, points_to_evaluate=self.points_to_evaluate, seed=self.seed
        )

    def _variants(self) -> Searcher:
        return BasicVariantGenerator(self.points_to_evaluate, random_state=self.seed)

    def _model_then_tpe(self, num_samples: int, parameters: int, ending: str) -> tuple[list[Searcher], str]:
        searchers: list[Searcher] = [self._own(GaussianProcessSearch)]
        why = f"a Gaussian process, since {parameters} parameters are few enough to model"
        if num_samples < 0 or num_samples > _MOST_MODELLED:
            searchers.append(self._own(TPESearch))
            why += f", for {_MOST_MODELLED} trials; then TPE, whose suggestions stay cheap"
        return searchers, why + ending
