"""The journal's writer: effects only after their commit, in order, whatever the disk says."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tune.errors import JournalLostError
from tune.machine.events import Entry, Event, Opened, Suggested
from tune.storage import journal
from tune.storage.codec import Row
from tune.storage.journal import SqliteJournal
from tune.storage.writer import WriterJournal

DEADLINE_S = 30


def entry(event: Event) -> Entry:
    return Entry(0.0, 0.0, event)


def large(number: int) -> Entry:
    return entry(Suggested(f"t{number}", {"text": "x" * 20_000}))


class Watched(SqliteJournal):
    """Counts commits; a commit waits while the gate is shut."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.gate = threading.Event()
        self.gate.set()
        self.waits = threading.Event()
        self.sizes: list[int] = []

    def commit(self, rows: Sequence[Row]) -> None:
        self.waits.set()
        assert self.gate.wait(DEADLINE_S)
        self.sizes.append(len(rows))
        super().commit(rows)

    def limit(self, pages: int) -> None:
        """Let the database grow to so many pages and no further, like a disk that is full."""
        self._connection.execute(f"PRAGMA max_page_count = {pages}")

    def pages(self) -> int:
        return int(self._connection.execute("PRAGMA page_count").fetchone()[0])


@pytest.fixture
def inner(tmp_path: Path) -> Watched:
    journal.create(tmp_path, {})
    return Watched(tmp_path)


def count(directory: Path) -> int:
    with contextlib.closing(journal.open_readonly(directory)) as connection:
        return sum(1 for _ in journal.entries(connection))


def test_effects_come_after_their_commit_and_in_order(inner: Watched, tmp_path: Path) -> None:
    seen: list[tuple[int, bool]] = []
    with contextlib.closing(WriterJournal(inner)) as writer:
        for number in range(40):
            writer.append([large(number)], lambda number=number: seen.append((number, count(tmp_path) > number)))
        writer.flush()
        assert seen == [(number, True) for number in range(40)]


def test_what_waits_is_committed_together_and_let_out_afterwards(inner: Watched) -> None:
    seen: list[int] = []
    inner.gate.clear()
    with contextlib.closing(WriterJournal(inner)) as writer:
        writer.append([entry(Opened("first"))], lambda: seen.append(-1))
        assert inner.waits.wait(DEADLINE_S)
        for number in range(50):
            writer.append([entry(Opened("x"))] * 2, lambda number=number: seen.append(number))
        assert seen == []
        inner.gate.set()
        writer.flush()
    assert inner.sizes[:2] == [1, 100]
    assert seen == [-1, *range(50)]


def test_an_effect_that_raises_holds_up_nobody(inner: Watched, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []
    with contextlib.closing(WriterJournal(inner)) as writer:
        writer.append([entry(Opened("x"))], lambda: seen[0])
        writer.append([entry(Opened("y"))], lambda: seen.append(1))
        writer.flush()
    assert seen == [1]
    assert "an effect failed" in caplog.text


@pytest.mark.fault("F15")
def test_a_full_disk_holds_everything_back_until_there_is_room(inner: Watched, tmp_path: Path) -> None:
    seen: list[int] = []
    inner.limit(inner.pages())
    with contextlib.closing(WriterJournal(inner, retry_s=0.01, patience_s=0.1)) as writer:
        for number in range(3):
            writer.append([large(number)], lambda number=number: seen.append(number))
        with pytest.raises(OSError, match="the journal cannot be written: .*full"):
            writer.flush()
        assert seen == []
        assert count(tmp_path) == 0
        inner.limit(10_000)
        let_out = threading.Event()
        writer.append([], let_out.set)
        assert let_out.wait(DEADLINE_S)
        assert seen == [0, 1, 2]
    assert count(tmp_path) == 3


def test_closing_on_a_full_disk_says_what_is_missing(inner: Watched, tmp_path: Path) -> None:
    inner.limit(inner.pages())
    writer = WriterJournal(inner, retry_s=0.01)
    writer.append([large(0)], lambda: pytest.fail("let out"))
    with pytest.raises(OSError, match="could not be written to the journal: .*full"):
        writer.close()
    assert count(tmp_path) == 0


def test_closing_tries_once_more(inner: Watched, tmp_path: Path) -> None:
    inner.limit(inner.pages())
    writer = WriterJournal(inner, retry_s=DEADLINE_S, patience_s=0.1)
    writer.append([large(0)])
    with pytest.raises(OSError, match="full"):
        writer.flush()
    inner.limit(10_000)
    writer.close()
    assert count(tmp_path) == 1


@pytest.mark.fault("F39")
def test_what_can_never_be_written_again_ends_the_writing_and_lets_nothing_out(inner: Watched, tmp_path: Path) -> None:
    lost = threading.Event()
    writer = WriterJournal(inner, on_loss=lost.set)
    writer.append([entry(Opened("x"))])
    writer.flush()
    inner._connection.execute("PRAGMA query_only = ON")
    writer.append([large(0)], lambda: pytest.fail("let out"))
    assert lost.wait(DEADLINE_S)
    for _ in range(2):
        with pytest.raises(JournalLostError, match="cannot be written any more: attempt to write a readonly database"):
            writer.catch_up(0.0)
    with pytest.raises(JournalLostError, match="could not be written to the journal: attempt to write a readonly"):
        writer.close()
    assert count(tmp_path) == 1


@pytest.mark.parametrize(("failures", "patience_s"), [(3, 100.0), (10**9, 0.05)], ids=["for a moment", "for good"])
def test_a_disk_that_fails_may_be_back_soon_or_is_gone(tmp_path: Path, failures: int, patience_s: float) -> None:
    class Failing(SqliteJournal):
        left = failures

        def commit(self, rows: Sequence[Row]) -> None:
            if self.left:
                self.left -= 1
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
                raise error
            super().commit(rows)

    journal.create(tmp_path, {})
    done = threading.Event()
    writer = WriterJournal(Failing(tmp_path), retry_s=0.01, patience_s=patience_s, on_loss=done.set)
    with contextlib.suppress(JournalLostError):
        writer.append([large(0)], done.set)
    assert done.wait(DEADLINE_S)
    if failures < 10:
        writer.close()
    else:
        with pytest.raises(JournalLostError, match="could not be written to the journal: disk I/O error"):
            writer.close()
    assert count(tmp_path) == (failures < 10)


@pytest.mark.fault("F23")
def test_closing_does_not_wait_for_ever_for_a_storage_that_hangs(inner: Watched) -> None:
    inner.gate.clear()
    writer = WriterJournal(inner, patience_s=0.05)
    writer.append([entry(Opened("x"))])
    with pytest.raises(OSError, match="no answer"):
        writer.close()
    inner.gate.set()
    writer.close()


def test_what_comes_after_the_close_is_refused(inner: Watched) -> None:
    writer = WriterJournal(inner)
    writer.close()
    for attempt in (lambda: writer.append([entry(Opened("x"))]), writer.flush):
        with pytest.raises(OSError, match="closed"):
            attempt()


class Broken(SqliteJournal):
    """Fails in a way that trying again does not mend."""

    def commit(self, rows: Sequence[Row]) -> None:
        if rows:
            raise RuntimeError("a defect of ours")


def test_a_defect_is_said_and_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal.create(tmp_path, {})
    with caplog.at_level(logging.ERROR):
        writer = WriterJournal(Broken(tmp_path), patience_s=0.05)
        writer.append([entry(Opened("x"))], lambda: pytest.fail("let out"))
        with pytest.raises(OSError, match="a defect of ours"):
            writer.flush()
        with pytest.raises(OSError, match="a defect of ours"):
            writer.append([entry(Opened("y"))])
        with pytest.raises(OSError, match="a defect of ours"):
            writer.close()
    assert "the journal's writer failed" in caplog.text


def test_what_cannot_be_text_is_said_where_it_is_given(inner: Watched, tmp_path: Path) -> None:
    endless: list[object] = []
    endless.append(endless)
    with contextlib.closing(WriterJournal(inner)) as writer:
        with pytest.raises(RecursionError):
            writer.append([entry(Suggested("t0", {"x": endless}))])
        writer.append([entry(Opened("x"))])
        writer.flush()
    assert count(tmp_path) == 1


def test_nobody_can_change_an_entry_after_it_was_given(inner: Watched, tmp_path: Path) -> None:
    config = {"x": 1}
    inner.gate.clear()
    with contextlib.closing(WriterJournal(inner)) as writer:
        writer.append([entry(Suggested("t0", config))])
        config["x"] = 2
        inner.gate.set()
    with contextlib.closing(journal.open_readonly(tmp_path)) as connection:
        assert [each.event for _, each in journal.entries(connection)] == [Suggested("t0", {"x": 1})]
