"""Workers of a gang on several machines: they find the same checkpoint, and are told where they cannot meet."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from executor.messages import Rank
from tune.errors import StorageNotSharedError
from tune.machine.events import CheckpointRef, Take
from tune.storage.places import Place, UrlPlace, place_at
from tune.worker.api import TuneContext
from tune.worker.messages import Refuse, Task
from tune.worker.session import Session, Setting


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return UrlPlace((tmp_path / "far").as_uri())


def worker(machine: Path, place: Place, number: int, checkpoint: CheckpointRef | None, attempt: int = 2) -> Session:
    """One of two workers, each on a machine of its own, with a directory that no other sees."""
    task = Task("t0", attempt, {}, checkpoint, {})
    return Session(Setting(str(machine), "e", place=place), task, None, None, Rank(number, 2, 0, 1))


def test_at_a_url_all_find_the_checkpoint_that_rank_0_found_whole(place: Place, tmp_path: Path) -> None:
    saved, damaged = (place.save("t0", 1, at, lambda target: Path(target, "a").touch()) for at in (1, 2))
    shutil.rmtree(tmp_path / "far" / damaged.path)
    first, second = (worker(tmp_path / f"machine {number}", place, number, damaged) for number in (0, 1))
    waiting = second.starting()
    assert next(waiting).payload is None
    assert next(waiting).payload is None
    finding = first.starting()
    assert isinstance(next(finding).payload, Refuse)
    with pytest.raises(StopIteration):
        finding.send(Take(saved))
    with pytest.raises(StopIteration):
        next(waiting)
    assert first.checkpoint == second.checkpoint == saved
    assert second.files is not None
    assert (second.files / "a").is_file()
    for session in (first, second):
        session.end()
    place.sweep([saved])
    assert place.names() == [saved.path]


def test_a_directory_that_they_do_not_share_is_refused(place: Place, tmp_path: Path) -> None:
    at_url = worker(tmp_path, place, 0, None, attempt=1)
    with pytest.raises(StorageNotSharedError, match=f"is at {place.address}: let them meet at MASTER_ADDR"):
        TuneContext(at_url).get_rendezvous_dir()
    not_here = worker(tmp_path, place_at(tmp_path / "another machine's"), 1, None, attempt=1)
    with pytest.raises(StorageNotSharedError, match="rank 1 cannot meet others"):
        TuneContext(not_here).get_rendezvous_dir()


def test_what_is_posted_is_of_one_attempt(place: Place, tmp_path: Path) -> None:
    for each in (place, place_at(tmp_path / "e")):
        assert each.posted("t0", 1) is None
        each.post("t0", 1, b"one")
        each.post("t0", 1, b"another")
        assert each.posted("t0", 1) == b"another"
        assert each.posted("t0", 2) is None
