"""A journal that is whole and does not follow is refused by name, and loses nothing by it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

import tune
from tests.tune.trainables import counting
from tune import doctor
from tune.machine.events import Entry, Reported
from tune.storage.codec import Row, to_row
from tune.storage.journal import SqliteJournal

OF_NO_TRIAL = to_row(Entry(9.0, 9.0, Reported("t7", 1, 1, {}, 1.0)))
OF_NO_KIND = Row(9.0, 9.0, "teleported", None, None, None, None, "{}")


@pytest.mark.parametrize(("row", "what"), [(OF_NO_TRIAL, "reported of t7"), (OF_NO_KIND, "teleported")])
def test_a_row_that_does_not_follow_is_named_and_what_there_is_can_be_read(
    run: Callable[..., tune.ResultGrid], tmp_path: Path, row: Row, what: str
) -> None:
    run(counting, num_samples=1)
    with contextlib.closing(SqliteJournal(tmp_path / "e")) as journal:
        journal.commit([row])
    told = rf"row \d+ of the journal \({what}\) does not follow from those before it .* another version"
    with pytest.raises(tune.NotReplayableError, match=told):
        tune.resume(tmp_path / "e", verbose=0)
    (finding,) = (one for one in doctor.examine(tmp_path / "e") if not one.note)
    assert what in finding.what
    assert finding.remedy is doctor.Remedy.NONE
    assert len(tune.ResultGrid(tmp_path / "e")) == 1
