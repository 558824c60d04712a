"""A journal that is cut, flipped, or whose end is gone: noticed, said, and mended with what was lost named."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

import tune
from tests.tune.trainables import counting, iterations
from tune.doctor import Remedy, examine, mend
from tune.errors import JournalCorruptError, TuneError
from tune.machine.events import Entry
from tune.storage import chain, journal, mark

SPACE = {"config": {"x": tune.uniform(0, 1)}, "metric": "score", "mode": "max", "num_samples": 3, "seed": 2}
FILES = (journal.DATABASE, f"{journal.DATABASE}-wal")


@pytest.fixture
def whole(run, tmp_path: Path) -> Path:
    """An experiment of three trials that has ended."""
    run(counting, **SPACE)
    return tmp_path / "e"


@pytest.fixture
def open_one(whole: Path, tmp_path: Path) -> Path:
    """The same as a killed process leaves it: a part of it is in the write-ahead log still."""
    kept = tmp_path / "open"
    connection = journal.connect(whole / journal.DATABASE)
    try:
        rows = connection.execute("SELECT * FROM events ORDER BY position").fetchall()
        half = len(rows) // 2
        connection.execute("DELETE FROM events WHERE position > ?", (half,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.executemany(f"INSERT INTO events VALUES ({','.join('?' * 10)})", rows[half:])
        shutil.copytree(whole, kept)
    finally:
        connection.close()
    return kept


def read(path: Path) -> tuple[dict[str, object], list[Entry]]:
    """The journal in full, as a resume reads it."""
    acknowledged = mark.reached(path)
    with journal.reading(path) as connection:
        journal.check_end(path, acknowledged, chain.last(connection))
        return journal.facts(connection), [entry for _, entry in journal.entries(connection)]


def damages(path: Path, cases: int, seed: int) -> Iterator[str]:
    """Damage the files in `path` in one way after another, undoing each before the next."""
    chance = Random(seed)
    present = [path / name for name in FILES if (path / name).exists() and (path / name).stat().st_size]
    contents = {file: file.read_bytes() for file in present}
    for number in range(cases):
        file = chance.choice(present)
        content = bytearray(contents[file])
        at = chance.randrange(len(content))
        if number % 3 == 0:
            del content[at:]
            told = f"{file.name} cut at {at}"
        else:
            content[at] ^= 1 << chance.randrange(8)
            told = f"{file.name} flipped at {at}"
        file.write_bytes(content)
        yield told
        for one, before in contents.items():
            one.write_bytes(before)
        (path / f"{journal.DATABASE}-shm").unlink(missing_ok=True)


def sweep(path: Path, cases: int) -> Counter[str]:
    """What became of so many damages: each is noticed by an error of ours, or no harm at all."""
    true = read(path)
    became: Counter[str] = Counter()
    for told in damages(path, cases, seed=cases):
        try:
            found = read(path)
        except TuneError:
            became["noticed"] += 1
        else:
            assert found == true, f"{told}: silently another journal"
            became["harmless"] += 1
    return became


@pytest.mark.fault("F17")
def test_no_cut_and_no_flipped_bit_of_a_journal_goes_unnoticed(open_one: Path) -> None:
    became = sweep(open_one, 2000)
    print(f"{became.total()} damages of a journal: {dict(became)}, none silent")
    assert became["noticed"] > 500


@pytest.mark.long
@pytest.mark.timeout(3 * 3600)
def test_no_cut_and_no_flipped_bit_of_a_journal_goes_unnoticed_in_100_000_tries(open_one: Path) -> None:
    became = sweep(open_one, 100_000)
    print(f"{became.total()} damages of a journal: {dict(became)}, none silent")
    assert became["noticed"] > 25_000


@pytest.mark.fault("F17", "F42")
def test_an_end_that_is_gone_is_noticed_and_given_up_only_when_that_is_wanted(whole: Path) -> None:
    with sqlite3.connect(whole / journal.DATABASE) as connection:
        connection.execute("DELETE FROM events WHERE position > 20")
    connection.close()

    gone = r"the end of the journal is gone: its last row is 20, and all up to row \d+ was acknowledged"
    with pytest.raises(JournalCorruptError, match=gone):
        tune.ResultGrid(whole)
    with pytest.raises(JournalCorruptError, match="doctor"):
        tune.resume(whole, verbose=0)
    (finding,) = (one for one in examine(whole) if not one.note and one.remedy is Remedy.LOSS)
    assert finding.what.startswith("rows 21 to ")

    mend(whole, accept_loss=True)
    assert [one for one in examine(whole) if one.remedy is not Remedy.NONE] == []
    assert [iterations(one) for one in tune.resume(whole, verbose=0)] == [[1, 2, 3, 4, 5, 6]] * 3


@pytest.mark.fault("F17")
def test_a_damaged_row_is_named_and_what_is_before_it_is_saved(whole: Path) -> None:
    with sqlite3.connect(whole / journal.DATABASE) as connection:
        connection.execute("UPDATE events SET data = '{}' WHERE position = 15")
    connection.close()
    (finding,) = examine(whole)
    assert "row 15 of the journal" in finding.what

    done = mend(whole, accept_loss=True)
    assert "gave up" in done[0]
    assert (whole / "experiment.db.bad").exists()
    assert [iterations(one) for one in tune.resume(whole, verbose=0)] == [[1, 2, 3, 4, 5, 6]] * 3


@pytest.mark.fault("F17")
def test_whichever_page_of_the_file_is_gone_the_rows_before_it_are_saved_or_it_is_said_why(
    whole: Path, tmp_path: Path
) -> None:
    content = (whole / journal.DATABASE).read_bytes()
    size = int.from_bytes(content[16:18], "big")
    saved = 0
    for page in range(size, len(content), size):
        shutil.rmtree(tmp_path / "page", ignore_errors=True)
        shutil.copytree(whole, tmp_path / "page")
        (tmp_path / "page" / journal.DATABASE).write_bytes(content[:page] + bytes(size) + content[page + size :])
        try:
            mend(tmp_path / "page", accept_loss=True)
        except TuneError:
            continue
        saved += 1
        assert [one for one in examine(tmp_path / "page") if one.remedy is Remedy.LOSS] == []
    assert saved > len(content) / size / 2


def test_what_an_experiment_says_about_itself_is_covered_too(whole: Path) -> None:
    with sqlite3.connect(whole / journal.DATABASE) as connection:
        connection.execute("UPDATE experiment SET value = '[\"loss\"]' WHERE key = 'metrics'")
    connection.close()
    with pytest.raises(JournalCorruptError, match="says about itself was changed"):
        tune.ResultGrid(whole)


def test_a_healthy_experiment_is_called_so_and_leftovers_are_removed(whole: Path) -> None:
    assert [one for one in examine(whole) if not one.note] == []
    (whole / "checkpoints" / "t0" / ".unfinished-000009-1").mkdir()
    (finding,) = (one for one in examine(whole) if not one.note)
    assert finding.remedy is Remedy.MEND
    assert mend(whole, accept_loss=False) == ["removed checkpoints/t0/.unfinished-000009-1"]
    assert [one for one in examine(whole) if not one.note] == []


def test_a_damaged_checkpoint_is_found(whole: Path) -> None:
    latest = max((whole / "checkpoints" / "t1").iterdir())
    (latest / "step").write_text("7")
    (finding,) = (one for one in examine(whole) if not one.note)
    assert f"{latest}: step is not what was saved" in finding.what


def test_another_experiment_in_the_same_place_has_nothing_to_do_with_the_mark_of_the_first(whole: Path, run) -> None:
    (whole / journal.DATABASE).unlink()
    with pytest.raises(tune.InvalidArgumentError, match="checkpoints of an experiment whose journal is gone"):
        run(counting, **SPACE)
    shutil.rmtree(whole / "checkpoints")
    results = run(counting, **{**SPACE, "num_samples": 1})
    assert [iterations(one) for one in results] == [[1, 2, 3, 4, 5, 6]]
