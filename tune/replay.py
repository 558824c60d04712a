"""The replay of a journal: its entries are folded into an experiment, which then stands where it stood."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tune.errors import NotReplayableError, TuneError
from tune.machine.experiment import Experiment
from tune.storage import journal
from tune.storage.home import address_of


def replay(directory: Path, experiment: Experiment, *, code: bool = False) -> None:
    """Fold the journal in `directory` into `experiment`; with `code`, objects in configurations are made again.

    Raises:
        JournalCorruptError: a row was changed, or rows are missing.
        NotReplayableError: a row, which is as it was written, does not follow from those before it.
    """
    with journal.reading(directory) as connection:
        asked = journal.asked_ahead(connection)
        reached = 0
        try:
            for position, entry in journal.entries(connection, code=code):
                experiment.replay(entry)
                reached = position
                for trial_id in asked.get(position, ()):
                    experiment.policies.asked(trial_id)
        except (TuneError, sqlite3.Error, UnicodeError, OSError, MemoryError):
            raise
        except Exception as error:  # whatever the machine trips over
            raise _not_replayable(directory, connection, reached + 1, error) from error


def _not_replayable(
    directory: Path, connection: sqlite3.Connection, position: int, error: Exception
) -> NotReplayableError:
    row = connection.execute("SELECT kind, trial FROM events WHERE position = ?", (position,)).fetchone()
    kind, trial = row or ("unknown", None)
    what = f"{kind} of {trial}" if trial else kind
    return NotReplayableError(
        f"{directory / journal.DATABASE}: row {position} of the journal ({what}) does not follow from those before it"
        f" ({error!r}). It is as it was written, perhaps by another version of audition: go on with that one. Results"
        f" can be read with this one all the same: audition show {address_of(directory)}"
    )
