"""Checkpoints on disk: whole or not at all, and noticed when they are not what was saved."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from tune.errors import CheckpointCorruptError
from tune.machine.events import CheckpointRef
from tune.storage import checkpoints, directory
from tune.storage.checkpoints import MANIFEST, METADATA, Checkpoint


def fill(target: str) -> None:
    Path(target, "weights.bin").write_bytes(bytes(range(256)) * 40)
    Path(target, "deep", "er").mkdir(parents=True)
    Path(target, "deep", "er", "state é.json").write_text('{"epoch": 3}')


FILES = ["weights.bin", "deep/er/state é.json"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return tmp_path / checkpoints.save(tmp_path, "t0", 2, 7, fill).path


def everything(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


# Saving.


def test_a_checkpoint_is_named_after_its_iteration_and_attempt(tmp_path: Path) -> None:
    ref = checkpoints.save(tmp_path, "t0", 2, 7, fill)
    assert ref == CheckpointRef("checkpoints/t0/000007-2", 7, 256 * 40 + 12)
    assert everything(tmp_path / ref.path) == sorted([MANIFEST, *FILES])
    checkpoints.verify(tmp_path / ref.path)


def test_attempts_do_not_write_into_each_others(tmp_path: Path) -> None:
    one, other = (checkpoints.save(tmp_path, "t0", attempt, 7, fill) for attempt in (1, 2))
    assert one.path != other.path
    checkpoints.verify(tmp_path / one.path)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_a_save_function_that_raises_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def raising(target: str) -> None:
        fill(target)
        raise error

    with pytest.raises(type(error)):
        checkpoints.save(tmp_path, "t0", 1, 1, raising)
    assert everything(tmp_path) == []
    assert list((tmp_path / "checkpoints" / "t0").iterdir()) == []


def test_what_a_killed_attempt_left_unfinished_is_no_obstacle(tmp_path: Path) -> None:
    rest = tmp_path / "checkpoints" / "t0" / ".unfinished-000001-1"
    rest.mkdir(parents=True)
    (rest / "half").write_text("x")
    ref = checkpoints.save(tmp_path, "t0", 1, 1, fill)
    assert "half" not in everything(tmp_path / ref.path)


def test_an_empty_checkpoint_is_one(tmp_path: Path) -> None:
    ref = checkpoints.save(tmp_path, "t0", 1, 1, lambda target: None)
    checkpoints.verify(tmp_path / ref.path)
    assert ref.bytes == 0


def test_a_directory_already_written_is_copied(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    fill(str(own))
    ref = checkpoints.save(tmp_path, "t0", 1, 1, checkpoints.copy_from(own))
    assert everything(own) == sorted(FILES)
    assert everything(tmp_path / ref.path) == sorted([MANIFEST, *FILES])


def test_a_checkpoint_made_from_another_has_its_own_manifest(tmp_path: Path, saved: Path) -> None:
    def grown(target: str) -> None:
        for file in saved.iterdir():
            if file.is_file():
                Path(target, file.name).write_bytes(file.read_bytes())
        Path(target, "more").write_text("x")

    for at, how in enumerate((checkpoints.copy_from(saved), grown)):
        checkpoints.verify(tmp_path / checkpoints.save(tmp_path, "t1", 1, at, how).path)


def test_a_file_below_that_is_named_like_a_manifest_is_the_users(tmp_path: Path) -> None:
    def nested(target: str) -> None:
        Path(target, "inner").mkdir()
        Path(target, "inner", MANIFEST).write_text("mine")

    first = tmp_path / checkpoints.save(tmp_path, "t0", 1, 1, nested).path
    second = tmp_path / checkpoints.save(tmp_path, "t0", 1, 2, checkpoints.copy_from(first)).path
    assert (second / "inner" / MANIFEST).read_text() == "mine"
    (second / "inner" / MANIFEST).write_text("main")
    with pytest.raises(CheckpointCorruptError, match="inner"):
        checkpoints.verify(second)


# Verifying.


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(CheckpointCorruptError, match=f"{name} is missing"):
        checkpoints.verify(saved)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(saved: Path, name: str) -> None:
    (saved / name).write_bytes((saved / name).read_bytes()[:-1])
    with pytest.raises(CheckpointCorruptError, match=f"{name} is not what was saved"):
        checkpoints.verify(saved)


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_noticed(saved: Path, name: str) -> None:
    raw = bytearray((saved / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (saved / name).write_bytes(raw)
    with pytest.raises(CheckpointCorruptError, match=f"{name} is not what was saved"):
        checkpoints.verify(saved)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"files": 1}', '{"files": [1]}', '{"files": [[1, 2, 3]]}'])
def test_a_manifest_that_makes_no_sense_is_noticed(saved: Path, content: str) -> None:
    (saved / MANIFEST).write_text(content)
    with pytest.raises(CheckpointCorruptError):
        checkpoints.verify(saved)


def test_every_changed_byte_of_the_manifest_is_harmless_or_noticed(saved: Path) -> None:
    whole = (saved / MANIFEST).read_bytes()
    listed = json.loads(whole)["files"]
    for at in range(len(whole)):
        raw = bytearray(whole)
        raw[at] ^= 1
        (saved / MANIFEST).write_bytes(raw)
        try:
            checkpoints.verify(saved)
        except CheckpointCorruptError:
            continue
        assert json.loads(raw)["files"] == listed


def test_a_checkpoint_without_a_manifest_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointCorruptError, match="manifest"):
        checkpoints.verify(tmp_path)


def test_files_that_came_later_and_metadata_are_fine(saved: Path) -> None:
    (saved / "notes.txt").write_text("good one")
    Checkpoint(saved).set_metadata({"framework": "torch"})
    checkpoints.verify(saved)


# What users hold.


def test_the_files_can_be_copied_and_read(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint.from_directory(saved)
    copied = checkpoint.to_directory(tmp_path / "copy")
    assert everything(Path(copied)) == sorted(FILES)
    with checkpoint.as_directory() as path:
        assert Path(path, "weights.bin").stat().st_size == 256 * 40
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    elsewhere = checkpoint.to_directory()
    assert Path(elsewhere).parent == tmp_path
    assert everything(Path(elsewhere)) == sorted(FILES)


def test_metadata_stays_with_the_files(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    checkpoint = Checkpoint(own)
    assert checkpoint.get_metadata() == {}
    checkpoint.set_metadata({"a": 1})
    checkpoint.update_metadata({"b": "é"})
    saved = tmp_path / checkpoints.save(tmp_path, "t0", 1, 1, checkpoints.copy_from(own)).path
    assert Checkpoint(saved).get_metadata() == {"a": 1, "b": "é"}
    Checkpoint(saved).update_metadata({"a": 2})
    checkpoints.verify(saved)
    assert METADATA in everything(Path(Checkpoint(saved).to_directory(tmp_path / "copy")))


def test_two_of_one_place_are_equal(saved: Path) -> None:
    assert Checkpoint(saved) == Checkpoint(str(saved))
    assert len({Checkpoint(saved), Checkpoint(str(saved)), Checkpoint("/elsewhere")}) == 2
    assert str(saved) in repr(Checkpoint(saved))


# Deleting and sweeping.


def test_deleting_takes_this_one_only_and_may_be_repeated(tmp_path: Path) -> None:
    one, other = (checkpoints.save(tmp_path, "t0", 1, at, fill) for at in (1, 2))
    for _ in range(2):
        checkpoints.delete(tmp_path, one)
    assert not (tmp_path / one.path).exists()
    checkpoints.verify(tmp_path / other.path)
    checkpoints.delete(tmp_path, other)
    assert not (tmp_path / "checkpoints" / "t0").exists()


def test_sweeping_removes_what_is_unknown_or_unfinished(tmp_path: Path) -> None:
    known, unknown, others = (
        checkpoints.save(tmp_path, name, 1, at, fill) for name, at in (("t0", 1), ("t0", 2), ("t1", 1))
    )
    (tmp_path / "checkpoints" / "t0" / ".unfinished-000003-1").mkdir()
    (tmp_path / "checkpoints" / ".DS_Store").write_text("x")
    directory.sweep(tmp_path, [known, others])
    assert sorted(path.name for path in (tmp_path / "checkpoints" / "t0").iterdir()) == ["000001-1"]
    assert not (tmp_path / unknown.path).exists()
    for kept in (known, others):
        checkpoints.verify(tmp_path / kept.path)
    directory.sweep(tmp_path / "nowhere", [])
