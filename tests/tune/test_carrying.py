"""Checkpoints carried over a trial's channel: both ends, without the processes between them."""

from __future__ import annotations

import errno
import subprocess
import tempfile
from collections.abc import Iterator
from os import geteuid
from pathlib import Path
from queue import SimpleQueue

import pytest

from executor.interface import Channel
from executor.messages import Rank
from tune.errors import CheckpointCorruptError, StorageNotSharedError
from tune.machine.events import CheckpointRef, Take
from tune.porter import Porter
from tune.storage.places import DirectoryPlace
from tune.worker.carrying import PIECE_BYTES, Carried
from tune.worker.messages import Arrived, Piece, Task, Trouble, Want
from tune.worker.session import Session, Setting

DEADLINE_S = 30.0
SIZES = {"empty": 0, "small": 5, "deep/one piece": PIECE_BYTES, "more": 2 * PIECE_BYTES + 7}


class Line(Channel):
    """Attempt 1 of ``t0``, connected to a porter."""

    def __init__(self, porter: Porter) -> None:
        self._porter = porter
        self._answers: SimpleQueue[Take] = SimpleQueue()

    def emit(self, payload: Piece | Arrived | Want) -> Take:
        self._porter.take("t0", 1, payload, self._answers.put)
        return self._answers.get(timeout=DEADLINE_S)

    def tell(self, payload: object) -> None:
        raise AssertionError("each piece is answered")

    @property
    def cancelled(self) -> bool:
        return False


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DirectoryPlace:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return DirectoryPlace(str(tmp_path / "e"))


@pytest.fixture
def porter(place: DirectoryPlace) -> Iterator[Porter]:
    porter = Porter(place)
    yield porter
    porter.close()


@pytest.fixture
def trial(place: DirectoryPlace, porter: Porter) -> Carried:
    return Carried(place.address, Line(porter))


def fill(target: str) -> None:
    (Path(target) / "deep").mkdir()
    for name, size in SIZES.items():
        Path(target, name).write_bytes(bytes(range(251)) * (size // 251) + b"x" * (size % 251))
    Path(target, ".metadata.json").write_text('{"a": 1}')


def test_what_is_saved_is_where_the_experiment_is_and_can_be_fetched_again(trial, place, tmp_path) -> None:
    ref = trial.save("t0", 1, 3, fill)
    assert ref == CheckpointRef("checkpoints/t0/000003-1", 3, sum(SIZES.values()))
    kept, fetched = place.fetch(ref), trial.fetch(ref)
    for name, size in SIZES.items():
        assert (kept / name).stat().st_size == size
        assert (fetched / name).read_bytes() == (kept / name).read_bytes()
    assert place.at(ref).get_metadata() == {"a": 1}
    assert (fetched / ".metadata.json").read_text() == '{"a": 1}'
    trial.release(fetched)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", ["more", ".manifest.json"])
def test_what_is_not_what_was_saved_is_noticed_by_the_trial(trial, place, tmp_path, name: str) -> None:
    ref = trial.save("t0", 1, 3, fill)
    file = Path(place.address, ref.path, name)
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointCorruptError):
        trial.fetch(ref)
    file.unlink()
    with pytest.raises(CheckpointCorruptError):
        trial.fetch(ref)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_arrives_damaged_is_not_kept(trial, place) -> None:
    trial.channel.emit(Piece("checkpoints/t0/000001-1", "a", 0, b"a"))
    assert isinstance(trial.channel.emit(Arrived("checkpoints/t0/000001-1")).value, Trouble)
    assert place.names() == ["checkpoints/t0/.unfinished-000001-1"]
    trial.save("t0", 1, 1, fill)
    assert place.names() == ["checkpoints/t0/000001-1"]


def test_an_attempt_that_ends_leaves_no_pieces(trial, place, porter) -> None:
    trial.channel.emit(Piece("checkpoints/t0/000001-1", "a", 0, b"a"))
    porter.forget("t0", 1)
    assert trial.channel.emit(Want("checkpoints/t0/000001-1", "a", 0)) == Take(None)  # after that was done
    assert place.names() == []
    trial.channel.emit(Piece("checkpoints/t0/000002-1", "a", 0, b"a"))
    porter.close()
    assert place.names() == []


@pytest.mark.parametrize(
    "payload",
    [
        Piece("checkpoints/t0/000001-1", "../a", 0, b""),
        Piece("checkpoints/t0/000001-1", "/tmp/a", 0, b""),
        Piece("checkpoints/t1/000001-1", "a", 0, b""),
        Piece("checkpoints/t0/000001-2", "a", 0, b""),
        Piece("checkpoints/../t0/000001-1", "a", 0, b""),
        Arrived("checkpoints/t0/000001-1"),
        Want("checkpoints/../e", "experiment.db", 0),
        Want("checkpoints/t0/000001-1", "../../../experiment.db", 0),
        Want("experiment.db", "a", 0),
        Want("/etc", "passwd", 0),
    ],
    ids=str,
)
def test_an_attempt_reaches_nothing_but_checkpoints_and_writes_none_but_its_own(trial, place, payload) -> None:
    Path(place.address).mkdir()
    Path(place.address, "experiment.db").touch()
    assert isinstance(trial.channel.emit(payload).value, Trouble)
    assert [path.name for path in Path(place.address).rglob("*") if path.is_file()] == ["experiment.db"]


def test_a_worker_of_a_gang_that_may_not_speak_says_that_it_needs_shared_storage(trial) -> None:
    task = Task("t0", 2, {}, CheckpointRef("checkpoints/t0/000001-1", 1), {})
    session = Session(Setting(trial.address, "e"), task, trial.channel, lambda: 0.0, Rank(1, 2))
    with pytest.raises(StorageNotSharedError, match="rank 1 cannot go on from a checkpoint"):
        next(session.starting())


@pytest.mark.skipif(geteuid() != 0, reason="mounts a file system")
def test_no_room_where_the_experiment_is_run_is_told_as_such(trial, place) -> None:
    Path(place.address).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place.address], check=True)
    try:
        with pytest.raises(OSError, match="No space left on device") as caught:
            trial.save("t0", 1, 1, fill)
        assert caught.value.errno == errno.ENOSPC
    finally:
        subprocess.run(["umount", place.address], check=True)
