"""Experiments as the command line sees them: found by name or path, and told in a few facts."""

from __future__ import annotations

import math
import os
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from searchers.space import grid_axes
from tune.errors import JournalCorruptError, NotAnExperimentError, TuneError, nearest
from tune.job import STORAGE_VARIABLE
from tune.machine.events import SwitchedOff
from tune.machine.trial import TrialState
from tune.storage import data, directory, journal, published, remote
from tune.storage.home import Home
from tune.storage.journal import DATABASE
from tune.views import ranking, reading
from tune.views.objectives import Objectives
from tune.views.result import Result
from tune.views.results import ResultGrid

FINAL = (TrialState.TERMINATED, TrialState.ERROR)


@dataclass(frozen=True)
class Overview:
    """One experiment at a glance.

    `planned` is how many trials it was to have, None when there is no end to them; `front` names those on the Pareto
    front, where there are several metrics.
    """

    name: str
    path: Path
    state: str
    created: float = 0.0
    states: Mapping[str, int] = field(default_factory=dict)
    planned: int | None = None
    metric: str | None = None
    mode: str | None = None
    best: Result | None = None
    objectives: Objectives = field(default_factory=Objectives)
    front: Sequence[str] = ()
    holder: Mapping[str, Any] = field(default_factory=dict)
    switched_off: Sequence[SwitchedOff] = ()
    picked: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def ended(self) -> int:
        """How many trials will not run again."""
        return sum(count for state, count in self.states.items() if state in FINAL)

    @property
    def total(self) -> int | None:
        """How many trials there will be, as far as that is known."""
        known = sum(self.states.values())
        if self.state == "finished":
            return known
        return None if self.planned is None else max(known, self.planned)

    @property
    def best_value(self) -> float | None:
        """The best value that the best trial reached."""
        return ranking.metric_of(self.best.best_metrics, self.metric) if self.best and self.metric else None


def storage(given: Path | None) -> Path:
    """The directory that holds experiments: the one given, else where runs put them by default."""
    return Path(given or os.environ.get(STORAGE_VARIABLE) or "results").expanduser().absolute()


def names_in(path: Path) -> list[str]:
    """The experiments in a storage directory."""
    if not path.is_dir():
        return []
    return sorted(one.name for one in path.iterdir() if (one / DATABASE).is_file())


def find(experiment: str, given: Path | None) -> Path:
    """The directory of `experiment`, which is a path, a URL, or a name in the storage directory.

    Of a URL it is one of this machine to read from.

    Raises:
        NotAnExperimentError: there is none: names the nearest that there is.
    """
    if remote.is_url(experiment):
        return published.readable(experiment)
    path = Path(experiment).expanduser().absolute()
    if path.name == DATABASE:
        path = path.parent
    named = storage(given) / experiment
    for place in (path, named):
        if (place / DATABASE).is_file():
            return place
        if place.is_dir() and (live := Home.at(place).live) != place and (live / DATABASE).is_file():
            return live  # nothing of it could be published yet
    if path.is_dir():
        inside = names_in(path)
        hint = f"; it holds experiments: {', '.join(inside[:10])}" if inside else ""
        raise NotAnExperimentError(f"{path} is no experiment: it has no {DATABASE}{hint}")
    known = names_in(named.parent)
    hint = nearest(experiment, known) or (f": there are {', '.join(known[:10])}" if known else "; it holds none")
    raise NotAnExperimentError(f"there is no experiment {experiment!r} in {named.parent}{hint}")


def overview(path: Path) -> Overview:
    """The experiment in `path` at a glance; one that cannot be read says so in its state."""
    try:
        return _read(path)
    except (TuneError, OSError, ValueError, KeyError) as error:
        return Overview(path.name, path, "unreadable", note=str(error))


def _read(path: Path) -> Overview:
    grid = ResultGrid(path)
    with reading.reading(path) as connection:
        facts = journal.facts(connection)
        states = Counter(record.state for record in reading.read_trials(connection))
        last = connection.execute("SELECT kind FROM events ORDER BY position DESC LIMIT 1").fetchone()
    holder, objectives = directory.holder(path), Objectives.of(facts)
    unended = sum(count for state, count in states.items() if state not in FINAL)
    if holder is not None:
        state = "running"
    elif last is None or last[0] != "finished":
        state = "unfinished"
    else:
        state = "interrupted" if unended or reading.was_interrupted(path) else "finished"
    return Overview(
        name=str(facts.get("name", path.name)),
        path=path,
        state=state,
        created=float(facts.get("created", 0.0)),
        states=dict(states),
        planned=_planned(facts),
        metric=grid.metric,
        mode=grid.mode,
        best=_best(grid),
        objectives=objectives,
        front=[one.trial_id for one in grid.pareto_front()] if len(objectives.modes) > 1 else [],
        holder=holder or {},
        switched_off=grid.switched_off,
        picked=grid.picked,
    )


def interrupted_by(path: Path) -> int:
    """The number of the signal that ended the experiment's last run, 0 when none did."""
    closing = reading.last_closing(path)
    told = closing.get(
        "signal", "SIGINT" if closing.get("reason") == "interrupted" else ""
    )  # earlier versions told less
    return signal.Signals[told] if told else 0


def _best(grid: ResultGrid) -> Result | None:
    if grid.metric is None or grid.mode is None:
        return None
    try:
        return grid.best_trial
    except JournalCorruptError:
        raise
    except TuneError:
        return None


def _planned(facts: Mapping[str, Any]) -> int | None:
    """How many trials random and grid search would make of the recipe; None when constraints cut the grid."""
    recipe = facts.get("recipe", {})
    samples = recipe.get("tune", {}).get("num_samples", 1)
    if not isinstance(samples, int) or samples < 0:
        return None
    kept = recipe.get("space", {})
    is_constrained = "$object" in kept
    space = data.decode(kept["kwargs"]["space"] if is_constrained else kept)
    axes = grid_axes(space) if isinstance(space, dict) else {}
    return None if is_constrained and axes else samples * math.prod(map(len, axes.values()))
