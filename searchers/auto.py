"""Search that picks its algorithm from the space and the budget, and says which and why.

What is best was found on instances 11 to 13 of the BBOB functions in four dimensions, and never on those that
`benchmarks/bbob.py` judges: five dimensions, instances 1 to 10.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from searchers.base import SearchContext, Searcher, Suggestion, trial_number
from searchers.choices import holds_domain
from searchers.domain import Domain
from searchers.foreign import adopt
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

_TPE_EVERY = 3
"""Which share of the suggestions TPE makes beside the Gaussian process. On smooth functions they are not missed; on
rough ones TPE finds what the Gaussian process takes for noise, and each learns from the other's trials."""

_MOST_MODELLED = 300
"""After so many trials the Gaussian process has found what it will find, and costs more than it brings."""


class AutoSearch(Searcher):
    """The searcher that suits the space and the budget; `why` says which it is, as one line of the log does.

    | the run | is searched by |
    | --- | --- |
    | an objective that asks for its parameters one by one | Optuna's TPE |
    | with `grid_search` axes | the grid, the other parameters at random |
    | without a metric | a Sobol sequence |
    | one metric, up to 20 parameters, most of them always there | a Gaussian process and TPE, then TPE alone |
    | everything else | TPE |

    Beside the Gaussian process TPE has every third trial, and all of them after 300. Each is told every trial, so that
    both of two know all that is known. A finite space is searched
    without repetition, and the run ends when all of it has been tried.

    Args:
        space, metric, mode, points_to_evaluate, seed, evaluated_rewards, skip_duplicate: See
            `searchers.model.ModelSearch`.
    """

    takes_constraints = takes_functions = True  # all that it picks from do, or are not picked then

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
    ) -> None:
        self.space = space
        self.metric, self.mode = metric, mode
        self.points_to_evaluate = points_to_evaluate
        self.seed = seed
        self.evaluated_rewards = evaluated_rewards
        self.skip_duplicate = skip_duplicate

    def bind(self, context: SearchContext) -> None:
        self._searchers, self.why = self._chosen(context)
        for searcher in self._searchers:
            searcher.bind(context)
        super().bind(self._searchers[0].context)
        logger.info("search: %s", self.why)

    @property
    def total_trials(self) -> int | None:
        return self._searchers[0].total_trials

    @property
    def is_slow(self) -> bool:
        return self._searchers[0].is_slow

    @property
    def learns(self) -> bool:
        return self._searchers[0].learns

    def on_ask(self, trial_id: str) -> None:
        self._responsible(trial_id).on_ask(trial_id)

    def suggest(self, trial_id: str) -> Suggestion:
        return self._responsible(trial_id).suggest(trial_id)

    def suggest_parameter(self, trial_id: str, name: str, domain: Domain) -> Any:
        return self._responsible(trial_id).suggest_parameter(trial_id, name, domain)

    def on_evaluated(self, trial_id: str, config: dict[str, Any], result: dict[str, Any]) -> None:
        for searcher in self._searchers:
            searcher.on_evaluated(trial_id, config, result)

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

    def _responsible(self, trial_id: str) -> Searcher:
        """Who suggests this trial."""
        first, last = self._searchers[0], self._searchers[-1]
        if not isinstance(first, GaussianProcessSearch) or len(first.observations) < first.startup_trials:
            return first
        is_turn = trial_number(trial_id) % _TPE_EVERY == 0
        return last if is_turn or len(first.observations) >= _MOST_MODELLED else first

    def _chosen(self, context: SearchContext) -> tuple[list[Searcher], str]:
        """The searchers to go by, one after the other, and why these."""
        from searchers.cells import Cells
        from searchers.encoding import Encoding

        if context.define is not None:
            return [self._optuna()], "Optuna's TPE, since the space is a function of the trial"
        space = {**context.space, **adopt(self.space or {})}
        if not holds_domain(space) and not grid_axes(space):
            return [self._optuna()], "Optuna's TPE, since the objective asks for its parameters one by one"
        if axes := ", ".join(grid_axes(space)):
            if self.evaluated_rewards:
                raise ValueError(f"evaluated_rewards has nobody to teach where the grid of {axes} is run: leave it out")
            return [self._variants()], f"the grid of {axes} as it was asked for, other parameters at random"
        columns = Encoding(space).columns
        size = Cells(space).size
        ending = f"; the space has {_counted(size, 'configuration')}, each is run at most once" if size else ""
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
        return self._model_and_tpe(context.num_samples, len(columns), ending)

    def _own(self, kind: type[ModelSearch]) -> Searcher:
        return kind(
            self.space,
            metric=self.metric,
            mode=self.mode,
            points_to_evaluate=self.points_to_evaluate,
            seed=self.seed,
            evaluated_rewards=self.evaluated_rewards,
            skip_duplicate=self.skip_duplicate,
        )

    def _optuna(self) -> Searcher:
        return OptunaSearch(
            metric=self.metric,
            mode=self.mode,
            points_to_evaluate=self.points_to_evaluate,
            seed=self.seed,
            evaluated_rewards=self.evaluated_rewards,
        )

    def _variants(self) -> Searcher:
        return BasicVariantGenerator(self.points_to_evaluate, random_state=self.seed)

    def _model_and_tpe(self, num_samples: int, parameters: int, ending: str) -> tuple[list[Searcher], str]:
        searchers = [self._own(GaussianProcessSearch), self._own(TPESearch)]
        are = "is" if parameters == 1 else "are"
        few = f"{_counted(parameters, 'parameter')} {are} few enough to model"
        why = f"a Gaussian process, since {few}, and TPE every third time"
        if num_samples < 0 or num_samples > _MOST_MODELLED:
            why += f"; after {_MOST_MODELLED} trials TPE alone, whose suggestions stay cheap"
        return searchers, why + ending


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
