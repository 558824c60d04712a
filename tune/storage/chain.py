"""The chain of checksums through a journal: each row's is of the row itself and of the checksum before it.

A changed row, a missing one, and rows that changed places are noticed; that an end is gone, the mark says (`mark.py`).
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from tune.errors import JournalCorruptError
from tune.storage.codec import Row
from tune.storage.mark import Reached

# Text is read as bytes, so that one that is no UTF-8 any more fails the row's checksum and not the reading.
_ROWS = """
SELECT position, time, wall, CAST(kind AS BLOB), CAST(trial AS BLOB), attempt, iteration, CAST(state AS BLOB),
       CAST(data AS BLOB), checksum
FROM events WHERE position > ? ORDER BY position
"""
_NUMBERS = struct.Struct("<qddqq")  # position, time, wall, attempt, iteration
_NO_NUMBER = -(2**63)
_NO_TEXT = b"\xff"  # is in no UTF-8


class Reach(NamedTuple):
    """How far a journal is whole: up to the row at `position`. Its last row is `end`, as far as that can be read."""

    position: int
    checksum: bytes
    end: int
    damage: JournalCorruptError | None = None

    @property
    def reached(self) -> Reached:
        """The last row that is whole."""
        return Reached(self.position, self.checksum)


def checksum(before: bytes, position: int, row: Row) -> bytes:
    """The checksum of a row, eight bytes, given that of the row before."""
    return _checksum(before, position, [one.encode() if isinstance(one, str) else one for one in row])


def _checksum(before: bytes, position: int, values: Sequence[Any]) -> bytes:
    """The same of values as they lie in the file, texts as bytes. Hot: once for each row written, and each one read."""
    time, wall, kind, trial, attempt, iteration, state, text = values
    attempt = _NO_NUMBER if attempt is None else attempt
    iteration = _NO_NUMBER if iteration is None else iteration
    trial = _NO_TEXT if trial is None else trial
    state = _NO_TEXT if state is None else state
    numbers = _NUMBERS.pack(position, time, wall, attempt, iteration)
    return blake2b(b"%b%b%b\0%b\0%b\0%b" % (before, numbers, kind, trial, state, text), digest_size=8).digest()


def verify(connection: sqlite3.Connection, after: int = 0, before: bytes = b"") -> tuple[int, bytes]:
    """Check the rows behind position `after`, the checksum of which is `before`; the same of the last row.

    Decodes nothing: 100,000 rows take a quarter of a second. Where row `after` is not what it was, all are checked.

    Raises:
        JournalCorruptError: a row was changed, or rows are missing.
    """
    if _stored(connection, after) != before:
        after, before = 0, b""
    for position, _, found in checked(connection, after, before):
        after, before = position, found
    return after, before


def checked(connection: sqlite3.Connection, after: int, before: bytes) -> Iterator[tuple[int, Sequence[Any], bytes]]:
    """Position, values (texts as bytes) and checksum of each row behind `after`, the checksum of which is `before`.

    Raises:
        JournalCorruptError: a row was changed, or rows are missing.
    """
    try:
        for position, *values, stored in connection.execute(_ROWS, (after,)):
            if position != after + 1:
                raise _missing(after + 1, position - 1)
            after = position
            try:
                before = _checksum(before, position, values)
            except (struct.error, TypeError):  # a value of another kind than was written
                before = b""
            if before != stored:
                kind = (values[2] or b"?").decode(errors="replace")
                raise JournalCorruptError(f"row {position} of the journal ({kind}) was changed since it was written")
            yield position, values, stored
    except sqlite3.DatabaseError as error:
        if is_busy(error):
            raise
        raise JournalCorruptError(f"row {after + 1} of the journal cannot be read: {error}") from error


def reach(connection: sqlite3.Connection) -> Reach:
    """How far the journal is whole."""
    position, found = 0, b""
    try:
        for position, _, found in checked(connection, 0, b""):  # noqa: B007 (read after the loop)
            pass
    except JournalCorruptError as error:
        return Reach(position, found, _end(connection, position), error)
    return Reach(position, found, position)


def _end(connection: sqlite3.Connection, whole: int) -> int:
    with contextlib.suppress(sqlite3.DatabaseError, JournalCorruptError):
        return max(last(connection)[0], whole)
    return whole


def last(connection: sqlite3.Connection) -> tuple[int, bytes]:
    """Position and checksum of the last row.

    Raises:
        JournalCorruptError: they are no such things.
    """
    row = connection.execute("SELECT position, checksum FROM events ORDER BY position DESC LIMIT 1").fetchone()
    if row is None:
        return 0, b""
    position, checksum = row
    if not isinstance(position, int) or not isinstance(checksum, bytes):
        raise JournalCorruptError("the last row of the journal was changed since it was written")
    return position, checksum


def at(connection: sqlite3.Connection, position: int) -> bytes:
    """The checksum of the row at `position`; position 0 stands before the first.

    Raises:
        JournalCorruptError: there is no such row.
    """
    found = _stored(connection, position)
    if found is None:
        raise _missing(position, position)
    return found


def is_busy(error: Exception) -> bool:
    """Whether somebody else held the file for too long: then nothing is wrong with it."""
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _stored(connection: sqlite3.Connection, position: int) -> bytes | None:
    query = "SELECT checksum FROM events WHERE position = ?"
    found: tuple[bytes] | None = connection.execute(query, (position,)).fetchone() if position else (b"",)
    return found[0] if found else None


def _missing(first: int, last: int) -> JournalCorruptError:
    rows = f"row {first} of the journal is" if first == last else f"rows {first} to {last} of the journal are"
    return JournalCorruptError(f"{rows} missing")
