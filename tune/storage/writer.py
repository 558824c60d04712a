"""A thread that commits the journal in groups, and only then lets the effects of what it wrote leave the process."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from tune.errors import JournalLostError
from tune.machine.events import Entry
from tune.storage.codec import Row, to_row
from tune.storage.journal import Journal, SqliteJournal

log = logging.getLogger(__name__)

_Item = tuple[Sequence[Row], Callable[[], None] | None]
_GROUP = 512
_BACKLOG = 256
_PASSING = frozenset(
    (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM)
)


class WriterJournal(Journal):
    """Commits on its own thread: a storage that stalls holds back replies, never the loop.

    When a commit fails by what may pass (a full disk), it is tried again every `retry_s` seconds, loudly; nothing is
    let out meanwhile. When it cannot be mended (a read-only disk, a journal that was removed), or a disk fails for
    `patience_s`, the journal is lost: nothing more is taken or let out, and `on_loss` is called. `flush` and `close`
    wait `patience_s` for a storage that fails or does not answer.
    """

    def __init__(
        self,
        journal: SqliteJournal,
        *,
        retry_s: float = 1.0,
        patience_s: float = 100.0,
        on_loss: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._on_loss = on_loss
        self._retry_s = retry_s
        self._patience_s = patience_s
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._closing = threading.Event()
        self._written = threading.Event()
        self._error: Exception | None = None
        self._writes_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def append(self, entries: Sequence[Entry], then: Callable[[], None] | None = None) -> None:
        self._refuse_if_ended()
        # Made into text here: what cannot be is the caller's to know, and nobody may change it meanwhile.
        self._queue.put(([to_row(entry) for entry in entries], then))

    def catch_up(self, within_s: float) -> bool:
        self._refuse_if_ended()
        if self._queue.qsize() <= _BACKLOG:
            return True
        self._written.clear()
        self._written.wait(within_s)
        return self._queue.qsize() <= _BACKLOG

    @property
    def lag_s(self) -> float:
        since = self._writes_since
        return 0.0 if since is None else time.monotonic() - since

    def flush(self) -> None:
        self._refuse_if_ended()
        reached = threading.Event()
        self._queue.put(((), reached.set))
        if not reached.wait(self._patience_s):
            self._refuse_if_ended()
            why = self._error or f"no answer from its storage in {self._patience_s:g} s"
            raise JournalLostError(f"the journal cannot be written: {why}") from self._error

    def close(self) -> None:
        self._closing.set()
        self._queue.put(None)
        self._thread.join(self._patience_s)
        if self._thread.is_alive():
            raise JournalLostError(
                f"the last entries are not in the journal: no answer from its storage in {self._patience_s:g} s"
            )
        self._journal.close()
        if self._error is not None:
            why = f"the last entries could not be written to the journal: {self._error}"
            raise JournalLostError(why) from self._error

    def _refuse_if_ended(self) -> None:
        if self._closing.is_set() or not self._thread.is_alive():
            why = self._error or "it was closed"
            raise JournalLostError(f"the journal cannot be written any more: {why}") from self._error

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            self._writes_since = time.monotonic()
            if not self._commit([row for rows, _ in group for row in rows]):
                self._on_loss()
                return
            self._writes_since = None
            for _, then in group:
                if then:
                    _carry_out(then)

    def _next_group(self) -> list[_Item] | None:
        """Everything that waits, at least one item; None at the end."""
        item = self._queue.get()
        if item is None:
            return None
        group = [item]
        while len(group) < _GROUP:
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
            if item is None:
                self._queue.put(None)
                break
            group.append(item)
        return group

    def _commit(self, rows: list[Row]) -> bool:
        """Commit, however long it takes; False when that failed and is to end."""
        began = time.monotonic()
        while True:
            try:
                self._journal.commit(rows)
                self._error = None
                self._written.set()
                return True
            except sqlite3.Error as error:
                if self._error is None:
                    log.error("the journal cannot be written, trials wait: %s", error)
                self._error = error
                if _is_lasting(error, time.monotonic() - began > self._patience_s):
                    return False
            except JournalLostError as error:
                log.error("%s", error)
                self._error = error
                return False
            except Exception as error:
                log.exception("the journal's writer failed")
                self._error = error
                return False
            if self._closing.is_set():
                return False
            self._closing.wait(self._retry_s)


def _is_lasting(error: sqlite3.Error, tried_long: bool) -> bool:
    """Whether waiting would not help: a full or busy disk may have room again, one that fails may soon be back."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _PASSING:
        return False
    return code != sqlite3.SQLITE_IOERR or tried_long


def _carry_out(then: Callable[[], None]) -> None:
    try:
        then()
    except Exception:
        log.exception("an effect failed after its entries were committed")
