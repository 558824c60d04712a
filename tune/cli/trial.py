"""``audition show EXPERIMENT --trial t7``: one trial in full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from tune.cli.colour import is_terminal
from tune.cli.detached import find_to_show
from tune.cli.terminal import print_facts, print_heading, print_json, print_table
from tune.errors import InvalidArgumentError, nearest
from tune.machine.trial import AUTOMATIC
from tune.storage.data import encode
from tune.storage.home import address_of
from tune.views.result import Result
from tune.views.snapshot import Snapshot
from tune.views.wording import duration_text, flatten, lines_of

_LAST_LINES = 20
_LEFT_OUT = AUTOMATIC - {"training_iteration"}


def show_trial(experiment: str, storage_path: Path | None, trial_id: str, *, limit: int | None, as_json: bool) -> None:
    """Print one trial: configuration, results, why it ended, what it printed last, checkpoints.

    Raises:
        NotAnExperimentError: there is no such experiment.
        InvalidArgumentError: it has no such trial.
    """
    path = find_to_show(experiment, storage_path)
    snapshot = Snapshot(path)
    if trial_id not in snapshot.by_id:
        raise InvalidArgumentError([f"{path.name} has no trial {trial_id!r}{nearest(trial_id, snapshot.by_id)}"])
    result, history = Result(snapshot, snapshot.by_id[trial_id]), snapshot.history(trial_id)
    if as_json:
        print_json(_as_data(result, history))
        return
    _print_facts(result)
    print_heading("configuration")
    print_facts((f"  {name}", _exact(value)) for name, value in flatten(result.config).items())
    _print_history(history, limit)
    _print_log(result)
    _print_checkpoints(path, result)


def _print_facts(result: Result) -> None:
    last = result.metrics
    print_facts(
        [
            ("trial", result.trial_id),
            ("state", result.state),
            ("attempts", str(result.attempts)),
            ("iteration", str(last.get("training_iteration", ""))),
            ("time", duration_text(last["time_total_s"]) if "time_total_s" in last else ""),
            ("breaks", ", ".join(result.broken_constraints) if last else ""),
            ("why", result.reason if result.error is None else ""),
        ]
    )
    if result.error is not None:
        print_heading("it failed", "red")
        for line in lines_of(str(result.error)):
            typer.echo(f"  {line}".rstrip())


def _print_history(history: list[dict[str, Any]], limit: int | None) -> None:
    if not history:
        print_heading("it has reported nothing")
        return
    rows = limit if limit is not None else _LAST_LINES if is_terminal() else 0
    shown = history[-rows:] if rows else history
    flat = [flatten({key: value for key, value in one.items() if key not in _LEFT_OUT}) for one in shown]
    names = list(dict.fromkeys(name for one in flat for name in one if name != "training_iteration"))
    all_shown = len(shown) == len(history)
    print_heading(f"results ({len(history)})" if all_shown else f"the last {len(shown)} of {len(history)} results")
    columns = ("iteration", "time", *names)
    lines = [
        [one.get("training_iteration"), duration_text(whole["time_total_s"]), *map(one.get, names)]
        for one, whole in zip(flat, shown, strict=True)
    ]
    print_table(columns, lines)


def _print_log(result: Result) -> None:
    lines = lines_of(result.log)
    told = str(result.error or "")
    if all(line in told for line in lines[-_LAST_LINES:]):  # also when it printed nothing
        return
    cut = f" (the last {_LAST_LINES} of {len(lines)} lines)" if len(lines) > _LAST_LINES else ""
    print_heading(f"what it printed{cut}")
    for line in lines[-_LAST_LINES:]:
        typer.echo(f"  {line}".rstrip())


def _print_checkpoints(path: Path, result: Result) -> None:
    kept = result.best_checkpoints
    if not kept:
        return
    print_heading("checkpoints")
    for checkpoint, metrics in kept:
        iteration = metrics.get("training_iteration", "?")
        typer.echo(f"  iteration {iteration}  {checkpoint.path.removeprefix(f'{address_of(path)}/')}")


def _exact(value: Any) -> str:
    """A parameter as it can be copied from here."""
    return json.dumps(encode(value), ensure_ascii=False)


def _as_data(result: Result, history: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "trial_id": result.trial_id,
        "state": result.state,
        "attempts": result.attempts,
        "config": result.config,
        "reason": result.reason,
        "error": str(result.error) if result.error else None,
        "results": history,
        "checkpoints": [
            {"iteration": metrics.get("training_iteration"), "path": str(checkpoint.path)}
            for checkpoint, metrics in result.best_checkpoints
        ],
        "log": result.log,
    }
