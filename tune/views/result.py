"""One trial's outcome, under Ray Tune's names, as it stood when the grid was asked for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune.errors import InvalidArgumentError, TrialFailedError, nearest
from tune.machine.events import CheckpointRef, Failure
from tune.storage.checkpoints import Checkpoint
from tune.storage.directory import LOGS
from tune.storage.home import address_of
from tune.storage.places import place_at
from tune.views import ranking, reading, tables
from tune.views.reading import LineageStep, TrialRecord
from tune.views.snapshot import Snapshot
from tune.views.wording import flatten, pairs_text, value_text

if TYPE_CHECKING:
    from pandas import DataFrame


class Result:
    """What became of one trial. `trial_id`, `state` and `config` are known; the rest is read when asked for."""

    def __init__(
        self, snapshot: Snapshot, record: TrialRecord, metric: str | None = None, mode: str | None = None
    ) -> None:
        self._snapshot = snapshot
        self._record = record
        self._objective = metric, mode
        self.trial_id = record.trial_id
        self.state = record.state
        self.attempts = record.attempts

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], trial_id: str) -> Result:
        """The result of a trial of the experiment in directory `path`.

        Raises:
            NotAnExperimentError: there is none.
            KeyError: it has no such trial.
        """
        snapshot = Snapshot(Path(path).absolute())
        if trial_id not in snapshot.by_id:
            raise KeyError(f"{path} has no trial {trial_id!r}{nearest(trial_id, snapshot.by_id)}")
        metric, mode = (next(iter(snapshot.facts.get(key, [])), None) for key in ("metrics", "modes"))
        return cls(snapshot, snapshot.by_id[trial_id], metric, mode)

    # What it tried, and what came of it.

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration; objects that data could not keep stand as ``Lost`` with a description."""
        return self._record.config()

    def lineage(self) -> list[LineageStep]:
        """The configurations that led here, each with the iteration it was used from: one, unless it is a copy.

        A trial that `PopulationBasedTraining` made a copy of another goes on from that one's checkpoint: the steps go
        back through all of them. Give them to `PopulationBasedTrainingReplay` to train once as they were.
        """
        with reading.reading(self._snapshot.directory) as connection:
            return reading.read_lineage(connection, self.trial_id)

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The last result with the automatic metrics and ``config``; empty when nothing was reported."""
        last = self._snapshot.last_result(self.trial_id)
        return self._whole(last) if last else {}

    @cached_property
    def best_metrics(self) -> dict[str, Any]:
        """The result with the best value of the experiment's metric; the last one when no value is finite.

        Raises:
            InvalidArgumentError: the experiment has no metric.
        """
        metric, mode = objective(self._objective, None, None)
        best = ranking.best_row(self._history, metric, mode, self._snapshot.objectives.violation)
        return self._whole(best) if best else self.metrics

    @cached_property
    def metrics_dataframe(self) -> DataFrame:
        """One row for each iteration that counts."""
        return tables.frame(tables.row(one, self.config, trial_id=self.trial_id) for one in self._history)

    @cached_property
    def error(self) -> TrialFailedError | None:
        """Why it failed for good, the user's own traceback first; None when it did not."""
        failure = self._failure
        if failure is None:
            return None
        told = failure.traceback.rstrip() or failure.summary
        tail = f"\nThe last lines that it printed:\n{failure.log_tail.rstrip()}" if failure.log_tail.strip() else ""
        config = f", with {pairs_text(flatten(self.config))}" if self.config else ""
        return TrialFailedError(f"{told}\n\n{self.trial_id} failed in attempt {self.attempts}{config}{tail}")

    @cached_property
    def reason(self) -> str:
        """Why it was stopped or paused, or what it failed with; empty when it ended by itself or still runs."""
        if self._failure is not None:
            return self._failure.summary
        with reading.reading(self._snapshot.directory) as connection:
            return reading.read_reason(connection, self.trial_id)

    @property
    def broken_constraints(self) -> list[str]:
        """The outcome constraints that its last result breaks, or says nothing about."""
        return self._snapshot.objectives.broken(self._snapshot.compared.get(self.trial_id, {}))

    # Its files.

    @property
    def path(self) -> str:
        """The directory of the trial's own files; it is there only if the trial asked for it."""
        return str(self._snapshot.directory / "artifacts" / self.trial_id)

    @property
    def log(self) -> str:
        """What the trial printed, in a gang its rank 0, of all its attempts; empty when nothing was kept."""
        path = self._snapshot.directory / LOGS / f"{self.trial_id}.log"
        return path.read_text(errors="replace") if path.is_file() else ""

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The latest checkpoint that is still there."""
        kept = self.best_checkpoints
        return kept[-1][0] if kept else None

    @property
    def best_checkpoints(self) -> list[tuple[Checkpoint, dict[str, Any]]]:
        """The checkpoints that were kept, oldest first, each with the result it was saved with."""
        with reading.reading(self._snapshot.directory) as connection:
            saved = reading.read_checkpoints(connection, self.trial_id)
        reported = {one["training_iteration"]: one for one in self._history}
        place = place_at(address_of(self._snapshot.directory))
        return [
            (place.at(one), self._whole(reported.get(one.iteration, {})))
            for one in (CheckpointRef(*each) for each in saved)
            if place.has(one)
        ]

    def get_best_checkpoint(self, metric: str | None = None, mode: str | None = None) -> Checkpoint | None:
        """The kept checkpoint whose result was best by `metric`; None when none has a finite value of it.

        Raises:
            InvalidArgumentError: there is no metric, or no mode for it.
        """
        metric, mode = objective(self._objective, metric, mode)
        kept = self.best_checkpoints
        scores = {str(at): ranking.metric_of(result, metric) for at, (_, result) in enumerate(kept)}
        best = ranking.best(scores, mode)
        return None if best is None else kept[int(best)][0]

    # Ray's names for a trial.

    @property
    def last_result(self) -> dict[str, Any]:
        """The same as `metrics`."""
        return self.metrics

    @property
    def status(self) -> str:
        """The same as `state`."""
        return self.state

    def __repr__(self) -> str:
        metric = self._objective[0]
        value = ranking.metric_of(self._snapshot.last_metrics.get(self.trial_id, {}), metric) if metric else None
        told = f", {metric}={value_text(value)}" if value is not None else ""
        return f"Result({self.trial_id} {self.state}{told}, {pairs_text(flatten(self.config))})"

    @property
    def _history(self) -> list[dict[str, Any]]:
        return self._snapshot.history(self.trial_id)

    @property
    def _failure(self) -> Failure | None:
        return self._snapshot.failures.get(self.trial_id)

    def _whole(self, result: Mapping[str, Any]) -> dict[str, Any]:
        dated = {"date": reading.date_text(result["timestamp"])} if "timestamp" in result else {}
        return {**result, **dated, "config": self.config}


def objective(known: tuple[str | None, str | None], metric: str | None, mode: str | None) -> tuple[str, str]:
    """The metric and mode to compare by: those given, else the experiment's own.

    Raises:
        InvalidArgumentError: one of them is missing.
    """
    known_metric, known_mode = known
    metric = metric or known_metric
    if metric is None:
        raise InvalidArgumentError(
            ["the experiment has no metric to compare by: pass metric='...' and mode='min' or 'max'"]
        )
    if mode is None and metric == known_metric:
        mode = known_mode
    if mode is None:
        raise InvalidArgumentError([f"metric {metric!r} needs a mode: pass mode='min' or mode='max'"])
    return metric, mode
