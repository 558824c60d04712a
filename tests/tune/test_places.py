"""Every place for checkpoints keeps the same contract: whole or not at all, and noticed when not what was saved."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.tune.s3 import s3  # noqa: F401 (a fixture)
from tune.errors import CheckpointCorruptError
from tune.machine.events import CheckpointRef
from tune.storage import remote
from tune.storage.checkpoints import Checkpoint, copy_from
from tune.storage.directory import Hold
from tune.storage.manifest import MANIFEST, METADATA
from tune.storage.places import DAMAGED, DirectoryPlace, Place, UrlPlace, place_at

FILES = ["deep/er/state é.json", "weights.bin"]


def fill(target: str) -> None:
    Path(target, "weights.bin").write_bytes(bytes(range(256)) * 40)
    Path(target, "deep", "er").mkdir(parents=True)
    Path(target, "deep", "er", "state é.json").write_text('{"epoch": 3}')


@pytest.fixture(params=["directory", "file", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    unique = tmp_path.name
    match request.param:
        case "directory":
            return place_at(tmp_path / "e")
        case "file":
            return place_at((tmp_path / "url" / "e").as_uri())
        case "memory":
            return place_at(f"memory://{unique}/e")
        case _:
            return place_at(f"{request.getfixturevalue('s3')}/{unique}/e/")


def everything(folder: Path | str) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in Path(folder).rglob("*") if file.is_file())


def change(place: Place, ref: CheckpointRef, name: str, content: bytes | None) -> None:
    """Give a file of a checkpoint other content, or remove it."""
    at = f"{place.address}/{ref.path}/{name}"
    if isinstance(place, DirectoryPlace):
        at = f"file://{at}"
    if content is None:
        system, path = remote._at(at)
        system.rm_file(path)
    else:
        remote.write(at, content)


def leftovers(tmp_path: Path) -> list[str]:
    return everything(tmp_path / "tmp")


def test_an_address_names_a_directory_or_a_url(tmp_path: Path) -> None:
    assert place_at(tmp_path) == DirectoryPlace(str(tmp_path))
    assert place_at("gs://bucket/e/") == UrlPlace("gs://bucket/e")


def test_a_worker_sees_a_directory_only_where_its_run_holds_it(tmp_path: Path) -> None:
    ours, others = tmp_path / "ours", tmp_path / "others"
    for directory in (ours, others):
        directory.mkdir()
    held, _left = Hold(ours), Hold(others).release()
    assert place_at(ours).held(held.token).is_seen()
    assert not place_at(others).held(held.token).is_seen()
    held.release()
    later = Hold(ours)
    assert not place_at(ours).held(held.token).is_seen()
    later.release()


def test_what_is_saved_is_fetched_again(place: Place, tmp_path: Path) -> None:
    ref = place.save("t0", 2, 7, fill)
    assert ref == CheckpointRef("checkpoints/t0/000007-2", 7, 256 * 40 + 12)
    fetched = place.fetch(ref)
    assert everything(fetched) == sorted([MANIFEST, *FILES] if isinstance(place, DirectoryPlace) else FILES)
    assert (fetched / "weights.bin").read_bytes() == bytes(range(256)) * 40
    place.release(fetched)
    assert place.names() == [ref.path]
    assert leftovers(tmp_path) == []


def test_attempts_do_not_write_into_each_others(place: Place) -> None:
    one, other = (place.save("t0", attempt, 7, fill) for attempt in (1, 2))
    assert one.path != other.path
    place.delete(one)
    place.release(place.fetch(other))


def test_two_runs_at_a_url_do_not_write_into_each_others_though_the_attempts_are_called_alike() -> None:
    url = place_at("memory://two-runs/e")
    one, other = (url.held(token).save("t0", 1, 7, fill) for token in ("0123456789abcdef", "fedcba9876543210"))
    assert one.path == "checkpoints/t0/000007-1-01234567"
    url.delete(one)
    url.release(url.fetch(other))
    url.held("0123456789abcdef").post("t0", 1, b"meet here")
    assert url.held("fedcba9876543210").posted("t0", 1) is None


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_a_save_function_that_raises_leaves_nothing(place: Place, tmp_path: Path, error: BaseException) -> None:
    def raising(target: str) -> None:
        fill(target)
        raise error

    with pytest.raises(type(error)):
        place.save("t0", 1, 1, raising)
    assert place.names() == []
    assert leftovers(tmp_path) == []


def test_an_empty_checkpoint_is_one(place: Place) -> None:
    ref = place.save("t0", 1, 1, lambda target: None)
    place.release(place.fetch(ref))
    assert ref.bytes == 0


def test_what_is_staged_is_no_checkpoint_yet(place: Place, tmp_path: Path) -> None:
    staged = place.stage("t0", 1, 1, fill)
    with pytest.raises(CheckpointCorruptError):
        place.fetch(CheckpointRef(staged.name, 1))
    place.discard(staged)
    assert leftovers(tmp_path) == []
    again = place.commit(place.stage("t0", 1, 1, fill))
    place.release(place.fetch(again))


def test_what_a_killed_attempt_left_is_cleared_by_the_next(place: Place, tmp_path: Path) -> None:
    saved, others = place.save("t1", 1, 1, fill), place.stage("t10", 1, 1, fill)
    place.stage("t1", 1, 2, fill)
    place.fetch(saved, "t1")
    place.clear_unfinished("t1")
    kept = place.fetch(saved)
    place.release(kept)
    assert others.folder.is_dir()
    place.discard(others)
    assert leftovers(tmp_path) == []
    assert place.names() == [saved.path]


def test_a_donor_that_starts_again_leaves_its_copy_the_files_it_reads(place: Place) -> None:
    saved = place.save("t0", 1, 1, fill)
    read_by_its_copy = place.fetch(saved, "t1")
    place.clear_unfinished("t0")
    assert (read_by_its_copy / "weights.bin").stat().st_size == 256 * 40
    place.release(read_by_its_copy)


def test_an_attempt_killed_before_this_one_saved_is_no_obstacle(place: Place) -> None:
    Path(place.stage("t0", 1, 1, fill).folder, "half").write_text("x")
    ref = place.save("t0", 1, 1, fill)
    assert "half" not in everything(place.fetch(ref))


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("how", ["missing", "cut", "flipped"])
def test_a_damaged_file_is_noticed(place: Place, tmp_path: Path, name: str, how: str) -> None:
    ref = place.save("t0", 1, 1, fill)
    address = f"{place.address}/{ref.path}/{name}"
    content = remote.read(f"file://{address}" if isinstance(place, DirectoryPlace) else address)
    assert content is not None
    flipped = bytes([*content[:-3], content[-3] ^ 1, *content[-2:]])
    change(place, ref, name, {"missing": None, "cut": content[:-1], "flipped": flipped}[how])
    with pytest.raises(CheckpointCorruptError, match="manifest" if name == MANIFEST else name):
        place.fetch(ref)
    assert leftovers(tmp_path) == []


def test_deleting_takes_this_one_only_and_may_be_repeated(place: Place, tmp_path: Path) -> None:
    one, other = (place.save("t0", 1, at, fill) for at in (1, 2))
    for _ in range(2):
        place.delete(one)
    assert place.names() == [other.path]
    place.delete(other)
    assert place.names() == []
    assert not (tmp_path / "e" / "checkpoints" / "t0").exists()


def test_sweeping_removes_what_is_unknown_or_unfinished_and_says_so(place: Place) -> None:
    known, unknown, others = (place.save(name, 1, at, fill) for name, at in (("t0", 1), ("t0", 2), ("t1", 1)))
    torn = place.save("t2", 1, 1, fill)
    change(place, torn, MANIFEST, None)
    assert place.sweep([known, others]) == [unknown.path, torn.path]
    assert place.names() == [known.path, others.path]
    for kept in (known, others):
        place.release(place.fetch(kept))
    assert type(place)(f"{place.address}/nowhere").sweep([]) == []


def test_a_damaged_checkpoint_is_set_aside_to_look_at(place: Place) -> None:
    ref = place.save("t0", 1, 1, fill)
    where = place.set_aside(ref)
    assert where == f"{place.address}/damaged/t0/000001-1"
    assert place.names() == []
    assert place.names(DAMAGED) == ["damaged/t0/000001-1"]
    with Checkpoint(where).as_directory() as path:
        assert Path(path, "weights.bin").stat().st_size == 256 * 40
    assert place.set_aside(ref) == ""
    assert place.sweep([]) == []


# What users hold.


def test_a_checkpoint_is_read_wherever_it_is(place: Place, tmp_path: Path) -> None:
    checkpoint = place.at(place.save("t0", 1, 1, fill))
    assert checkpoint == Checkpoint(f"{place.address}/checkpoints/t0/000001-1")
    with checkpoint.as_directory() as path:
        assert Path(path, "weights.bin").stat().st_size == 256 * 40
    assert everything(checkpoint.to_directory(tmp_path / "copy")) == FILES
    elsewhere = checkpoint.to_directory()
    assert Path(elsewhere).parent == tmp_path / "tmp"
    assert everything(elsewhere) == FILES


def test_metadata_stays_with_the_files(place: Place, tmp_path: Path) -> None:
    own = Checkpoint(tmp_path / "own")
    Path(own.path).mkdir()
    assert own.get_metadata() == {}
    own.set_metadata({"a": 1})
    own.update_metadata({"b": "é"})
    ref = place.save("t0", 1, 1, copy_from(own.path))
    saved = place.at(ref)
    assert saved.get_metadata() == {"a": 1, "b": "é"}
    saved.update_metadata({"a": 2})
    fetched = place.fetch(ref)
    assert Checkpoint(fetched).get_metadata() == {"a": 2, "b": "é"}
    place.release(fetched)
    assert METADATA in everything(saved.to_directory(tmp_path / "copy"))


def test_a_checkpoint_made_from_another_has_its_own_manifest(place: Place) -> None:
    first = place.save("t0", 1, 1, fill)
    fetched = place.fetch(first)
    second = place.save("t1", 1, 1, copy_from(fetched))
    place.release(fetched)
    place.release(place.fetch(second))
