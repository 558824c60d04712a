"""Of what is published and what this machine has, the journal goes on that has more; nothing is lost unsaid."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tune.story import Story
from tune import doctor
from tune.errors import JournalCorruptError, NotAnExperimentError
from tune.storage import chain, journal, mark, published, publishing
from tune.storage.home import Home
from tune.storage.journal import DATABASE

FORKED_READERS = """
import os, sys, tune
tune.ResultGrid  # imported before the fork
for _ in range(4):
    if os.fork() == 0:
        for _ in range(10):
            tune.ResultGrid(sys.argv[1])
        os._exit(0)
sys.exit(max(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(4)))
"""
ROWS = 12
"""How many rows the live journal has; all but the last two of them are published."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An experiment at a URL whose run was killed after it reported twice more than it had published."""
    monkeypatch.setenv("AUDITION_LIVE", str(tmp_path / "live"))
    home = Home.at((tmp_path / "far" / "e").as_uri())
    home.make()
    story = Story(home.live)
    story.opens()
    story.starts({"x": 1})
    for step in range(ROWS - 3):
        if step == ROWS - 5:
            publishing.publish_now(home, None)
        story.reports("t0", accuracy=step / 10)
    story.closes()
    return home


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """The directory of what is published."""
    return tmp_path / "far" / "e"


def change(directory: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(directory / DATABASE, isolation_level=None)) as connection:
        connection.execute(statement)


def spoil(directory: Path, row: int) -> None:
    change(directory, f"UPDATE events SET wall = wall + 1 WHERE position = {row}")


def cut(directory: Path, row: int) -> None:
    change(directory, f"DELETE FROM events WHERE position >= {row}")


def overwrite(directory: Path) -> None:
    (directory / DATABASE).write_bytes(b"not a database any more, and long enough to look like one" * 20)


def empty(directory: Path) -> None:
    (directory / DATABASE).write_bytes(b"")


def misstate(directory: Path) -> None:
    change(directory, "UPDATE experiment SET value = '7' WHERE key = 'name'")


def misname(directory: Path) -> None:
    """Let what the database reads its rows from have a name that is no text."""
    change(directory, "ALTER TABLE events RENAME TO rows_before")
    change(directory, "CREATE VIEW events AS SELECT * FROM rows_nowhere")
    path = directory / DATABASE
    path.write_bytes(path.read_bytes().replace(b"rows_nowhere", b"rows_\xff\xfewhere"))


def rows(directory: Path) -> int:
    """How many rows the journal has, all of them whole."""
    found = journal.reach(directory)
    assert found.damage is None
    return found.position


def check_end(home: Home) -> None:
    """Whether the live journal has all that was acknowledged, as a resume asks it."""
    with journal.reading(home.live) as connection:
        journal.check_end(home.live, mark.reached(home.live), chain.last(connection))


Damage = Callable[[Path], None]
damaged = pytest.mark.parametrize(
    "damage",
    [
        overwrite,
        empty,
        misstate,
        misname,
        lambda directory: spoil(directory, 5),
        lambda directory: spoil(directory, ROWS - 2),
    ],
)


@damaged
def test_a_whole_journal_goes_on_beside_a_damaged_one_that_was_published(
    home: Home, far: Path, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    damage(far)
    assert published.readable(home.address) == home.live
    published.bring_up_to_date(home)
    check_end(home)
    assert rows(home.live) == ROWS
    assert "is damaged, and kept as" in caplog.text
    assert (home.live / "experiment.db.published.bad").read_bytes() == (far / DATABASE).read_bytes()


def test_forked_processes_read_what_is_published_at_the_same_time(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITION_LIVE", str(tmp_path / "another machine's"))
    program = [sys.executable, "-c", FORKED_READERS, home.address]
    read = subprocess.run(program, check=False, capture_output=True, text=True)
    assert read.returncode == 0, read.stderr
    (copy,) = (tmp_path / "another machine's").iterdir()
    assert copy.name.startswith(".read-")


def test_a_damaged_one_that_was_published_is_kept_and_told_of_once(
    home: Home, far: Path, caplog: pytest.LogCaptureFixture
) -> None:
    overwrite(far)
    for _ in range(2):
        published.bring_up_to_date(home)
    assert caplog.text.count("is damaged") == 1


@damaged
def test_a_damaged_journal_gives_way_to_a_published_one_that_has_all_of_it(
    home: Home, far: Path, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    publishing.publish_now(home, None)
    damage(home.live)
    published.bring_up_to_date(home)
    check_end(home)
    assert rows(home.live) == ROWS
    assert "experiment.db is damaged; it is kept as experiment.db.other" in caplog.text


def test_each_journal_that_gave_way_is_kept(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    for row in (7, 6):
        cut(home.live, row)
        published.bring_up_to_date(home)
    assert rows(home.live) == ROWS - 2
    kept = [sqlite3.connect(home.live / f"experiment.db.{name}") for name in ("other", "other.2")]
    for one, last in zip(kept, (6, 5), strict=True):
        with contextlib.closing(one):
            assert chain.last(one)[0] == last
    assert "it is kept as experiment.db.other.2" in caplog.text


def test_what_gives_way_is_kept_with_its_log_and_in_the_place_of_nothing(home: Home) -> None:
    orphan = home.live / "experiment.db.other-wal"
    orphan.write_bytes(b"of one that was kept when its process died")
    with contextlib.closing(sqlite3.connect(home.live / DATABASE, isolation_level=None)) as reader:
        reader.execute("SELECT count(*) FROM events").fetchone()
        cut(home.live, 6)  # in the log, for as long as somebody reads
        published.bring_up_to_date(home)
    assert rows(home.live) == ROWS - 2
    assert orphan.read_bytes() == b"of one that was kept when its process died"
    with contextlib.closing(sqlite3.connect(home.live / "experiment.db.other.2")) as kept:
        assert chain.last(kept)[0] == 5
    assert not (home.live / f"{DATABASE}-wal").exists()


def test_a_log_and_a_mark_of_a_journal_that_is_gone_are_not_taken_for_those_of_another(home: Home, caplog) -> None:
    with contextlib.closing(sqlite3.connect(home.live / DATABASE, isolation_level=None)) as connection:
        connection.execute("UPDATE events SET wall = wall + 1 WHERE position = 5")
        log = (home.live / f"{DATABASE}-wal").read_bytes()
    (home.live / DATABASE).unlink()
    (home.live / f"{DATABASE}-wal").write_bytes(log)
    published.bring_up_to_date(home)
    check_end(home)
    assert rows(home.live) == ROWS - 2
    assert f"is gone, and had {ROWS} rows" in caplog.text


def test_an_end_that_went_with_the_power_is_had_from_what_was_published_and_what_was_not_is_said(home: Home) -> None:
    cut(home.live, 6)
    published.bring_up_to_date(home)
    assert rows(home.live) == ROWS - 2
    with pytest.raises(JournalCorruptError, match=rf"last row is {ROWS - 2}, and all up to row {ROWS} was acknow"):
        check_end(home)


def test_where_both_are_damaged_nothing_is_given_up_unless_that_is_wanted(home: Home, far: Path) -> None:
    overwrite(far)
    spoil(home.live, 5)
    published.bring_up_to_date(home)
    assert "row 5 of the journal" in str(journal.reach(home.live).damage)
    doctor.mend(home.live, accept_loss=True)
    assert rows(home.live) == rows(far) == 4


def test_a_damaged_one_that_was_published_and_has_more_is_given_up_only_when_that_is_wanted(
    home: Home, far: Path
) -> None:
    publishing.publish_now(home, None)
    cut(home.live, 6)
    spoil(far, 9)
    with pytest.raises(JournalCorruptError, match=f"doctor {home.address} --accept-loss"):
        published.bring_up_to_date(home)
    assert rows(home.live) == 5
    doctor.mend(home.live, accept_loss=True)
    assert rows(home.live) == rows(far) == 8


def test_one_that_does_not_say_what_it_is_of_is_given_up_for_a_whole_one_that_has_less(home: Home, far: Path) -> None:
    publishing.publish_now(home, None)
    cut(home.live, 6)
    misstate(far)
    with pytest.raises(JournalCorruptError, match="says about itself was changed"):
        published.bring_up_to_date(home)
    doctor.mend(home.live, accept_loss=True)
    assert rows(home.live) == rows(far) == 5


def test_so_is_one_of_this_machine_for_a_whole_one_that_was_published_before_its_end(home: Home, far: Path) -> None:
    misstate(home.live)
    published.bring_up_to_date(home)
    with pytest.raises(JournalCorruptError, match=f"all up to row {ROWS} was acknowledged"):
        check_end(home)
    doctor.mend(home.live, accept_loss=True)
    assert rows(home.live) == rows(far) == ROWS - 2


@pytest.mark.parametrize(("at", "left"), [(5, ROWS - 2), (ROWS, ROWS - 1)], ids=["published", "this machine's"])
def test_the_doctor_gives_up_as_little_as_can_be(home: Home, far: Path, at: int, left: int) -> None:
    spoil(home.live, at)
    doctor.mend(home.live, accept_loss=True)
    assert rows(home.live) == rows(far) == left
    check_end(home)


def test_what_was_published_by_a_later_version_is_not_called_damaged(home: Home, far: Path) -> None:
    change(far, "PRAGMA user_version = 99")
    with pytest.raises(NotAnExperimentError, match="upgrade audition"):
        published.bring_up_to_date(home)
