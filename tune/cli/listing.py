"""``audition ls``: the experiments in a directory, the newest first."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from tune.cli.detached import detached
from tune.cli.experiments import Overview, names_in, overview, storage
from tune.cli.terminal import print_json, print_table
from tune.errors import NotAnExperimentError
from tune.views.wording import duration_text


def list_experiments(given: Path | None, *, as_json: bool) -> None:
    """Print the experiments in the storage directory.

    Raises:
        NotAnExperimentError: there is no such directory, although it was named.
    """
    path = storage(given)
    if given is not None and not path.is_dir():
        raise NotAnExperimentError(f"there is no directory {path}")
    found = sorted((overview(path / name) for name in names_in(path)), key=lambda one: (-one.created, one.name))
    if as_json:
        print_json([as_data(one) for one in found])
        return
    if not found:
        typer.echo(f"no experiments in {path}")
    else:
        now = time.time()
        columns = ("name", "state", "trials", "failed", "metric", "best", "trial", "age", *_marks(found))
        print_table(columns, [_row(one, now, _marks(found)) for one in found])
    if given is None:
        _print_detached({one.path for one in found})


def _print_detached(shown: Collection[Path]) -> None:
    """Name those beside the heads of clusters that are not among the ones shown."""
    for cluster, left in groupby(detached(), key=lambda one: one.cluster):
        names = ", ".join(f"{one.name} ({one.state})" for one in left if Path(one.place) not in shown)
        if names:
            typer.echo(f"beside the head of cluster {cluster!r}, for `audition show NAME`: {names}")


def as_data(one: Overview) -> dict[str, Any]:
    """An experiment's facts as JSON has them."""
    best = one.best
    return {
        "name": one.name,
        "path": str(one.path),
        "state": one.state,
        "pid": one.holder.get("pid"),
        "host": one.holder.get("host"),
        "created": one.created,
        "trials": one.states,
        "ended": one.ended,
        "total": one.total,
        "metric": one.metric,
        "mode": one.mode,
        "best": best and {"trial_id": best.trial_id, "value": one.best_value, "config": best.config},
        "switched_off": [asdict(off) for off in one.switched_off],
        "picked": dict(one.picked),
        "metrics": dict(one.objectives.modes),
        "outcome_constraints": [str(constraint) for constraint in one.objectives.constraints],
        "front": list(one.front),
        "broken_constraints": best.broken_constraints if best else [],
        "note": one.note,
    }


def state_text(one: Overview) -> str:
    """Where an experiment stands, and who runs it."""
    if one.state == "running":
        return f"running (pid {one.holder.get('pid', '?')} on {one.holder.get('host', '?')})"
    return one.state


def progress_text(one: Overview) -> str:
    """How many trials ended, of how many."""
    return f"{one.ended}/{'?' if one.total is None else one.total}"


def _marks(found: Sequence[Overview]) -> list[str]:
    """Columns that only some experiments fill: how many are on the front, and what even the best trial breaks."""
    has_front = any(len(one.objectives.modes) > 1 for one in found)
    has_broken = any(one.best is not None and one.best.broken_constraints for one in found)
    return [*(["front"] if has_front else []), *(["breaks"] if has_broken else [])]


def _row(one: Overview, now: float, marks: Sequence[str]) -> tuple[Any, ...]:
    if one.state == "unreadable":
        return (one.name, one.state, None, None, None, None, None, one.note, *(None for _ in marks))
    failed = one.states.get("ERROR", 0)
    best = one.best.trial_id if one.best else None
    age = duration_text(max(0.0, now - one.created)) if one.created else None
    broken = ", ".join(one.best.broken_constraints) if one.best else ""
    marked = {"front": len(one.front) or None, "breaks": broken or None}
    told = (one.name, state_text(one), progress_text(one), failed or None, one.metric, one.best_value, best, age)
    return (*told, *(marked[mark] for mark in marks))
