"""A journal written in large groups, for experiments that need not survive their own process: simulations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tune.machine.events import Entry
from tune.storage.codec import Row, to_row
from tune.storage.journal import Journal, SqliteJournal

_GROUP = 1000


class GroupedJournal(Journal):
    """Lets effects out at once and commits when there are many entries; a commit costs as much as eight entries."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self._rows: list[Row] = []

    def append(self, entries: Sequence[Entry], then: Callable[[], None] | None = None) -> None:
        self._rows += [to_row(entry) for entry in entries]
        if len(self._rows) >= _GROUP:
            self.flush()
        if then:
            then()

    def flush(self) -> None:
        rows, self._rows = self._rows, []
        self._journal.commit(rows)

    def close(self) -> None:
        self.flush()
        self._journal.close()
