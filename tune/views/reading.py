"""Reads an experiment's journal for the views: plain SQL, short connections, no code ever run."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tune.machine.events import Failure, SwitchedOff
from tune.machine.totals import Totals
from tune.machine.trial import Trial
from tune.storage import data, journal

_TRIALS = """
SELECT s.trial, s.data, l.state, l.kind, s.position,
       (SELECT count(*) FROM events AS a WHERE a.kind = 'launched' AND a.trial = s.trial) AS attempts
FROM events AS s JOIN events AS l ON l.position = (SELECT max(position) FROM events WHERE trial = s.trial)
WHERE s.kind = 'suggested' ORDER BY s.position
"""
_LAST = """
SELECT s.trial, json_extract(e.data, '$.metrics')
FROM events AS s JOIN events AS e ON e.position = (
    SELECT r.position FROM events AS r
    WHERE r.trial = s.trial AND r.kind IN ('reported', 'ended') AND r.iteration IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM events AS l
        WHERE l.kind = 'launched' AND l.trial = r.trial AND l.position > r.position
              AND coalesce(l.iteration, 0) < r.iteration)
    AND NOT EXISTS (
        SELECT 1 FROM events AS f
        WHERE f.kind = 'refused' AND f.trial = r.trial AND f.position > r.position
              AND coalesce(f.iteration, 0) < r.iteration)
    ORDER BY r.position DESC LIMIT 1)
WHERE s.kind = 'suggested'
"""
_SUGGESTION = "SELECT data FROM events WHERE kind = 'suggested' AND trial = ?"
_LAST_COPY = """
SELECT iteration, data FROM events
WHERE kind = 'exploited' AND trial = ? AND position < ? ORDER BY position DESC LIMIT 1
"""
_SAVED = """
SELECT trial, position FROM events
WHERE kind IN ('reported', 'saved') AND json_extract(data, '$.checkpoint.path') = ? ORDER BY position DESC LIMIT 1
"""
_RESULTS = "SELECT trial, iteration, attempt, timestamp, time_this_iter_s, metrics, pid, hostname FROM results"
# In a reported metric's name: what accumulates over a trial's results.
_ADDS_UP = '_this_iter"'


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial as the journal had it: `parameters` were given while it ran, beyond the configuration it began with.

    Of a trial that became a copy of another, `suggestion` is what holds the configuration that it went on with.
    """

    number: int
    trial_id: str
    state: str
    attempts: int
    suggestion: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """The configuration; values that text could not keep are `Lost`."""
        found: dict[str, Any] = data.loads(self.suggestion).get("config", {})
        return {**found, **self.parameters}


class LineageStep(NamedTuple):
    """From `iteration` on, what led to a trial's last result was trained with `config`, under `trial_id`."""

    iteration: int
    config: dict[str, Any]
    trial_id: str


class SavedCheckpoint(NamedTuple):
    """A checkpoint that was committed: where, and of which iteration."""

    path: str
    iteration: int


def last_position(connection: sqlite3.Connection) -> tuple[int, bool]:
    """Where the journal ends, and whether with the end of the run."""
    row = connection.execute("SELECT position, kind FROM events ORDER BY position DESC LIMIT 1").fetchone()
    return (row[0], row[1] == "finished") if row else (0, False)


@contextlib.contextmanager
def reading(directory: Path) -> Iterator[sqlite3.Connection]:
    """A connection on which every question sees the same moment; raises as `journal.reading` does."""
    with journal.reading(directory) as connection:
        connection.execute("BEGIN")
        yield connection


def read_trials(connection: sqlite3.Connection) -> list[TrialRecord]:
    """All trials, in the order they were suggested."""
    given: dict[str, dict[str, Any]] = {}
    for trial_id, text in connection.execute(
        "SELECT trial, data FROM events WHERE kind = 'parameter' ORDER BY position"
    ):
        content = data.loads(text)
        given.setdefault(trial_id, {})[content["name"]] = content.get("value")
    copies = dict(connection.execute("SELECT trial, data FROM events WHERE kind = 'exploited' ORDER BY position"))
    return [
        TrialRecord(number, trial_id, state, attempts, copies[trial_id])
        if trial_id in copies
        else TrialRecord(number, trial_id, state, attempts, text, given.get(trial_id, {}))
        for number, (trial_id, text, state, _, _, attempts) in enumerate(connection.execute(_TRIALS))
    ]


def read_last_metrics(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """What each trial reported last, by trial id; automatic metrics are not in it."""
    return {trial_id: data.loads(text) for trial_id, text in connection.execute(_LAST)}


def read_histories(
    connection: sqlite3.Connection, trial_ids: Iterable[str] | None = None, *, last_only: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """Every result that counts, with the automatic metrics, by trial id; of all trials or of those given.

    With `last_only` each trial's last result alone: the others are not even decoded.
    """
    if trial_ids is None:
        rows: Iterable[Any] = connection.execute(f"{_RESULTS} ORDER BY trial, iteration")
    else:
        query = f"{_RESULTS} WHERE trial = ? ORDER BY iteration"
        rows = (row for trial_id in trial_ids for row in connection.execute(query, (trial_id,)))
    copies = _totals_of_copies(connection)
    return {
        trial_id: _history(trial_id, own, last_only, copies.get(trial_id, ()))
        for trial_id, own in groupby(rows, key=lambda row: row[0])
    }


def read_values(connection: sqlite3.Connection, metric: str) -> dict[str, list[float]]:
    """Every value of one metric that counts, oldest first, by trial id: what is no number is left out."""
    paths = {f'$."{metric}"', "$" + "".join(f'."{key}"' for key in metric.split("/"))}
    value = ", ".join(["coalesce(NULL", *("json_extract(metrics, ?)" for _ in paths)]) + ")"
    query = f"SELECT trial, {value} FROM results ORDER BY trial, iteration"
    values: dict[str, list[float]] = {}
    for trial_id, found in connection.execute(query, sorted(paths)):
        number = data.loads(found) if isinstance(found, str) and found.startswith('{"$float"') else found
        if isinstance(number, int | float):
            values.setdefault(trial_id, []).append(number)
    return values


def _history(
    trial_id: str, rows: Iterable[Any], last_only: bool, copies: Iterable[Totals] = ()
) -> list[dict[str, Any]]:
    """One trial's results, their automatic metrics added as the machine adds them while it runs.

    `copies` are where it counted on from each time that it became a copy of another.
    """
    trial = Trial(0, trial_id, {})
    listed = list(rows)
    begun = {totals.iteration + 1: totals for totals in copies}
    history = []
    for at, (_, iteration, attempt, wall, seconds, text, pid, hostname) in enumerate(listed, 1):
        wanted = not last_only or at == len(listed)
        metrics = data.loads(text) if wanted or _ADDS_UP in text else {}
        if attempt != trial.attempt:
            trial.totals = begun.get(iteration, trial.totals)
            trial.attempt, trial.restored = attempt, trial.totals
            trial.pid, trial.hostname = pid, hostname
        if wanted:
            history.append(trial.result(metrics, seconds or 0.0, wall))
        trial.totals = trial.totals.add(metrics, seconds or 0.0)
    return history


def _totals_of_copies(connection: sqlite3.Connection) -> dict[str, list[Totals]]:
    """Where trials that became copies counted on from, by trial id."""
    found: dict[str, list[Totals]] = {}
    rows = connection.execute("SELECT trial, iteration, data FROM events WHERE kind = 'exploited' ORDER BY position")
    for trial_id, iteration, text in rows:
        content = data.loads(text)
        totals = Totals(iteration, content.get("seconds", 0.0), content.get("timesteps"), content.get("episodes"))
        found.setdefault(trial_id, []).append(totals)
    return found


def read_effort(connection: sqlite3.Connection) -> tuple[int, float]:
    """How many results count, and the seconds of work that they took."""
    count, seconds = connection.execute("SELECT count(*), total(time_this_iter_s) FROM results").fetchone()
    return count, seconds


def read_failures(connection: sqlite3.Connection) -> dict[str, Failure]:
    """Why each trial's last failed attempt ended, by trial id; those that we ended ourselves do not count."""
    rows = connection.execute("SELECT trial, data FROM events WHERE kind = 'failed' ORDER BY position")
    failures = ((trial_id, Failure(**data.loads(text)["failure"])) for trial_id, text in rows)
    return {trial_id: failure for trial_id, failure in failures if failure.kind != "killed"}


def read_switched_off(connection: sqlite3.Connection) -> list[SwitchedOff]:
    """What the last run asks or told nothing more because it raised too often, in the order in which that happened."""
    query = """
    SELECT kind, data FROM events WHERE kind IN ('switched_off', 'search_ended')
    AND position > (SELECT coalesce(max(position), 0) FROM events WHERE kind = 'opened') ORDER BY position
    """
    rows = ((kind, data.loads(text)) for kind, text in connection.execute(query))
    return [
        SwitchedOff(**content) if kind == "switched_off" else failed_search(content["error"])
        for kind, content in rows
        if kind == "switched_off" or content.get("error")
    ]


def failed_search(traceback: str) -> SwitchedOff:
    """What a search that ended by an error is called among what was switched off."""
    return SwitchedOff("searcher", "", traceback.strip().rpartition("\n")[2])


def read_cut_short(connection: sqlite3.Connection) -> set[str]:
    """The trials that left before their course was run: a scheduler, the end of the run or they themselves said so."""
    stops = "SELECT trial, data FROM events WHERE kind = 'reported' AND json_extract(data, '$.decision') = 'stop'"
    complete = {trial_id for trial_id, text in connection.execute(stops) if data.loads(text).get("complete")}
    ended = (
        "SELECT trial FROM events WHERE kind = 'ended' AND json_extract(data, '$.by_order') AND state = 'TERMINATED'"
    )
    return {trial_id for (trial_id,) in connection.execute(ended)} - complete


def read_spans(connection: sqlite3.Connection) -> dict[str, tuple[float, float]]:
    """When each trial that ever ran was started, and when something last happened to it: seconds since 1970."""
    query = (
        "SELECT trial, min(wall) FILTER (WHERE kind = 'launched') AS start, max(wall) FROM events"
        " WHERE trial IS NOT NULL GROUP BY trial HAVING start IS NOT NULL"
    )
    return {trial_id: (start, last) for trial_id, start, last in connection.execute(query)}


def read_reason(connection: sqlite3.Connection, trial_id: str) -> str:
    """Why the trial was stopped or paused: the scheduler's or stopper's words, else why the run closed."""
    query = "SELECT position, kind, state, data FROM events WHERE trial = ? ORDER BY position DESC"
    events = connection.execute(query, (trial_id,))
    position, kind, state, text = events.fetchone()
    if kind == "decided" and state in ("PAUSED", "TERMINATED"):
        return str(data.loads(text).get("reason", ""))
    told = kind == "dismissed" or (kind == "ended" and data.loads(text).get("by_order", False))
    on_its_way_out = kind in ("failed", "interrupted") and state == "TERMINATED"
    if not told and not on_its_way_out and state != "PAUSED":
        return ""
    for _, earlier, _, text in events:
        if earlier == "launched":
            break
        if earlier in ("reported", "decided") and data.loads(text).get("decision") in ("stop", "pause"):
            return str(data.loads(text).get("reason", ""))
    return _closing_reason(connection, position)


def _closing_reason(connection: sqlite3.Connection, position: int) -> str:
    query = "SELECT data FROM events WHERE kind = 'closing' AND position < ? ORDER BY position DESC LIMIT 1"
    row = connection.execute(query, (position,)).fetchone()
    return str(data.loads(row[0]).get("reason", "")) if row else ""


def read_checkpoints(connection: sqlite3.Connection, trial_id: str) -> list[SavedCheckpoint]:
    """The trial's checkpoints in the order they were saved, without those that were found damaged."""
    refused = "SELECT json_extract(data, '$.checkpoint.path') FROM events WHERE trial = ? AND kind = 'refused'"
    damaged = {path for (path,) in connection.execute(refused, (trial_id,))}
    query = """
    SELECT json_extract(data, '$.checkpoint.path') AS path, iteration FROM events
    WHERE trial = ? AND kind IN ('reported', 'saved', 'exploited') AND path IS NOT NULL ORDER BY position
    """
    return [SavedCheckpoint(*row) for row in connection.execute(query, (trial_id,)) if row[0] not in damaged]


def read_lineage(connection: sqlite3.Connection, trial_id: str) -> list[LineageStep]:
    """The configurations that a trial's state was trained with, through all that it is a copy of, oldest first."""
    steps: list[LineageStep] = []
    position: float = math.inf
    while True:
        copied = connection.execute(_LAST_COPY, (trial_id, position)).fetchone()
        if copied is None:
            (text,) = connection.execute(_SUGGESTION, (trial_id,)).fetchone()
            steps.append(LineageStep(0, data.loads(text).get("config", {}), trial_id))
            return steps[::-1]
        iteration, text = copied
        content = data.loads(text)
        steps.append(LineageStep(iteration, content["config"], trial_id))
        trial_id, position = connection.execute(_SAVED, (content["checkpoint"]["path"],)).fetchone()


def date_text(wall: float) -> str:
    """Wall time as Ray's ``date`` metric has it, in local time."""
    return datetime.fromtimestamp(wall, tz=UTC).astimezone().strftime("%Y-%m-%d_%H-%M-%S")


def was_interrupted(path: Path) -> bool:
    """Whether the experiment's last run was cut short, with trials or suggestions left to go on with."""
    return bool(last_closing(path).get("keep"))


def last_closing(path: Path) -> Mapping[str, Any]:
    """How the experiment's last run was closed before its end; empty when it was not."""
    query = "SELECT kind, data FROM events WHERE kind IN ('opened', 'closing') ORDER BY position DESC LIMIT 1"
    with reading(path) as connection:
        row = connection.execute(query).fetchone()
    return data.loads(row[1]) if row is not None and row[0] == "closing" else {}
