"""A thread that commits the journal in groups, and only then lets the effects of what it wrote leave the process."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from tune.machine.events import Entry
from tune.storage.journal import Journal, SqliteJournal

log = logging.getLogger(__name__)

_Item = tuple[Sequence[Entry], Callable[[], None] | None]
_GROUP = 512
_RETRY_S = 1.0
_CLOSE_S = 10.0


class WriterJournal(Journal):
    """Commits on its own thread: a storage that stalls holds back replies, never the loop.

    When a commit fails (disk full), it is tried again every second, loudly; nothing is let out meanwhile.
    """

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._closing = threading.Event()
        self._error: sqlite3.Error | None = None
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def append(self, entries: Sequence[Entry], then: Callable[[], None] | None = None) -> None:
        self._queue.put((entries, then))

    def flush(self) -> None:
        reached = threading.Event()
        self._queue.put(((), reached.set))
        while not reached.wait(_CLOSE_S):
            if self._error is not None:
                raise OSError(f"the journal cannot be written: {self._error}") from self._error

    def close(self) -> None:
        self._closing.set()
        self._queue.put(None)
        self._thread.join(_CLOSE_S)
        self._journal.close()
        if self._error is not None:
            raise OSError(f"the last entries could not be written to the journal: {self._error}") from self._error

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            self._commit([entry for entries, _ in group for entry in entries])
            if self._error is not None:
                return
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

    def _commit(self, entries: list[Entry]) -> None:
        while True:
            try:
                self._journal.commit(entries)
                self._error = None
                return
            except sqlite3.Error as error:
                if self._error is None:
                    log.error("the journal cannot be written, trials wait: %s", error)
                self._error = error
            if self._closing.wait(_RETRY_S):
                return


def _carry_out(then: Callable[[], None]) -> None:
    try:
        then()
    except Exception:
        log.exception("an effect failed after its entries were committed")
