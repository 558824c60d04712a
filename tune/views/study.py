"""Experiments as Optuna's studies, for its plots and its dashboard, and studies as results. Imports Optuna when asked.

A trial that was cut short counts as pruned, one that failed or has no finite value as failed.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from searchers.base import SearchContext
from tune.machine.totals import is_finite
from tune.machine.trial import TrialState
from tune.storage import data
from tune.views import ranking, reading
from tune.views.reading import TrialRecord
from tune.views.snapshot import Snapshot
from tune.views.wording import flatten

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from tune.views.distributions import Distributions

_DIRECTIONS: dict[str, Literal["minimize", "maximize"]] = {"min": "minimize", "max": "maximize"}
CONFIG = "config"
"""The user attribute of an exported trial that keeps the whole configuration, as far as it is data."""


def to_study(snapshot: Snapshot, storage: Any) -> Study:
    """A study with all trials of an experiment that has a metric; in memory unless there is a `storage`."""
    import optuna

    from tune.views.distributions import Distributions

    configs = {trial.trial_id: trial.config() for trial in snapshot.trials}
    distributions = Distributions(_space(snapshot.facts), configs.values())
    directions = [_DIRECTIONS[mode] for mode in snapshot.objectives.modes.values()]
    with reading.reading(snapshot.directory) as connection:
        cut_short, spans = reading.read_cut_short(connection), reading.read_spans(connection)
    with _quiet():
        study = optuna.create_study(
            study_name=str(snapshot.facts.get("name", snapshot.directory.name)), storage=storage, directions=directions
        )
        study.set_metric_names(list(snapshot.objectives.modes))
    for record in snapshot.trials:
        trial = _trial(snapshot, record, configs[record.trial_id], distributions, record.trial_id in cut_short)
        _date(trial, spans.get(record.trial_id))
        study.add_trial(trial)
    return study


def load_study(storage: str, name: str | None) -> Study:
    """The study called `name` in `storage`; the only one there when it is None.

    Raises:
        ValueError: there is none.
    """
    import optuna

    try:
        with _quiet():
            return optuna.load_study(study_name=name, storage=storage)
    except (KeyError, ValueError) as error:
        asked = f"no study {name!r}" if name else "no study, or several: give (URL, name)"
        raise ValueError(f"warm_start: {storage} has {asked}; Optuna says: {error}") from error


def read_study(study: Any, context: SearchContext) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Configurations and results of a study's trials, each value as the metric in its place; failures have no result.

    Raises:
        ValueError: the study was for other modes than the search is.
    """
    modes = ["min" if direction.name == "MINIMIZE" else "max" for direction in study.directions]
    if modes != list(context.modes):
        raise ValueError(f"warm_start: the study was for {_listed(modes)}, and the run is for {_listed(context.modes)}")
    return (_pair(trial, context) for trial in study.get_trials(deepcopy=False))


def _listed(modes: Any) -> str:
    return ", ".join(modes) or "no metric"


def _pair(trial: Any, context: SearchContext) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    values = trial.values if trial.state.name in ("COMPLETE", "PRUNED") else None
    if values is None and trial.state.name == "PRUNED" and trial.intermediate_values:
        values = [trial.intermediate_values[max(trial.intermediate_values)]]
    told = {name: value for name, value in trial.user_attrs.items() if name != CONFIG}
    kept = data.decode(trial.user_attrs.get(CONFIG))
    config = kept if isinstance(kept, Mapping) else trial.params
    return config, {**told, **dict(zip(context.metrics, values, strict=True))} if values else {}


def _trial(
    snapshot: Snapshot, record: TrialRecord, config: dict[str, Any], distributions: Distributions, cut_short: bool
) -> FrozenTrial:
    from optuna.trial import create_trial

    objectives = snapshot.objectives
    last = snapshot.last_metrics.get(record.trial_id, {})
    found = [ranking.metric_of(last, name) for name in objectives.modes]
    values = [value for value in found if value is not None and math.isfinite(value)]
    state = _state(record, len(values) == len(found), cut_short and len(found) == 1)
    known = {one.metric: ranking.metric_of(last, one.metric) for one in objectives.constraints}
    excesses = {str(one): one.excess(known) for one in objectives.constraints}
    params, of = distributions.of(config)
    return create_trial(
        state=state,
        values=values if state.name in ("COMPLETE", "PRUNED") else None,
        params=params,
        distributions=of,
        user_attrs={
            "trial_id": record.trial_id,
            CONFIG: data.encode(config),
            **{name: value for name, value in flatten(last).items() if is_finite(value)},
        },
        intermediate_values=_curve(snapshot, record),
        constraints={name: excess for name, excess in excesses.items() if excess is not None} or None,
    )


def _state(record: TrialRecord, has_values: bool, cut_short: bool) -> Any:
    from optuna.trial import TrialState as Theirs

    match TrialState(record.state):
        case TrialState.PENDING if not record.attempts:
            return Theirs.WAITING
        case TrialState.TERMINATED if has_values:
            return Theirs.PRUNED if cut_short else Theirs.COMPLETE
        case TrialState.TERMINATED | TrialState.ERROR:
            return Theirs.FAIL
    return Theirs.RUNNING


def _curve(snapshot: Snapshot, record: TrialRecord) -> dict[int, float]:
    """A value for each iteration: Optuna knows that of a single metric only."""
    if len(snapshot.objectives.modes) != 1:
        return {}
    metric = next(iter(snapshot.objectives.modes))
    values = {row["training_iteration"]: ranking.metric_of(row, metric) for row in snapshot.histories[record.trial_id]}
    return {iteration: value for iteration, value in values.items() if value is not None}


def _date(trial: FrozenTrial, span: tuple[float, float] | None) -> None:
    """Give a trial the times of its life instead of those of the export."""
    if span is not None and trial.datetime_start is not None:
        trial.datetime_start = _local(span[0])
        if trial.datetime_complete is not None:
            trial.datetime_complete = _local(span[1])


def _local(wall: float) -> datetime:
    return datetime.fromtimestamp(wall, tz=UTC).astimezone().replace(tzinfo=None)


def _space(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The search space from an experiment's recipe; nothing that belongs to users is imported for it."""
    recipe = facts.get("recipe", {})
    own = recipe.get("tune", {}).get("search_alg")
    spaces = [recipe.get("space", {}), own.get("kwargs", {}).get("space", {}) if isinstance(own, dict) else {}]
    decoded = [data.decode(_ours(one), code=True) for one in spaces]
    return {key: node for space in decoded if isinstance(space, dict) for key, node in space.items()}


def _ours(value: Any) -> Any:
    match value:
        case {"$function": path} | {"$class": path} | {"$object": path} if not str(path).startswith("searchers."):
            return {"$lost": path}
        case dict():
            return {key: _ours(one) for key, one in value.items()}
        case list():
            return [_ours(one) for one in value]
    return value


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let Optuna neither announce the study nor warn that the names of metrics are experimental."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
