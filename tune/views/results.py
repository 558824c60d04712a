"""What an experiment found: read from its journal while it runs, when it is over, and from any process."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from tune.errors import InvalidArgumentError, MetricNotReportedError, NoBestTrialError, TrialFailedError, nearest
from tune.machine.events import SwitchedOff
from tune.machine.trial import TrialState
from tune.storage import published, remote
from tune.views import listing, ranking, reading, tables
from tune.views.analysis import ExperimentNames
from tune.views.reading import TrialRecord
from tune.views.result import Result, objective
from tune.views.snapshot import Snapshot
from tune.views.wording import flatten

if TYPE_CHECKING:
    from optuna import Study
    from pandas import DataFrame

log = logging.getLogger(__name__)

__all__ = ["ExperimentAnalysis", "NoBestTrialError", "Result", "ResultGrid"]


class ResultGrid(ExperimentNames):
    """The trials of the experiment in `directory`, or at a URL, in the order they were suggested.

    Always answers from the journal as it stands now; a `Result` stays as it was when it was asked for. Once the run has
    finished nothing is read twice; `refresh` looks again. `metric` and `mode` are the experiment's own unless given; of
    several metrics the first counts, but for `pareto_front`.

    What breaks an outcome constraint is never best while another trial keeps all of them. It is said when none does;
    then the trial is best that breaks them least.
    """

    def __init__(self, directory: str | os.PathLike[str], metric: str | None = None, mode: str | None = None) -> None:
        """Open the experiment in `directory`.

        Raises:
            NotAnExperimentError: there is none.
            JournalCorruptError: its journal was changed, or rows of it are missing.
            InvalidArgumentError: `mode` is neither ``min`` nor ``max``.
        """
        self._address = os.fspath(directory)
        self._directory = _directory_of(self._address)
        self._taken: Snapshot | None = None
        modes = self._snapshot.objectives.modes
        self.metric: str | None = metric or next(iter(modes), None)
        self.mode: str | None = mode or modes.get(self.metric or "")
        ranking.check("last", self.mode or "min")

    def refresh(self) -> ResultGrid:
        """Forget what was read, and return the grid itself. What is at a URL is fetched again only now."""
        self._directory = _directory_of(self._address)
        self._taken = None
        return self

    @property
    def _snapshot(self) -> Snapshot:
        if self._taken is None or not self._taken.current:
            self._taken = Snapshot(self._directory, self._taken)
        return self._taken

    # A sequence of results.

    def __len__(self) -> int:
        return len(self._snapshot.trials)

    @overload
    def __getitem__(self, at: int | str) -> Result: ...
    @overload
    def __getitem__(self, at: slice) -> list[Result]: ...
    def __getitem__(self, at: int | str | slice) -> Result | list[Result]:
        snapshot = self._snapshot
        if isinstance(at, slice):
            return [self._result(snapshot, record) for record in snapshot.trials[at]]
        if isinstance(at, str):
            if at not in snapshot.by_id:
                raise KeyError(f"there is no trial {at!r}{nearest(at, snapshot.by_id)}")
            return self._result(snapshot, snapshot.by_id[at])
        return self._result(snapshot, snapshot.trials[at])

    def __iter__(self) -> Iterator[Result]:
        snapshot = self._snapshot
        return (self._result(snapshot, record) for record in snapshot.trials)

    def _result(self, snapshot: Snapshot, record: TrialRecord) -> Result:
        return Result(snapshot, record, self.metric, self.mode)

    # The best of them.

    def get_best_result(
        self, metric: str | None = None, mode: str | None = None, scope: str = "last", filter_nan_and_inf: bool = True
    ) -> Result:
        """The trial that is best by `metric`, compared by what `scope` makes of each trial's values.

        Args:
            metric: the experiment's own by default, of several the first.
            mode: ``min`` or ``max``; the metric's own by default.
            scope: ``last`` compares the last values, ``all`` the best ever, ``avg``, ``last-5-avg`` and ``last-10-avg``
                means.
            filter_nan_and_inf: whether infinite values are passed over; NaN is never best.

        Raises:
            InvalidArgumentError: there is no metric to compare by, or an argument is unknown.
            MetricNotReportedError: no trial reported `metric`: names the nearest one that was.
            NoBestTrialError: nothing was reported yet, or no value was finite.
        """
        snapshot = self._snapshot
        if len(snapshot.trials) == 1 and (metric or self.metric) is None:
            return self[0]
        metric, mode = objective((self.metric, self.mode), metric, mode or snapshot.objectives.modes.get(metric or ""))
        ranking.check(scope, mode)
        scores, violations = _scores(snapshot, metric, mode, scope)
        best = ranking.best(scores, mode, filter_nan_and_inf=filter_nan_and_inf, violations=violations)
        if best is None:
            raise self._no_best(snapshot, metric, scores)
        if violations.get(best):
            told = ", ".join(map(str, snapshot.objectives.constraints))
            log.warning("no trial keeps %s: %s is the one that breaks least", told, best)
        return self._result(snapshot, snapshot.by_id[best])

    def pareto_front(self) -> list[Result]:
        """The trials whose last results no other's betters in one metric without being worse in another.

        Only trials that have a finite value of each of the experiment's metrics, and keep the outcome constraints.

        Raises:
            InvalidArgumentError: the experiment has no metric.
        """
        snapshot = self._snapshot
        if not snapshot.objectives.modes:
            raise InvalidArgumentError(["the experiment has no metrics to compare by"])
        return [self._result(snapshot, snapshot.by_id[name]) for name in snapshot.front]

    def _no_best(self, snapshot: Snapshot, metric: str, scores: Mapping[str, object]) -> Exception:
        reported = sorted({name for result in snapshot.last_metrics.values() for name in flatten(result)})
        if scores:
            return NoBestTrialError(f"no trial has a finite value of {metric!r}: all are NaN or infinite")
        if reported:
            hint = nearest(metric, reported)
            return MetricNotReportedError(
                f"metric {metric!r} was never reported as a number: trials reported {', '.join(reported)}{hint}"
            )
        failed = self.num_errors
        told = f"; {failed} failed, see results.errors" if failed else ""
        return NoBestTrialError(f"none of {len(snapshot.trials)} trials has reported anything{told}")

    # Tables.

    def get_dataframe(self, filter_metric: str | None = None, filter_mode: str | None = None) -> DataFrame:
        """One row a trial: its last result, or with `filter_metric` the one with its best value.

        Metrics are columns, nested ones joined by ``/``; parameters are under ``config/``; ``logdir`` is where
        the trial's own files are. Of several metrics, ``pareto_optimal`` says which trials are on the `pareto_front`;
        with outcome constraints, ``feasible`` says whether the last result keeps them.

        Raises:
            InvalidArgumentError: `filter_metric` has no mode, or there is a mode for no metric.
            MetricNotReportedError: no trial reported `filter_metric`.
        """
        snapshot = self._snapshot
        chosen: tuple[str, str] | None = None
        if filter_metric is not None or filter_mode is not None:
            mode = filter_mode or snapshot.objectives.modes.get(filter_metric or "")
            chosen = objective((self.metric, self.mode), filter_metric, mode)
            ranking.check("all", chosen[1])
            if not (values := snapshot.values(chosen[0])):
                raise self._no_best(snapshot, chosen[0], values)
        return tables.frame(_row(self._result(snapshot, record), snapshot, chosen) for record in snapshot.trials)

    def to_optuna(self, storage: Any = None) -> Study:
        """An Optuna study with all trials, for its plots and its dashboard; in memory, or in a new study of `storage`.

        With values, parameters and their distributions, states, intermediate values of a single metric, constraints,
        and times; the trial's id, its configuration and its other numbers are user attributes. What was cut short is
        ``PRUNED``, what failed or has no finite value ``FAIL``.

        Raises:
            InvalidArgumentError: the experiment has no metric.
        """
        from tune.views.study import to_study

        if not self._snapshot.objectives.modes:
            raise InvalidArgumentError(["a study needs a metric, and the experiment has none"])
        return to_study(self._snapshot, storage)

    # What became of them.

    @property
    def experiment_path(self) -> str:
        """The experiment's directory."""
        return str(self._directory)

    @property
    def errors(self) -> list[TrialFailedError]:
        """Why trials failed for good, one for each that did."""
        return [result.error for result in self if result.error is not None]

    @property
    def switched_off(self) -> list[SwitchedOff]:
        """What raised so often that the last run went on without it: a scheduler, a stopper, a callback, the searcher.

        Each has its `part`, its class's `name`, and `why`: what it raised last. To go on with all of them, mend it and
        resume.
        """
        return list(self._snapshot.switched_off)

    @property
    def picked(self) -> dict[str, str]:
        """What ``auto`` picked, and why, under ``search`` and ``scheduler``; empty when the user picked himself."""
        return dict(self._snapshot.facts.get("picked", {}))

    @property
    def num_errors(self) -> int:
        """How many trials failed for good."""
        return self._count(TrialState.ERROR)

    @property
    def num_terminated(self) -> int:
        """How many trials ended without failing."""
        return self._count(TrialState.TERMINATED)

    def stats(self) -> dict[str, Any]:
        """The experiment in numbers: its name, when it began (seconds since 1970), trials by state, results."""
        snapshot = self._snapshot
        with reading.reading(self._directory) as connection:
            results, seconds = reading.read_effort(connection)
        return {
            "name": snapshot.facts.get("name", self._directory.name),
            "created": snapshot.facts.get("created"),
            "num_trials": len(snapshot.trials),
            "states": dict(Counter(record.state for record in snapshot.trials)),
            "num_results": results,
            "trial_time_s": seconds,
        }

    def _count(self, state: TrialState) -> int:
        return sum(record.state == state for record in self._snapshot.trials)

    def __repr__(self) -> str:
        return listing.as_text(listing.listing(self._snapshot, self.metric, self.mode, rows=10))

    def _repr_html_(self) -> str:
        return listing.as_html(listing.listing(self._snapshot, self.metric, self.mode, rows=20))


ExperimentAnalysis = ResultGrid


Scores = Mapping[str, float]


def _scores(snapshot: Snapshot, metric: str, mode: str, scope: str) -> tuple[Scores, Scores]:
    """What each trial that has a value is compared by, and how far it breaks the outcome constraints."""
    objectives = snapshot.objectives
    if not objectives.constraints:
        return _values(snapshot, metric, mode, scope), {}
    if scope != "all":
        scores = _values(snapshot, metric, mode, scope)
        return scores, {name: objectives.violation(snapshot.compared.get(name, {})) for name in scores}
    chosen = {
        name: row
        for name in snapshot.by_id
        if (row := ranking.best_row(snapshot.histories[name], metric, mode, objectives.violation))
    }
    values = {name: ranking.metric_of(row, metric) for name, row in chosen.items()}
    return (
        {name: value for name, value in values.items() if value is not None},
        {name: objectives.violation(row) for name, row in chosen.items()},
    )


def _values(snapshot: Snapshot, metric: str, mode: str, scope: str) -> Scores:
    """What each trial makes of its values; for the usual question the last results are enough."""
    if scope == "last":
        results = snapshot.last_metrics
        last = {name: ranking.metric_of(results[name], metric) for name in snapshot.by_id if name in results}
        found = {name: value for name, value in last.items() if value is not None}
        if len(found) == len(last):
            return found
    values = snapshot.values(metric)
    return {name: ranking.score(values[name], mode, scope) for name in snapshot.by_id if name in values}


def _row(result: Result, snapshot: Snapshot, chosen: tuple[str, str] | None) -> dict[str, Any]:
    if chosen is None:
        shown = snapshot.last_results.get(result.trial_id, {})
    else:
        history = snapshot.histories[result.trial_id]
        shown = dict(ranking.best_row(history, *chosen) or next(reversed(history), {}))
    row = tables.row(shown, result.config, trial_id=result.trial_id, logdir=result.path, state=result.state)
    if len(snapshot.objectives.modes) > 1:
        row.setdefault("pareto_optimal", result.trial_id in snapshot.front)
    if snapshot.objectives.constraints:
        row.setdefault("feasible", not result.broken_constraints)
    return row


def _directory_of(address: str) -> Path:
    return published.readable(address) if remote.is_url(address) else Path(address).expanduser().absolute()
