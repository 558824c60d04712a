"""Ray Tune's older names (`ExperimentAnalysis`) for what a grid of results knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tune.storage.checkpoints import Checkpoint
from tune.views import tables
from tune.views.result import Result
from tune.views.wording import flatten

if TYPE_CHECKING:
    from pandas import DataFrame


class ExperimentNames(ABC):
    """Everything here is said in terms of three methods of the grid."""

    @abstractmethod
    def __iter__(self) -> Iterator[Result]: ...

    @abstractmethod
    def get_best_result(
        self, metric: str | None = None, mode: str | None = None, scope: str = "last", filter_nan_and_inf: bool = True
    ) -> Result: ...

    @abstractmethod
    def get_dataframe(self, filter_metric: str | None = None, filter_mode: str | None = None) -> DataFrame: ...

    # The best trial.

    def get_best_trial(
        self, metric: str | None = None, mode: str | None = None, scope: str = "last", filter_nan_and_inf: bool = True
    ) -> Result:
        """The best trial; see `get_best_result`."""
        return self.get_best_result(metric, mode, scope, filter_nan_and_inf)

    def get_best_config(
        self, metric: str | None = None, mode: str | None = None, scope: str = "last"
    ) -> dict[str, Any]:
        """The best trial's configuration."""
        return self.get_best_result(metric, mode, scope).config

    def get_best_checkpoint(
        self, trial: Result | str, metric: str | None = None, mode: str | None = None
    ) -> Checkpoint | None:
        """The best checkpoint that was kept of `trial`."""
        return self._trial(trial).get_best_checkpoint(metric, mode)

    def get_last_checkpoint(
        self, trial: Result | str | None = None, metric: str | None = None, mode: str | None = None
    ) -> Checkpoint | None:
        """The latest checkpoint of `trial`, by default of the best one."""
        return (self.get_best_result(metric, mode) if trial is None else self._trial(trial)).checkpoint

    @property
    def best_trial(self) -> Result:
        """The trial that reached the best value of the experiment's own metric, at whichever iteration."""
        return self.get_best_result(scope="all")

    @property
    def best_config(self) -> dict[str, Any]:
        """The best trial's configuration."""
        return self.best_trial.config

    @property
    def best_checkpoint(self) -> Checkpoint | None:
        """The best trial's best checkpoint that was kept."""
        return self.best_trial.get_best_checkpoint()

    @property
    def best_result(self) -> dict[str, Any]:
        """The best trial's result where it was best."""
        return self.best_trial.best_metrics

    @property
    def best_dataframe(self) -> DataFrame:
        """The best trial's results, one row for each iteration."""
        return self.best_trial.metrics_dataframe

    @property
    def best_result_df(self) -> DataFrame:
        """The best trial's result where it was best, as one row."""
        best = self.best_trial
        return tables.frame([tables.row(best.best_metrics, best.config, trial_id=best.trial_id)], index="trial_id")

    # All trials.

    @property
    def trials(self) -> list[Result]:
        """All trials, in the order they were suggested."""
        return list(self)

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """The last result of each trial that reported one, by trial id."""
        return {trial.trial_id: trial.metrics for trial in self if trial.metrics}

    @property
    def results_df(self) -> DataFrame:
        """The last result of each trial, one row a trial, with the trial's id as the index."""
        made = self.get_dataframe()
        return made.set_index("trial_id") if "trial_id" in made else made

    @property
    def trial_dataframes(self) -> dict[str, DataFrame]:
        """Each trial's results, one row for each iteration, by trial id."""
        return {trial.trial_id: trial.metrics_dataframe for trial in self}

    def dataframe(self, metric: str | None = None, mode: str | None = None) -> DataFrame:
        """One row a trial: its last result, or its best by `metric` and `mode`."""
        return self.get_dataframe(metric, mode)

    def get_all_configs(self, prefix: bool = False) -> dict[str, dict[str, Any]]:
        """Each trial's configuration, by trial id; with `prefix`, flat, keys beginning with ``config/``."""
        if not prefix:
            return {trial.trial_id: trial.config for trial in self}
        return {trial.trial_id: flatten(trial.config, "config/") for trial in self}

    def _trial(self, trial: Result | str) -> Result:
        if isinstance(trial, Result):
            return trial
        found = next((one for one in self if one.trial_id == trial), None)
        if found is None:
            raise KeyError(f"there is no trial {trial!r}")
        return found
