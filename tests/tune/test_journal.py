"""The journal: what was written comes back or is missed, and anybody may read."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest

from schedulers.base import Stop
from searchers.space import uniform
from tune.errors import ExperimentBusyError, JournalCorruptError, JournalLostError, NotAnExperimentError
from tune.machine.events import (
    CheckpointRef,
    CheckpointRefused,
    Dismissed,
    Ended,
    Entry,
    Event,
    Failed,
    Failure,
    Finished,
    Interrupted,
    Launched,
    Opened,
    ParameterGiven,
    Reported,
    Saved,
    Suggested,
    Verdict,
)
from tune.storage import chain, journal, mark
from tune.storage.journal import SqliteJournal


def entry(event: Event, iteration: int | None = None, state: str | None = None, at: float = 0.0) -> Entry:
    verdict = Verdict(save=True) if isinstance(event, Reported) else None
    return Entry(at, 1e9 + at, event, verdict, iteration, state)


def reported(trial: str, attempt: int, iteration: int, loss: float, checkpoint: CheckpointRef | None = None) -> Entry:
    return entry(Reported(trial, attempt, iteration, {"loss": loss}, 0.5, checkpoint), iteration, "RUNNING")


LATE, EARLY = CheckpointRef("checkpoints/t0/000003-1", 3, 30), CheckpointRef("checkpoints/t0/000001-1", 1, 10)
STORY = [
    entry(Opened("here")),
    entry(Suggested("t0", {"lr": 0.1, "näme": "é"}), state="PENDING"),
    entry(Launched("t0", 1), state="RUNNING"),
    reported("t0", 1, 1, 0.9),
    entry(Saved("t0", 1, 2, EARLY), 1, "RUNNING"),
    reported("t0", 1, 2, 0.8),
    reported("t0", 1, 3, 0.7, LATE),
    reported("t0", 1, 4, 0.6),
    entry(Failed("t0", 1, Failure("raised", "ValueError: é")), state="PENDING"),
    entry(Launched("t0", 2, LATE), 3, "RUNNING"),
    entry(CheckpointRefused("t0", 2, 1, LATE, "torn"), 1, "RUNNING"),
    reported("t0", 2, 2, 0.55),
    entry(Interrupted("t0"), state="PENDING"),
    entry(Suggested("t1", {"lr": 0.2}), state="PENDING"),
    entry(Launched("t1", 1), state="RUNNING"),
    entry(Ended("t1", 1, False, {"loss": 0.3}, 2.0), 1, "TERMINATED"),
    entry(Launched("t0", 3, EARLY), 1, "RUNNING"),
    reported("t0", 3, 2, 0.5),
    entry(Reported("t0", 3, 2, {"loss": float("nan")}, 0.5), 3, "STOPPING"),
    entry(Ended("t0", 3, True), state="TERMINATED"),
    entry(Suggested("t2", {}), state="PENDING"),
    entry(Dismissed("t2"), state="TERMINATED"),
    entry(Finished()),
]


def write(directory: Path, entries: list[Entry] = STORY, group: int = 3) -> None:
    journal.create(directory, {"name": "story", "metrics": ["loss"]})
    with contextlib.closing(SqliteJournal(directory)) as written:
        for at in range(0, len(entries), group):
            written.append(entries[at : at + group])


def read(directory: Path, **options: Any) -> list[Entry]:
    with contextlib.closing(journal.open_readonly(directory)) as connection:
        return [each for _, each in journal.entries(connection, **options)]


@contextlib.contextmanager
def tampering(directory: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(directory / journal.DATABASE, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
def story(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def test_entries_come_back_equal(story: Path) -> None:
    assert repr(read(story)) == repr(STORY)
    assert repr(read(story, after=20)) == repr(STORY[20:])


def test_facts_come_back(story: Path) -> None:
    with contextlib.closing(journal.open_readonly(story)) as connection:
        assert journal.facts(connection) == {"name": "story", "metrics": ["loss"]}


def test_a_journal_goes_on_where_it_was_left(tmp_path: Path) -> None:
    write(tmp_path, STORY[:7])
    with contextlib.closing(SqliteJournal(tmp_path, durability="power")) as written:
        written.append(STORY[7:])
    assert repr(read(tmp_path)) == repr(STORY)


def test_effects_follow_the_commit(story: Path) -> None:
    seen: list[int] = []
    with contextlib.closing(SqliteJournal(story)) as written:
        written.append([entry(Opened("again"))], lambda: seen.append(len(read(story))))
    assert seen == [len(STORY) + 1]


# Damage is noticed.

COLUMNS = ["position", "time", "wall", "kind", "trial", "attempt", "iteration", "state", "data", "checksum"]


def flipped(value: Any) -> Any:
    match value:
        case None:
            return 1
        case str():
            raw = bytearray(value.encode())
            raw[len(raw) // 2] ^= 1
            return raw.decode(errors="surrogateescape")
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
        case int():
            return value ^ 64
    return value + 1.0


@pytest.mark.parametrize("column", COLUMNS)
def test_a_change_in_any_column_of_any_row_is_noticed(story: Path, column: str) -> None:
    for position in range(1, len(STORY) + 1):
        with tampering(story) as connection:
            query = f"SELECT {column} FROM events WHERE position = ?"
            value = connection.execute(query, (position,)).fetchone()[0]
            changed = f"UPDATE events SET {column} = ? WHERE position = ?"
            connection.execute(changed, (flipped(value), position))
            with pytest.raises(JournalCorruptError, match=rf"rows? {position}\b"):
                read(story)
            connection.execute(changed, (value, flipped(position) if column == "position" else position))
    assert len(read(story)) == len(STORY)


def test_a_byte_that_makes_text_unreadable_is_noticed(story: Path) -> None:
    with tampering(story) as connection:
        connection.execute("UPDATE events SET data = CAST(x'ff' || substr(data, 2) AS TEXT) WHERE position = 4")
    with pytest.raises(JournalCorruptError, match="row 4 "):
        read(story)


@pytest.mark.parametrize("position", [1, 7, len(STORY) - 1])
def test_a_missing_row_is_noticed(story: Path, position: int) -> None:
    with tampering(story) as connection:
        connection.execute("DELETE FROM events WHERE position = ?", (position,))
    with pytest.raises(JournalCorruptError, match=f"row {position} of the journal is missing"):
        read(story)


def test_missing_rows_are_named(story: Path) -> None:
    with tampering(story) as connection:
        connection.execute("DELETE FROM events WHERE position BETWEEN 5 AND 9")
    with pytest.raises(JournalCorruptError, match="rows 5 to 9 of the journal are missing"):
        read(story)
    with pytest.raises(JournalCorruptError, match="row 7 of the journal is missing"):
        read(story, after=7)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (4, 18), (22, 23)])
def test_rows_that_changed_places_are_noticed(story: Path, one: int, other: int) -> None:
    with tampering(story) as connection:
        for before, after in ((one, 1000), (other, one), (1000, other)):
            connection.execute("UPDATE events SET position = ? WHERE position = ?", (after, before))
    with pytest.raises(JournalCorruptError, match=f"row {one} "):
        read(story)


def test_a_damaged_page_is_noticed(story: Path) -> None:
    path = story / journal.DATABASE
    raw = bytearray(path.read_bytes())
    for page in range(4096, len(raw), 4096):
        raw[page : page + 64] = b"\xff" * 64
    path.write_bytes(raw)
    with pytest.raises(JournalCorruptError):
        read(story)


def verify(directory: Path, after: int = 0, checksum: bytes = b"") -> tuple[int, bytes]:
    with journal.reading(directory) as connection:
        return chain.verify(connection, after, checksum)


def test_what_was_checked_is_not_checked_again(tmp_path: Path) -> None:
    write(tmp_path, STORY[:7])
    checked = verify(tmp_path)
    assert checked[0] == 7
    with contextlib.closing(SqliteJournal(tmp_path)) as written:
        written.append(STORY[7:])
    with tampering(tmp_path) as connection:
        connection.execute("UPDATE events SET time = 9 WHERE position = 3")
    assert verify(tmp_path, *checked)[0] == len(STORY)
    with tampering(tmp_path) as connection:
        connection.execute("UPDATE events SET time = 9 WHERE position = 8")
    with pytest.raises(JournalCorruptError, match=r"experiment.db: row 8 of the journal \(reported\) was changed"):
        verify(tmp_path, *checked)


def test_another_journal_in_its_place_is_checked_from_its_beginning(story: Path) -> None:
    checked = verify(story)
    shutil.rmtree(story)
    write(story, [*STORY[1:], STORY[0]])
    assert verify(story, *checked) == verify(story) != checked
    with tampering(story) as connection:
        connection.execute("UPDATE events SET time = 9 WHERE position = 3")
    with pytest.raises(JournalCorruptError, match="row 3 "):
        verify(story, *checked)


# Who may read, and what is no experiment.


def test_who_reads_writes_nothing_and_leaves_nothing_behind(story: Path) -> None:
    with journal.reading(story) as connection:
        assert chain.verify(connection)[0] == len(STORY)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM events")
    assert {path.name for path in story.iterdir()} == {journal.DATABASE, mark.NAME}


def test_the_last_one_to_go_tidies_up(story: Path) -> None:
    with journal.reading(story) as connection:
        connection.execute("SELECT * FROM events").fetchone()
        with contextlib.closing(SqliteJournal(story)) as written:
            written.append([entry(Opened("again"))])
    assert {path.name for path in story.iterdir()} == {journal.DATABASE, mark.NAME}
    assert len(read(story)) == len(STORY) + 1


def test_what_cannot_be_read_is_said_with_its_path(story: Path) -> None:
    with (
        pytest.raises(JournalCorruptError, match="experiment.db cannot be read: no such table: others"),
        journal.reading(story) as connection,
    ):
        connection.execute("SELECT * FROM others")


def test_reading_goes_on_while_another_writes(story: Path) -> None:
    with (
        contextlib.closing(SqliteJournal(story)) as written,
        contextlib.closing(journal.open_readonly(story)) as reader,
    ):
        reading = journal.entries(reader)
        next(reading)
        written.append([entry(Opened("again"))])
        assert len(list(reading)) == len(STORY) - 1  # of the moment at which reading began
        assert [each.event for _, each in journal.entries(reader, after=len(STORY))] == [Opened("again")]


def test_a_file_that_somebody_holds_is_not_called_damaged(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_TIMEOUT_S", 0)
    with tampering(story) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ExperimentBusyError, match="experiment.db is held by another process"):
            read(story)


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to look like one" * 20])
def test_a_file_that_is_no_database_is_no_experiment(tmp_path: Path, content: bytes) -> None:
    (tmp_path / journal.DATABASE).write_bytes(content)
    with pytest.raises(NotAnExperimentError, match="no experiment"):
        journal.open_readonly(tmp_path)


def test_a_directory_without_a_journal_is_no_experiment(tmp_path: Path) -> None:
    with pytest.raises(NotAnExperimentError, match="has no experiment.db"):
        journal.open_readonly(tmp_path)
    with pytest.raises(sqlite3.OperationalError):
        SqliteJournal(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_journal_of_a_later_version_is_refused(story: Path) -> None:
    later = journal.SCHEMA_VERSION + 1
    with tampering(story) as connection:
        connection.execute(f"PRAGMA user_version = {later}")
    told = f"version {later}, this audition reads {journal.SCHEMA_VERSION}: upgrade audition"
    with pytest.raises(NotAnExperimentError, match=told):
        journal.open_readonly(story)


def test_the_database_of_another_program_is_no_experiment(tmp_path: Path) -> None:
    with tampering(tmp_path) as connection:
        connection.execute("CREATE TABLE other (x)")
    with pytest.raises(NotAnExperimentError, match="something else"):
        journal.open_readonly(tmp_path)


def test_a_journal_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        journal.create(tmp_path, {"name": object()})
    assert not (tmp_path / journal.DATABASE).exists()
    write(tmp_path)
    assert len(read(tmp_path)) == len(STORY)


READER = """
import contextlib, os, sys
from pathlib import Path
from tune.storage import journal
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
assert not os.access(sys.argv[1], os.W_OK)
with contextlib.closing(journal.open_readonly(Path(sys.argv[1]))) as connection:
    print(sum(1 for _ in journal.entries(connection)), len(journal.facts(connection)))
"""


def test_a_directory_that_cannot_be_written_can_be_read() -> None:
    directory = Path(f"/tmp/audition-read-only-{os.getpid()}")
    write(directory)
    try:
        directory.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", READER, str(directory)],
            env={"PYTHONPATH": str(Path.cwd()), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        directory.chmod(0o755)
        shutil.rmtree(directory)
    assert done.stdout.split() == [str(len(STORY)), "2"], done.stderr


# Views.


def query(directory: Path, question: str) -> Any:
    with contextlib.closing(journal.open_readonly(directory)) as connection:
        return pandas.read_sql(question, connection)


def test_results_leave_out_what_a_later_attempt_repeats(story: Path) -> None:
    results = query(story, "SELECT * FROM results ORDER BY trial, iteration")
    own = results[results.trial == "t0"]
    assert list(own.iteration) == [1, 2, 3]
    assert list(own.attempt) == [1, 3, 3]
    assert [json.loads(text).get("loss") for text in own.metrics] == [0.9, 0.5, {"$float": "nan"}]
    assert list(own.time_this_iter_s) == [0.5, 0.5, 0.5]
    assert list(results[results.trial == "t1"].metrics) == ['{"loss":0.3}']


def test_results_of_a_refused_checkpoint_are_repeated_too(tmp_path: Path) -> None:
    write(tmp_path, STORY[:12])
    results = query(tmp_path, "SELECT * FROM results ORDER BY iteration")
    assert list(zip(results.iteration, results.attempt, strict=True)) == [(1, 1), (2, 2)]


def test_trials_show_where_each_stands(story: Path) -> None:
    trials = query(story, "SELECT * FROM trials ORDER BY trial")
    assert list(trials.trial) == ["t0", "t1", "t2"]
    assert list(trials.state) == ["TERMINATED", "TERMINATED", "TERMINATED"]
    assert list(trials.attempt.fillna(0)) == [3, 1, 0]
    assert json.loads(trials.config[0]) == {"lr": 0.1, "näme": "é"}


def test_the_configuration_of_a_trial_includes_what_it_was_given_while_it_ran(tmp_path: Path) -> None:
    values = {
        "lr": 0.1,
        'na"me': "a,b",
        "on": True,
        "depth": None,
        "model": {"kind": ["x", False]},
        "end": float("inf"),
    }
    given = [
        entry(ParameterGiven(trial, 1, at, name, uniform(0, 1), value), state="RUNNING")
        for trial in ("t1", "t2")
        for at, (name, value) in enumerate(values.items())
    ]
    first = [entry(Suggested(trial, config), state="PENDING") for trial, config in (("t1", {}), ("t2", {"fixed": [1]}))]
    write(tmp_path, [*STORY[:2], *first, *given])
    trials = query(tmp_path, "SELECT trial, config FROM trials ORDER BY trial")
    kept = {**values, "end": {"$float": "inf"}}
    assert [json.loads(text) for text in trials.config] == [{"lr": 0.1, "näme": "é"}, kept, {"fixed": [1], **kept}]


def test_checkpoints_show_what_was_saved(story: Path) -> None:
    checkpoints = query(story, "SELECT * FROM checkpoints ORDER BY iteration")
    assert list(checkpoints.path) == [EARLY.path, LATE.path]
    assert list(checkpoints.bytes) == [10, 30]


def test_the_reason_of_a_stop_can_be_asked_for(tmp_path: Path) -> None:
    stopped = Entry(0.0, 0.0, Reported("t0", 1, 1, {}, 1.0), Verdict(Stop("9th of 12")), 1, "STOPPING")
    write(tmp_path, [*STORY[:3], stopped])
    asked = query(tmp_path, "SELECT json_extract(data, '$.reason') AS why FROM events WHERE kind = 'reported'")
    assert list(asked.why) == ["9th of 12"]


# Killed while it writes.

WRITER = """
import itertools, sys
from pathlib import Path
from tune.machine.events import Entry, Reported, Verdict
from tune.storage.journal import SqliteJournal
journal = SqliteJournal(Path(sys.argv[1]))
for number in itertools.count(1):
    rows = [Entry(0.0, 0.0, Reported("t0", 1, number, {"x": "y" * 500}, 1.0), Verdict(), number, "RUNNING")] * 3
    journal.append(rows, lambda: print(number, flush=True))
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    journal.create(tmp_path, {})
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        env={"PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    with writer:
        for line in writer.stdout:
            if int(line) == 300:
                break
        writer.send_signal(signal.SIGKILL)
        told = [300, *(int(line) for line in writer.stdout.read().split("\n")[:-1])]
    numbers = [each.event.seq for each in read(tmp_path)]
    assert numbers == [number for number in range(1, numbers[-1] + 1) for _ in range(3)]
    assert numbers[-1] >= told[-1]
    with contextlib.closing(SqliteJournal(tmp_path)) as written:
        written.append([entry(Opened("again"))])
    assert len(read(tmp_path)) == len(numbers) + 1


def test_who_had_the_journal_open_when_another_took_it_up_writes_nothing_more(tmp_path: Path) -> None:
    journal.create(tmp_path, {})
    with contextlib.closing(SqliteJournal(tmp_path)) as before:
        before.append([entry(Suggested("t0", {}))])
        journal.fence(tmp_path)
        with pytest.raises(JournalLostError, match="is written by another run now"):
            before.append([entry(Suggested("t1", {}))])
        with contextlib.closing(SqliteJournal(tmp_path)) as written:
            written.append([entry(Suggested("t2", {}))])
    with journal.reading(tmp_path) as connection:
        assert [one.event.trial_id for _, one in journal.entries(connection, code=True)] == ["t0", "t2"]
