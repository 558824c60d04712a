"""``audition show``: an experiment's facts, its trials as a table, and what went wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from tune.cli.colour import is_terminal
from tune.cli.experiments import Overview, find, overview
from tune.cli.listing import as_data, progress_text, state_text
from tune.cli.terminal import print_facts, print_heading, print_json, print_table
from tune.errors import InvalidArgumentError, JournalCorruptError, nearest
from tune.machine.trial import AUTOMATIC, TrialState
from tune.storage import journal
from tune.views import ranking, reading
from tune.views.result import Result
from tune.views.results import ResultGrid
from tune.views.varying import Varying
from tune.views.wording import duration_text, flatten, lines_of, pairs_text, value_text

ROWS = 20
_METRICS = 4


@dataclass(frozen=True)
class Wanted:
    """What of the trials to show: sorted by what, how many rows, which columns."""

    sort: str | None = None
    reverse: bool = False
    limit: int | None = None
    columns: Sequence[str] = field(default_factory=list)

    def rows(self, total: int) -> int:
        """How many rows to show of `total`."""
        limit = self.limit if self.limit is not None else ROWS if is_terminal() else 0
        return min(limit or total, total)


def show_experiment(experiment: str, storage_path: Path | None, wanted: Wanted, *, as_json: bool) -> None:
    """Print the experiment.

    Raises:
        NotAnExperimentError: there is none.
        InvalidArgumentError: there is nothing to sort by or to show under a name.
        JournalCorruptError: it cannot be read.
    """
    path = find(experiment, storage_path)
    told = overview(path)
    if told.state == "unreadable":
        raise JournalCorruptError(f"{path} cannot be read: {told.note}")
    everyone = list(ResultGrid(path))
    trials = _sorted(everyone, told, wanted)
    if as_json:
        print_json({**as_data(told), "results": [_trial_data(one) for one in trials[: wanted.limit or None]]})
        return
    print_facts(_facts(told))
    _print_trials(trials, told, wanted)
    _print_failures([one for one in everyone if one.state == TrialState.ERROR])


def _facts(told: Overview) -> list[tuple[str, str]]:
    with reading.reading(told.path) as connection:
        facts = journal.facts(connection)
    recipe = facts.get("recipe", {})
    counts = ", ".join(f"{count} {state}" for state, count in sorted(told.states.items()))
    best = ""
    if told.best is not None:
        best = f"{told.best.trial_id}  {told.metric} {value_text(told.best_value)}  {pairs_text(told.best.config)}"
    return [
        ("experiment", str(told.path)),
        ("state", state_text(told)),
        ("trials", f"{progress_text(told)} ended" + (f" ({counts})" if counts else "")),
        ("metric", f"{told.metric} ({told.mode})" if told.metric else ""),
        ("best", best),
        ("searcher", _policy(recipe, "search_alg")),
        ("scheduler", _policy(recipe, "scheduler")),
        ("seed", str(facts.get("seed", ""))),
        ("started", f"{duration_text(max(0.0, time.time() - told.created))} ago" if told.created else ""),
        ("go on with", f"audition resume {told.path}" if told.state in ("interrupted", "unfinished") else ""),
    ]


def _policy(recipe: dict[str, Any], key: str) -> str:
    given = recipe.get("tune", {}).get(key)
    if isinstance(given, dict) and "$object" in given:
        arguments = ", ".join(f"{name}={value}" for name, value in given.get("kwargs", {}).items())
        return f"{given['$object'].rpartition(':')[2]}({arguments})"
    return given if isinstance(given, str) else ""


# The table.


def _print_trials(trials: Sequence[Result], told: Overview, wanted: Wanted) -> None:
    if not trials:
        typer.echo("\nno trials yet")
        return
    shown = trials[: wanted.rows(len(trials))]
    names = wanted.columns or ("training_iteration", "time", *_metrics(shown, told), *_parameters(trials))
    rows = [[one.trial_id, one.state, *map(_values(one).get, names)] for one in shown]
    heads = ["iteration" if name == "training_iteration" else name for name in names]
    typer.echo()
    print_table(("trial", "state", *heads), rows, hint=" (choose with --columns)")
    if left := len(trials) - len(shown):
        typer.echo(f"... and {left} more (--limit 0 shows all)")


def _metrics(shown: Sequence[Result], told: Overview) -> list[str]:
    """The run's own metric and the first few others."""
    reported: dict[str, None] = dict.fromkeys([told.metric] if told.metric else [])
    for one in shown:
        values = flatten({key: value for key, value in one.metrics.items() if key not in _NOT_METRICS})
        reported |= dict.fromkeys(name for name, value in values.items() if isinstance(value, int | float))
    return list(reported)[:_METRICS]


def _parameters(trials: Sequence[Result]) -> tuple[str, ...]:
    varying = Varying()
    for one in trials[:1000]:
        varying.add(one.config)
    return varying.names


_NOT_METRICS = frozenset((*AUTOMATIC, "config", "date", "done", "time"))


def _values(result: Result) -> dict[str, Any]:
    """All that a trial can be sorted by: parameters, also as ``config/NAME``, metrics, and ``time`` for people."""
    config = flatten(result.config)
    metrics = flatten({key: value for key, value in result.metrics.items() if key != "config"})
    if "time_total_s" in metrics:
        metrics.setdefault("time", duration_text(metrics["time_total_s"]))
    return {**{f"config/{name}": value for name, value in config.items()}, **config, **metrics}


def _sorted(trials: list[Result], told: Overview, wanted: Wanted) -> list[Result]:
    """The best first by the run's metric; by anything else from small to large."""
    known = dict.fromkeys(name for one in trials[:1000] for name in _values(one))
    for name in (*wanted.columns, *([wanted.sort] if wanted.sort else [])):
        if trials and name not in known and name != told.metric:
            listed = ", ".join(one for one in known if one not in _NOT_METRICS and not one.startswith("config/"))
            raise InvalidArgumentError([f"no trial has {name!r}{nearest(name, known) or f'; there are {listed}'}"])
    by = wanted.sort or told.metric
    if by is None:
        return trials[::-1] if wanted.reverse else trials
    if by == told.metric and told.mode:
        mode = told.mode
        keys = {one.trial_id: -ranking.ascending(ranking.metric_of(one.metrics, by), mode) for one in trials}
        return sorted(trials, key=lambda one: keys[one.trial_id], reverse=wanted.reverse)
    values = {one.trial_id: _values(one).get(by) for one in trials}
    have = [one for one in trials if values[one.trial_id] is not None]
    have.sort(key=lambda one: _orderly(values[one.trial_id]), reverse=wanted.reverse)
    return [*have, *(one for one in trials if values[one.trial_id] is None)]


def _orderly(value: Any) -> tuple[bool, float, str]:
    """Numbers before texts, each in their own order."""
    is_number = isinstance(value, int | float)
    return not is_number, float(value) if is_number else 0.0, "" if is_number else str(value)


def _trial_data(result: Result) -> dict[str, Any]:
    metrics = {key: value for key, value in result.metrics.items() if key != "config"}
    return {
        "trial_id": result.trial_id,
        "state": result.state,
        "attempts": result.attempts,
        "config": result.config,
        "metrics": metrics,
        "reason": result.reason,
    }


# What went wrong.


def _print_failures(failed: Sequence[Result]) -> None:
    """What each trial failed with, and the whole of the first."""
    if not failed:
        return
    print_heading(f"{len(failed)} failed", "red")
    for one in failed[:ROWS]:
        typer.echo(f"  {one.trial_id}  {' '.join(lines_of(one.reason)[:1])}")
    if len(failed) > ROWS:
        typer.echo(f"  ... and {len(failed) - ROWS} more")
    print_heading(f"{failed[0].trial_id}, the first of them" if len(failed) > 1 else failed[0].trial_id, "red")
    for line in lines_of(str(failed[0].error)):
        typer.echo(f"  {line}".rstrip())
