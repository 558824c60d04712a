"""``audition show``: an experiment's facts, its trials as a table, and what went wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from tune.cli.colour import is_terminal
from tune.cli.detached import find_to_show
from tune.cli.experiments import Overview, overview
from tune.cli.listing import as_data, progress_text, state_text
from tune.cli.terminal import print_facts, print_heading, print_json, print_table
from tune.cli.trials import Trials
from tune.errors import JournalCorruptError
from tune.machine.trial import TrialState
from tune.storage import journal
from tune.views import reading
from tune.views.reading import TrialRecord
from tune.views.result import Result
from tune.views.snapshot import Snapshot
from tune.views.wording import duration_text, lines_of, pairs_text, switched_off_text, value_text

ROWS = 20
_MOST_OF_FRONT = 10


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
    path = find_to_show(experiment, storage_path)
    told = overview(path)
    if told.state == "unreadable":
        raise JournalCorruptError(told.note if str(path) in told.note else f"{path} cannot be read: {told.note}")
    snapshot = Snapshot(path)
    trials = Trials(snapshot, told.metric, told.mode)
    trials.check([*wanted.columns, *([wanted.sort] if wanted.sort else [])])
    ordered = trials.ordered(wanted.sort, reverse=wanted.reverse)
    if as_json:
        results = [Result(snapshot, one) for one in ordered[: wanted.limit or None]]
        marked = [_trial_data(one) | _mark_data(one, snapshot) for one in results]
        print_json({**as_data(told), "results": marked})
        return
    print_facts(_facts(told))
    _print_trials(trials, ordered, wanted)
    _print_failures([Result(snapshot, one) for one in snapshot.trials if one.state == TrialState.ERROR])


def _facts(told: Overview) -> list[tuple[str, str]]:
    with reading.reading(told.path) as connection:
        facts = journal.facts(connection)
    recipe = facts.get("recipe", {})
    counts = ", ".join(f"{count} {state}" for state, count in sorted(told.states.items()))
    best = ""
    if told.best is not None:
        where = f"at iteration {told.best.best_metrics['training_iteration']}"
        value = f"{told.metric} {value_text(told.best_value)} {where}"
        best = f"{told.best.trial_id}  {value}  {pairs_text(told.best.config)}"
        if broken := told.best.broken_constraints:
            best += f"  (no trial keeps the constraints; this one breaks {', '.join(broken)})"
    return [
        ("experiment", str(told.path)),
        ("state", state_text(told)),
        ("trials", f"{progress_text(told)} ended" + (f" ({counts})" if counts else "")),
        ("metric", ", ".join(f"{name} ({mode})" for name, mode in told.objectives.modes.items())),
        ("constraints", ", ".join(map(str, told.objectives.constraints))),
        ("best", best),
        ("front", _front(told.front)),
        ("searcher", _policy(recipe, "search_alg", told.picked.get("search"))),
        ("scheduler", _policy(recipe, "scheduler", told.picked.get("scheduler"))),
        *(("without", switched_off_text(off)) for off in told.switched_off),
        ("seed", str(facts.get("seed", ""))),
        ("started", f"{duration_text(max(0.0, time.time() - told.created))} ago" if told.created else ""),
        ("go on with", f"audition resume {told.path}" if told.state in ("interrupted", "unfinished") else ""),
    ]


def _front(front: Sequence[str]) -> str:
    """Who is on the Pareto front: the first few, and how many there are."""
    more = f" and {len(front) - _MOST_OF_FRONT} more" if len(front) > _MOST_OF_FRONT else ""
    return ", ".join(front[:_MOST_OF_FRONT]) + more


def _policy(recipe: dict[str, Any], key: str, picked: str | None) -> str:
    """What the user gave, and what was picked for him where that leaves something to pick."""
    given = recipe.get("tune", {}).get(key)
    if isinstance(given, dict) and "$object" in given:
        arguments = ", ".join(f"{name}={value}" for name, value in given.get("kwargs", {}).items())
        given = f"{given['$object'].rpartition(':')[2]}({arguments})"
    return ": ".join(part for part in (given, picked) if isinstance(part, str))


def _print_trials(trials: Trials, ordered: Sequence[TrialRecord], wanted: Wanted) -> None:
    if not ordered:
        typer.echo("\nno trials yet")
        return
    shown = ordered[: wanted.rows(len(ordered))]
    names = wanted.columns or trials.columns(shown)
    rows = [[one.trial_id, one.state, *trials.cells(one, names)] for one in shown]
    heads = ["iteration" if name == "training_iteration" else name for name in names]
    typer.echo()
    print_table(("trial", "state", *heads), rows, hint=" (choose with --columns)")
    if left := len(ordered) - len(shown):
        typer.echo(f"... and {left} more (--limit 0 shows all)")


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


def _mark_data(result: Result, snapshot: Snapshot) -> dict[str, Any]:
    """Whether it is on the front and which constraints it breaks, where the run has such."""
    marked: dict[str, Any] = {}
    if len(snapshot.objectives.modes) > 1:
        marked["pareto_optimal"] = result.trial_id in snapshot.front
    if snapshot.objectives.constraints:
        marked["broken_constraints"] = result.broken_constraints
    return marked


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
