"""The experiment's journal: one append-only table in SQLite, with views for people, and a checksum chained row to row.

A group of entries is committed whole or not at all. ``durability="process"`` survives the death of any process (the
system holds the pages); ``"power"`` also survives the loss of power (each commit is flushed to the disk). Anybody may
read while it is written.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tune.errors import JournalCorruptError, NotAnExperimentError
from tune.machine.events import Entry
from tune.storage import data
from tune.storage.codec import Row, to_entry, to_row

DATABASE = "experiment.db"
SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE experiment (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    time REAL NOT NULL,        -- seconds of the experiment's own life
    wall REAL NOT NULL,        -- seconds since 1970, for people
    kind TEXT NOT NULL,
    trial TEXT,
    attempt INTEGER,
    iteration INTEGER,
    state TEXT,                -- where the trial stands after this event
    data TEXT NOT NULL,        -- the rest of the event, and the decision taken on it, as JSON
    checksum BLOB NOT NULL     -- of this row and of the checksum before it
);
CREATE INDEX events_by_trial ON events (trial, position) WHERE trial IS NOT NULL;
CREATE INDEX launches ON events (trial, position) WHERE kind = 'launched';
-- What a trial reported after the checkpoint that a later attempt began from is superseded by that attempt.
CREATE VIEW results AS
    SELECT trial, iteration, attempt, time, wall AS timestamp,
           json_extract(data, '$.seconds') AS time_this_iter_s,
           json_extract(data, '$.metrics') AS metrics
    FROM events AS e
    WHERE kind IN ('reported', 'ended') AND iteration IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM events AS l
        WHERE l.kind = 'launched' AND l.trial = e.trial AND l.position > e.position
              AND coalesce(l.iteration, 0) < e.iteration);
CREATE VIEW trials AS
    SELECT s.trial, json_extract(s.data, '$.config') AS config, l.state, l.attempt, l.time, l.wall AS timestamp
    FROM events AS s
    JOIN events AS l ON l.position = (SELECT max(position) FROM events WHERE trial = s.trial)
    WHERE s.kind = 'suggested';
CREATE VIEW checkpoints AS
    SELECT trial, iteration, attempt, json_extract(data, '$.checkpoint.path') AS path,
           json_extract(data, '$.checkpoint.bytes') AS bytes, wall AS timestamp
    FROM events WHERE kind IN ('reported', 'saved') AND json_extract(data, '$.checkpoint.path') IS NOT NULL;
"""
_INSERT = "INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?)"
_SYNCHRONOUS = {"process": "OFF", "power": "FULL"}


class Journal(ABC):
    """Where entries are kept. All that the loop needs of one."""

    @abstractmethod
    def append(self, entries: Sequence[Entry], then: Callable[[], None] | None = None) -> None:
        """Commit `entries` together, then call `then`; both may happen later, on another thread, in this order."""

    @abstractmethod
    def flush(self) -> None:
        """Wait until everything appended is committed.

        Raises:
            OSError: it cannot be, and says why.
        """

    @abstractmethod
    def close(self) -> None:
        """Flush, and let go of the file."""


class SqliteJournal(Journal):
    """Commits in the calling thread. `WriterJournal` moves this to a thread of its own."""

    def __init__(self, directory: Path, *, durability: str = "process") -> None:
        self._connection = connect(directory / DATABASE, durability)
        self._position, self._chain = _last(self._connection)

    def append(self, entries: Sequence[Entry], then: Callable[[], None] | None = None) -> None:
        self.commit(entries)
        if then:
            then()

    def commit(self, entries: Sequence[Entry]) -> None:
        """Write `entries` in one transaction.

        Raises:
            sqlite3.Error: nothing of it was written; it may be tried again.
        """
        if not entries:
            return
        position, chain = self._position, self._chain
        rows = []
        for entry in entries:
            row = to_row(entry)
            position += 1
            chain = checksum(chain, position, row)
            rows.append((position, *row, chain))
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(_INSERT, rows)
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._position, self._chain = position, chain

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self._connection.close()


def create(directory: Path, facts: dict[str, Any]) -> None:
    """Begin a journal in `directory`, with `facts` about the experiment (JSON values) under their keys."""
    directory.mkdir(parents=True, exist_ok=True)
    connection = connect(directory / DATABASE, "power")
    try:
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION};")
        pairs = [(key, data.dumps(value)) for key, value in facts.items()]
        connection.executemany("INSERT INTO experiment VALUES (?,?)", pairs)
        connection.execute("COMMIT")
    finally:
        connection.close()


def restate(directory: Path, facts: dict[str, Any]) -> None:
    """Keep what a resumed run was given, except when the experiment was created."""
    connection = connect(directory / DATABASE, "power")
    try:
        pairs = [(data.dumps(value), key) for key, value in facts.items() if key != "created"]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("UPDATE experiment SET value = ? WHERE key = ?", pairs)
        connection.execute("COMMIT")
    finally:
        connection.close()


def connect(path: Path, durability: str = "process") -> sqlite3.Connection:
    """A connection for writing; may be handed from one thread to another."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
    return connection


def open_readonly(directory: Path) -> sqlite3.Connection:
    """A connection that can only read, also while another process writes.

    Raises:
        NotAnExperimentError: there is no experiment in `directory`, or one of a later version.
    """
    path = directory / DATABASE
    if not path.is_file():
        raise NotAnExperimentError(f"{directory} is no experiment: it has no {DATABASE}")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=60)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise NotAnExperimentError(f"{path} is no experiment: {error}") from None
    if not 1 <= version <= SCHEMA_VERSION:
        connection.close()
        raise NotAnExperimentError(
            f"{path} has schema version {version}, this audition reads up to {SCHEMA_VERSION}: upgrade audition"
        )
    return connection


def facts(connection: sqlite3.Connection) -> dict[str, Any]:
    """What `create` was given, as JSON values."""
    return {key: json.loads(value) for key, value in connection.execute("SELECT key, value FROM experiment")}


def entries(connection: sqlite3.Connection, *, after: int = 0, code: bool = False) -> Iterator[tuple[int, Entry]]:
    """The entries behind position `after`, in order, each checked against the chain.

    Raises:
        JournalCorruptError: a row was changed, or rows are missing.
    """
    chain = b""
    if after:
        chain = connection.execute("SELECT checksum FROM events WHERE position = ?", (after,)).fetchone()[0]
    expected = after
    for position, *values, stored in connection.execute("SELECT * FROM events WHERE position > ? ORDER BY 1", (after,)):
        expected += 1
        row = Row(*values)
        if position != expected:
            raise JournalCorruptError(f"rows {expected} to {position - 1} of the journal are missing")
        chain = checksum(chain, position, row)
        if chain != stored:
            raise JournalCorruptError(f"row {position} of the journal ({row.kind}) was changed after it was written")
        yield position, to_entry(row, code=code)


def export(connection: sqlite3.Connection) -> Iterator[str]:
    """The journal as lines of text, one a row: two journals are equal when their exports are."""
    for values in connection.execute("SELECT position,time,wall,kind,trial,attempt,iteration,state,data FROM events"):
        yield data.dumps(list(values))


def checksum(chain: bytes, position: int, row: Row) -> bytes:
    """The checksum of a row, eight bytes, given that of the row before."""
    return hashlib.blake2b(b"%b%d%b" % (chain, position, repr(tuple(row)).encode()), digest_size=8).digest()


def _last(connection: sqlite3.Connection) -> tuple[int, bytes]:
    row = connection.execute("SELECT position, checksum FROM events ORDER BY position DESC LIMIT 1").fetchone()
    return (row[0], row[1]) if row else (0, b"")
