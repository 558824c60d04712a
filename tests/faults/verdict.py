"""What has to hold of an experiment's journal, whatever its cluster went through."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tune
from tune.errors import CheckpointCorruptError
from tune.storage import manifest

MOST_GIVEN_UP = 2
"""Of one experiment: with so few faults hardly one trial meets three in a row."""

Row = tuple[int, str, str, int, int, str]
"""Position, kind, trial, attempt, iteration, data."""


@dataclass(frozen=True, slots=True)
class Note:
    """A report that was acknowledged to the process `by`."""

    trial: str
    attempt: int
    iteration: int
    by: str

    @classmethod
    def parse(cls, line: str) -> Note:
        trial, attempt, iteration, by = line.split()
        return cls(trial, int(attempt), int(iteration), by)


def broken_promises(directory: Path, trials: int, notes: list[Note]) -> Iterator[str]:
    """A sentence for each promise that was broken, of an experiment that has ended."""
    results = tune.ResultGrid(directory)
    if len(results) != trials:
        yield f"there are {len(results)} trials, not {trials}"
    if len(given_up := [result.trial_id for result in results if is_given_up(result)]) > MOST_GIVEN_UP:
        yield f"too many trials were given up: {', '.join(given_up)}"
    for result in results:
        yield from _of_a_trial(result)
    rows = _rows(directory)
    yield from _of_attempts(rows)
    yield from _of_reports(rows, notes)


def is_given_up(result: tune.Result) -> bool:
    """Whether a trial lost three processes before it came to report anything, which ends it as it should (F8)."""
    return result.state == "ERROR" and "died 3 times with nothing new" in str(result.error)


def _of_a_trial(result: tune.Result) -> Iterator[str]:
    if result.state != "TERMINATED" and not is_given_up(result):
        yield f"{result.trial_id} is {result.state}: {result.error}"
    seen = list(result.metrics_dataframe["training_iteration"]) if result.metrics else []
    if seen != sorted(set(seen)):
        yield f"{result.trial_id} counts a result twice, or out of order: {seen}"
    if result.checkpoint is not None:
        try:
            manifest.verify(Path(result.checkpoint.path))
        except CheckpointCorruptError as error:
            yield f"the journal names a checkpoint that is not whole: {error}"


def _of_attempts(rows: list[Row]) -> Iterator[str]:
    """Attempts follow each other, and nothing is taken of one that was replaced."""
    current: Counter[str] = Counter()
    for position, kind, trial, attempt, _, _ in rows:
        if kind == "launched":
            current[trial] += 1
        if attempt is not None and attempt != current[trial]:
            yield f"row {position}: {kind} of attempt {attempt} of {trial}, when it is in attempt {current[trial]}"


def _of_reports(rows: list[Row], notes: list[Note]) -> Iterator[str]:
    """Nothing is there twice, each attempt was one process, and what was acknowledged is there."""
    reported = [
        Note(trial, attempt, iteration, json.loads(data)["metrics"]["by"])
        for _, kind, trial, attempt, iteration, data in rows
        if kind == "reported"
    ]
    yield from (f"it is there {times} times: {note}" for note, times in Counter(reported).items() if times > 1)
    processes = Counter(
        (trial, attempt) for trial, attempt, _ in {(one.trial, one.attempt, one.by) for one in reported}
    )
    yield from (f"attempt {two} of {one} was {times} processes" for (one, two), times in processes.items() if times > 1)
    yield from (f"acknowledged and lost: {note}" for note in set(notes) - set(reported))


def late_checkpoints(directory: Path) -> int:
    """How many checkpoints lie there that no row names: written by attempts whose word did not count any more."""
    named = {json.loads(row[-1]).get("checkpoint", {}).get("path") for row in _rows(directory)}
    there = (directory / "checkpoints").glob("*/[0-9]*")
    return sum(str(path.relative_to(directory)) not in named for path in there)


def attempts(directory: Path) -> int:
    """How many attempts there were."""
    return sum(kind == "launched" for _, kind, *_ in _rows(directory))


def _rows(directory: Path) -> list[Row]:
    with sqlite3.connect(f"file:{directory / 'experiment.db'}?mode=ro", uri=True) as journal:
        return journal.execute(
            "SELECT position, kind, trial, attempt, iteration, data FROM events ORDER BY position"
        ).fetchall()
