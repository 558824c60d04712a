"""The experiment's journal: one append-only table in SQLite, with views for people, and a checksum chained row to row.

A group of entries is committed whole or not at all. ``durability="process"`` survives the death of any process (the
system holds the pages); ``"power"`` also survives the loss of power (each commit is flushed to the disk). Anybody may
read while it is written.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tune.errors import (
    ExperimentBusyError,
    JournalCorruptError,
    JournalLostError,
    JournalUnreadableError,
    NotAnExperimentError,
)
from tune.machine.events import Entry, SpaceChanged
from tune.storage import chain, data, mark
from tune.storage.chain import Reach
from tune.storage.codec import Row, to_entry, to_row
from tune.storage.mark import Mark, Reached

DATABASE = "experiment.db"
SCHEMA_VERSION = 2
"""2 has a checksum of the facts. Version 1 is read as it is, and becomes 2 when its experiment goes on."""

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
CREATE INDEX refusals ON events (trial, position) WHERE kind = 'refused';
CREATE INDEX copies ON events (trial, position) WHERE kind = 'exploited';
CREATE INDEX parameters ON events (trial, position) WHERE kind = 'parameter';
-- What a trial reported after the checkpoint that a later attempt began from is superseded by that attempt; a damaged
-- checkpoint is refused by the attempt that should begin from it, which then begins from the one before.
CREATE VIEW results AS
    SELECT trial, iteration, attempt, time, wall AS timestamp,
           json_extract(data, '$.seconds') AS time_this_iter_s,
           json_extract(data, '$.metrics') AS metrics,
           json_extract(data, '$.pid') AS pid, json_extract(data, '$.hostname') AS hostname  -- of an attempt's first
    FROM events AS e
    WHERE kind IN ('reported', 'ended') AND iteration IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM events AS l
        WHERE l.kind = 'launched' AND l.trial = e.trial AND l.position > e.position
              AND coalesce(l.iteration, 0) < e.iteration)
    AND NOT EXISTS (
        SELECT 1 FROM events AS r
        WHERE r.kind = 'refused' AND r.trial = e.trial AND r.position > e.position
              AND coalesce(r.iteration, 0) < e.iteration);
-- Who became a copy of another goes on with another configuration.
-- What a define-by-run trial was given while it ran is added to its configuration. Asked for twice, a value comes as an
-- array, [true,true], half of whose text is its JSON; asked for once, true is 1.
CREATE VIEW trials AS
    SELECT s.trial,
           CASE WHEN s.copied IS NOT NULL THEN s.copied
                WHEN s.given IS NULL THEN s.config
                WHEN s.config = '{}' THEN '{' || s.given || '}'
                ELSE substr(s.config, 1, length(s.config) - 1) || ',' || s.given || '}' END AS config,
           l.state,
           (SELECT max(attempt) FROM events AS a WHERE a.kind = 'launched' AND a.trial = s.trial) AS attempt,
           l.time, l.wall AS timestamp
    FROM (SELECT o.trial, json_extract(o.data, '$.config') AS config,
                 (SELECT json_extract(data, '$.config') FROM events AS c
                  WHERE c.kind = 'exploited' AND c.trial = o.trial ORDER BY c.position DESC LIMIT 1) AS copied,
                 (SELECT group_concat(json_quote(name) || ':' || substr(twice, 2, length(twice) / 2 - 1))
                  FROM (SELECT json_extract(data, '$.name') AS name, json_extract(data, '$.value', '$.value') AS twice
                        FROM events AS p WHERE p.kind = 'parameter' AND p.trial = o.trial ORDER BY p.position)) AS given
          FROM events AS o WHERE o.kind = 'suggested') AS s
    JOIN events AS l ON l.position = (SELECT max(position) FROM events WHERE trial = s.trial);
CREATE VIEW checkpoints AS
    SELECT trial, iteration, attempt, json_extract(data, '$.checkpoint.path') AS path,
           json_extract(data, '$.checkpoint.bytes') AS bytes, wall AS timestamp
    FROM events WHERE kind IN ('reported', 'saved') AND json_extract(data, '$.checkpoint.path') IS NOT NULL;
"""
_INSERT = "INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?)"
_ROWS = "SELECT position,time,wall,kind,trial,attempt,iteration,state,data FROM events ORDER BY position"
_WRITER = "CREATE TABLE IF NOT EXISTS writer (token TEXT NOT NULL)"  # one row: who may write
_TIMEOUT_S = 60
_CHECKSUM = "checksum"  # of the other facts, among them
_VERSION_WITH_CHECKSUM = 2
_SYNCHRONOUS = {"process": "OFF", "power": "FULL"}


class Journal(ABC):
    """Where entries are kept. All that the loop needs of one."""

    @abstractmethod
    def append(self, entries: Sequence[Entry], then: Callable[[], None] | None = None) -> None:
        """Commit `entries` together, then call `then`; both may happen later, on another thread, in this order."""

    def catch_up(self, within_s: float) -> bool:
        """Whether little waits to be written, after waiting for it at most `within_s`: only then is more taken in."""
        return True

    @property
    def lag_s(self) -> float:
        """For how long the storage has been writing what it was last given; 0.0 when nothing waits for it."""
        return 0.0

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
    """Commits in the calling thread. `WriterJournal` moves this to a thread of its own.

    Who opens the journal is its only writer from then on.
    """

    def __init__(self, directory: Path, *, durability: str = "process") -> None:
        self._path = directory / DATABASE
        self._connection = connect(self._path, durability)
        found = self._path.stat()
        self._identity = (found.st_dev, found.st_ino)
        self._token = _take_over(self._connection)
        self._position, self._checksum = chain.last(self._connection)
        self._mark = Mark(directory)
        self._set_mark()

    def append(self, entries: Sequence[Entry], then: Callable[[], None] | None = None) -> None:
        self.commit([to_row(entry) for entry in entries])
        if then:
            then()

    def commit(self, rows: Sequence[Row]) -> None:
        """Write `rows` in one transaction.

        Raises:
            sqlite3.Error: nothing of it was written; it may be tried again.
            JournalLostError: nothing was, and trying again would not help.
        """
        if not rows:
            return
        self._check_place()
        position, checksum = self._position, self._checksum
        chained = []
        for row in rows:
            position += 1
            checksum = chain.checksum(checksum, position, row)
            chained.append((position, *row, checksum))
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._check_right()
            connection.executemany(_INSERT, chained)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._position, self._checksum = position, checksum
        self._set_mark()

    def _check_place(self) -> None:
        """Whether who looks for the journal finds this one: an open file can be written long after it was removed.

        Raises:
            JournalLostError: it was removed or moved.
        """
        try:
            found = self._path.stat()
        except OSError as error:
            raise JournalLostError(f"{self._path} is gone: it was removed or moved while the run went on") from error
        if (found.st_dev, found.st_ino) != self._identity:
            raise JournalLostError(f"{self._path} is not the journal of this run any more: another took its place")

    def _check_right(self) -> None:
        """Whether nobody else has taken the journal over, asked where nobody can meanwhile.

        Raises:
            JournalLostError: somebody has.
        """
        if self._connection.execute("SELECT token FROM writer").fetchone() != (self._token,):
            raise JournalLostError(f"{self._path} is written by another run now: nothing more of this one is kept")

    def _set_mark(self) -> None:
        if self._position:
            self._mark.set(self._position, self._checksum)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self._connection.close()
        self._mark.close()


def create(directory: Path, facts: dict[str, Any]) -> None:
    """Begin a journal in `directory`, whole or not at all, with `facts` about the experiment (JSON values)."""
    directory.mkdir(parents=True, exist_ok=True)
    texts = {key: data.to_text(value) for key, value in facts.items()}
    unfinished = _write(directory, SCHEMA_VERSION, [*texts.items(), (_CHECKSUM, _checksum_of(texts))])
    (directory / mark.NAME).unlink(missing_ok=True)  # of another journal that was here
    unfinished.rename(directory / DATABASE)


def _write(directory: Path, version: int, facts: Iterable[Sequence[str]], rows: Iterable[Sequence[Any]] = ()) -> Path:
    """A new database in `directory`, under a name of its own, with these facts and rows as they are to lie in it."""
    unfinished = directory / f".{DATABASE}.new"
    unfinished.unlink(missing_ok=True)
    with contextlib.closing(_open_to_write(unfinished, "rwc", "power")) as connection:
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {version};")
        connection.executemany("INSERT INTO experiment VALUES (?,?)", facts)
        connection.executemany(_INSERT, rows)
        connection.execute("COMMIT")
    return unfinished


def fence(directory: Path) -> None:
    """Refuse what anybody who has the journal open has yet to write.

    Of a run that was interrupted for good a thread may still wait for the file when the next one begins to read.
    """
    with contextlib.closing(connect(directory / DATABASE)) as connection:
        _take_over(connection)


def _take_over(connection: sqlite3.Connection) -> str:
    """Make a journal one's own; the token that says so."""
    token = secrets.token_hex(8)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_WRITER)
    connection.execute("DELETE FROM writer")
    connection.execute("INSERT INTO writer VALUES (?)", (token,))
    connection.execute("COMMIT")
    return token


def restate(directory: Path, facts: dict[str, Any]) -> None:
    """Keep what a resumed run was given, except when the experiment was created."""
    with contextlib.closing(connect(directory / DATABASE, "power")) as connection:
        texts = dict(connection.execute("SELECT key, value FROM experiment"))
        texts |= {key: data.to_text(value) for key, value in facts.items() if key in texts and key != "created"}
        texts[_CHECKSUM] = _checksum_of(texts)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO experiment VALUES (?,?)", texts.items())
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")


def cut(directory: Path, position: int) -> None:
    """Give up the rows from `position` on. Those before it go into a new file: the old one may be damaged anywhere."""
    path = directory / DATABASE
    with reading(directory) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        facts = connection.execute("SELECT key, value FROM experiment")
        kept = connection.execute("SELECT * FROM events ORDER BY position LIMIT ?", (position - 1,))
        whole = _write(directory, version, facts, kept)
    for log in parts_of(path)[1:]:
        log.unlink()
    whole.rename(path)


def parts_of(path: Path) -> list[Path]:
    """The files that the database at `path` consists of: its log may hold rows that the file itself does not have."""
    return [part for end in ("", "-wal", "-shm") if (part := path.with_name(f"{path.name}{end}")).exists()]


def connect(path: Path, durability: str = "process") -> sqlite3.Connection:
    """A connection for writing to a journal that exists; may be handed from one thread to another."""
    return _open_to_write(path, "rw", durability)


def _open_to_write(path: Path, mode: str, durability: str) -> sqlite3.Connection:
    connection = sqlite3.connect(_uri(path, f"mode={mode}"), uri=True, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {_TIMEOUT_S * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
    return connection


@contextlib.contextmanager
def reading(directory: Path) -> Iterator[sqlite3.Connection]:
    """A connection that can only read, also while another process writes.

    Raises:
        NotAnExperimentError: there is no experiment in `directory`, or one of another version.
        JournalCorruptError: what is asked of it cannot be read.
        ExperimentBusyError: another process holds the file for itself.
    """
    with contextlib.closing(open_readonly(directory)) as connection:
        try:
            yield connection
        except JournalCorruptError as error:
            raise JournalCorruptError(f"{directory / DATABASE}: {error}") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter of damaged names in a message
            if chain.is_busy(error):
                raise _busy(directory / DATABASE, error) from error
            raise JournalCorruptError(f"{directory / DATABASE} cannot be read: {error}") from error


def open_readonly(directory: Path) -> sqlite3.Connection:
    """The same as a plain connection, whose errors are SQLite's own.

    Raises:
        NotAnExperimentError: there is no experiment in `directory`, or one of another version.
        ExperimentBusyError: another process holds the file for itself.
    """
    path = directory / DATABASE
    if not path.is_file():
        raise NotAnExperimentError(f"{directory} is no experiment: it has no {DATABASE}")
    # Opened to be written, so that the last one to close it removes the files by which readers and writers agree; it
    # is SQLite that writes, never we. Where nothing can be written it cannot make them. Nobody writes there either, so
    # it may read the file as it is; but not past a log that was left behind, whose rows it would miss.
    options = ["mode=rw"] if _has_log(path) else ["mode=rw", "mode=ro&immutable=1"]
    error: Exception | None = None
    for option in options:
        connection = sqlite3.connect(_uri(path, option), uri=True, isolation_level=None, timeout=_TIMEOUT_S)
        try:
            connection.execute("PRAGMA query_only = ON")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as caught:
            error = caught
            connection.close()
            if chain.is_busy(error):
                raise _busy(path, error) from error
            continue
        if not 1 <= version <= SCHEMA_VERSION:
            connection.close()
            if path.stat().st_size == 0:  # to SQLite that is a database, which has nothing yet
                raise JournalUnreadableError(f"{path} is no experiment that can be read: it is empty")
            raise NotAnExperimentError(_wrong_version(path, version))
        return connection
    raise JournalUnreadableError(f"{path} is no experiment that can be read: {error}")


def _uri(path: Path, options: str) -> str:
    return f"{path.absolute().as_uri()}?{options}"


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _busy(path: Path, error: Exception) -> ExperimentBusyError:
    return ExperimentBusyError(f"{path} is held by another process: {error}")


def _wrong_version(path: Path, version: int) -> str:
    if version == 0:
        return f"{path} is no experiment: it is a database of something else"
    return f"{path} has schema version {version}, this audition reads {SCHEMA_VERSION}: upgrade audition"


def facts(connection: sqlite3.Connection) -> dict[str, Any]:
    """What `create` was given, as JSON values.

    Raises:
        JournalCorruptError: they were changed since.
    """
    try:
        texts = dict(connection.execute("SELECT key, value FROM experiment"))
        has_checksum = connection.execute("PRAGMA user_version").fetchone()[0] >= _VERSION_WITH_CHECKSUM
        if texts.pop(_CHECKSUM, None) != (_checksum_of(texts) if has_checksum else None):
            raise JournalCorruptError("what the experiment says about itself was changed since it was written")
        return {key: json.loads(value) for key, value in texts.items()}
    except (ValueError, TypeError, sqlite3.DatabaseError) as error:
        raise JournalCorruptError(f"what the experiment says about itself cannot be read: {error}") from error


def _checksum_of(texts: Mapping[str, str]) -> str:
    told = sorted((key, value) for key, value in texts.items() if key != _CHECKSUM)
    return blake2b(repr(told).encode(errors="surrogateescape"), digest_size=8).hexdigest()


def reach(directory: Path) -> Reach:
    """How far the journal in `directory` is whole: not at all where what it says about the experiment is damaged.

    Raises:
        NotAnExperimentError: there is none, or one of another version.
        ExperimentBusyError: another process holds the file for itself.
    """
    try:
        with reading(directory) as connection:
            found = chain.reach(connection)
            try:
                facts(connection)
            except JournalCorruptError as error:  # nothing can go on from rows of nobody knows what
                return Reach(0, b"", found.end, found.damage or error)
            return found
    except (JournalUnreadableError, JournalCorruptError) as error:
        return Reach(0, b"", 0, JournalCorruptError(f"its file is no database any more: {error}"))


def has(directory: Path, reached: Reached) -> bool:
    """Whether the journal in `directory` has the row that is `reached`, and so all before it, if it can be read."""
    try:
        with reading(directory) as connection:
            return chain.at(connection, reached.position) == reached.checksum
    except (JournalCorruptError, JournalUnreadableError):
        return False


def check_end(directory: Path, before: Reached | None, last: tuple[int, bytes]) -> None:
    """Whether the journal, whose last row is `last`, reaches as far as it was acknowledged `before` it was read.

    Raises:
        JournalCorruptError: rows at its end are missing, or it is another one.
    """
    if before is None or before.position < last[0] or tuple(before) == last:
        return
    told = f"its last row is {last[0]}, and all up to row {before.position} was acknowledged"
    if before.position == last[0]:
        told = f"its last row, {last[0]}, is not the one that was acknowledged"
    raise JournalCorruptError(
        f"{directory / DATABASE}: the end of the journal is gone: {told}. If it cannot be had again, as after a loss"
        f" of power, go on from what is left with: audition doctor {directory} --accept-loss"
    )


def entries(connection: sqlite3.Connection, *, after: int = 0, code: bool = False) -> Iterator[tuple[int, Entry]]:
    """The entries behind position `after`, in order, each checked against the chain.

    Raises:
        JournalCorruptError: a row was changed, or rows are missing.
    """
    for position, values, _ in chain.checked(connection, after, chain.at(connection, after)):
        yield position, to_entry(Row(*map(_text, values)), code=code)


def lived(connection: sqlite3.Connection) -> float:
    """How many seconds the experiment has lived."""
    found: float = connection.execute("SELECT coalesce(max(time), 0.0) FROM events").fetchone()[0]
    return found


def space_change(connection: sqlite3.Connection) -> SpaceChanged | None:
    """The last change of the search space, known to the searcher from its beginning; None when there was none."""
    query = "SELECT data FROM events WHERE kind = 'space_changed' ORDER BY position DESC LIMIT 1"
    row = connection.execute(query).fetchone()
    return SpaceChanged(**data.loads(row[0])) if row else None


def asked_ahead(connection: sqlite3.Connection) -> dict[int, list[str]]:
    """The trials that the searcher was asked for some entries before they were suggested, by the position then."""
    found: dict[int, list[str]] = {}
    rows = connection.execute("SELECT trial, json_extract(data, '$.asked_after') FROM events WHERE kind = 'suggested'")
    for trial, after in rows:
        if after is not None:
            found.setdefault(after, []).append(trial)
    return found


def _text(value: Any) -> Any:
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value


def export(connection: sqlite3.Connection) -> Iterator[str]:
    """The journal as lines of text, one a row: two journals are equal when their exports are."""
    for values in connection.execute(_ROWS):
        yield data.to_text(list(values))
