"""A checkpoint's manifest: it lists what was saved, notices every change, and never leads out of its directory."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tune.errors import CheckpointCorruptError
from tune.storage import manifest
from tune.storage.checkpoints import Checkpoint
from tune.storage.manifest import MANIFEST, Listed

FILES = ["weights.bin", "deep/er/state é.json"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A checkpoint's directory, beside a file that is none of its business."""
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "saved"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 4)
    (folder / "deep" / "er" / "state é.json").write_text('{"epoch": 3}')
    manifest.write(folder)
    return folder


def listing(*names: str, **other: object) -> str:
    files = [Listed(name, 6, hashlib.blake2b(b"secret").hexdigest()[:32]) for name in names]
    return json.dumps({"format": 2, "files": files, "checksum": manifest._checksum(files), **other})


def test_every_file_is_listed_with_its_size(saved: Path) -> None:
    assert [(one.name, one.size) for one in manifest.write(saved)] == [("deep/er/state é.json", 12), (FILES[0], 1024)]
    manifest.verify(saved)


def test_a_file_below_that_is_named_like_a_manifest_is_the_users(saved: Path) -> None:
    (saved / "deep" / MANIFEST).write_text("mine")
    manifest.write(saved)
    (saved / "deep" / MANIFEST).write_text("main")
    with pytest.raises(CheckpointCorruptError, match="deep"):
        manifest.verify(saved)


def test_a_directory_without_a_manifest_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointCorruptError, match="manifest"):
        manifest.verify(tmp_path)


def test_files_that_came_later_and_metadata_are_fine(saved: Path) -> None:
    (saved / "notes.txt").write_text("good one")
    Checkpoint(saved).set_metadata({"framework": "torch"})
    manifest.verify(saved)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"files": 1}', '{"files": [1]}', '{"files": [["a", "b", "c"]]}', "[" * 100_000, "\ud800"],
    ids=repr,
)
def test_what_is_no_manifest_is_refused(saved: Path, content: str) -> None:
    (saved / MANIFEST).write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(CheckpointCorruptError, match="its manifest cannot be read"):
        manifest.verify(saved)


def test_one_of_a_format_to_come_is_refused(saved: Path) -> None:
    (saved / MANIFEST).write_text(listing(format=3))
    with pytest.raises(CheckpointCorruptError, match="its format is 3"):
        manifest.verify(saved)


def test_one_of_the_first_format_is_read(saved: Path) -> None:
    listed = json.loads((saved / MANIFEST).read_text())["files"]
    (saved / MANIFEST).write_text(json.dumps({"format": 1, "files": listed}))
    manifest.verify(saved)
    (saved / "weights.bin").write_bytes(b"x")
    with pytest.raises(CheckpointCorruptError, match="weights"):
        manifest.verify(saved)


# Never out of its directory.


@pytest.mark.parametrize("name", ["../secret", "deep/../../secret", "/etc/passwd", "", ".", "deep\0er"])
def test_a_name_that_leaves_the_directory_is_refused(saved: Path, name: str) -> None:
    (saved / MANIFEST).write_text(listing(name))
    with pytest.raises(CheckpointCorruptError, match="is not inside the checkpoint"):
        manifest.verify(saved)


def test_a_link_that_was_put_in_the_place_of_a_file_is_refused(saved: Path, tmp_path: Path) -> None:
    (saved / "a").write_text("secret")
    (saved / "b").mkdir()
    (saved / "b" / "secret").write_text("secret")
    manifest.write(saved)
    (saved / "a").unlink()
    (saved / "a").symlink_to(tmp_path / "secret")
    with pytest.raises(CheckpointCorruptError, match="a is a link"):
        manifest.verify(saved)
    (saved / "b").rename(tmp_path / "b")
    (saved / "a").unlink()
    (saved / "a").write_text("secret")
    (saved / "b").symlink_to(tmp_path / "b")
    with pytest.raises(CheckpointCorruptError, match="b/secret is a link"):
        manifest.verify(saved)


def test_links_are_saved_as_what_they_point_to(saved: Path, tmp_path: Path) -> None:
    (saved / "inside").symlink_to("weights.bin")
    (saved / "outside").symlink_to(tmp_path / "secret")
    (saved / "folder").symlink_to("deep")
    listed = [one.name for one in manifest.write(saved)]
    assert listed == ["deep/er/state é.json", "folder/er/state é.json", "inside", "outside", "weights.bin"]
    assert not any(path.is_symlink() for path in saved.rglob("*"))
    (tmp_path / "secret").write_text("another")
    manifest.verify(saved)


@pytest.mark.parametrize(("target", "error"), [("nowhere", FileNotFoundError), ("..", ValueError)])
def test_links_to_nothing_or_to_where_they_are_cannot_be_saved(saved: Path, target: str, error: type) -> None:
    (saved / "deep" / "link").symlink_to(target)
    with pytest.raises(error, match=r"nowhere|which it is in"):
        manifest.write(saved)


# Damage.


def sweep(folder: Path, cases: int) -> Counter[str]:
    """What became of so many damages to any file of a checkpoint, each undone before the next."""
    chance = Random(cases)
    true = json.loads((folder / MANIFEST).read_text())["files"]
    contents = {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
    became: Counter[str] = Counter()
    for number in range(cases):
        # The manifest, which is the smallest, as often as the others.
        file = folder / MANIFEST if number % 2 else chance.choice(list(contents))
        content = bytearray(contents[file])
        at = chance.randrange(len(content))
        if number % 3 == 0:
            del content[at:]
        else:
            content[at] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
        try:
            manifest.verify(folder)
        except CheckpointCorruptError:
            became["noticed"] += 1
        else:
            assert json.loads((folder / MANIFEST).read_text())["files"] == true, f"{file.name} at {at}: unnoticed"
            became["harmless"] += 1
        file.write_bytes(contents[file])
    return became


@pytest.mark.fault("F16")
def test_no_cut_and_no_flipped_bit_of_a_checkpoint_goes_unnoticed(saved: Path) -> None:
    became = sweep(saved, 2000)
    print(f"{became.total()} damages of a checkpoint: {dict(became)}, none silent")
    assert became["noticed"] > 1990


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_cut_and_no_flipped_bit_of_a_checkpoint_goes_unnoticed_in_100_000_tries(saved: Path) -> None:
    became = sweep(saved, 100_000)
    print(f"{became.total()} damages of a checkpoint: {dict(became)}, none silent")
    assert became["noticed"] > 99_500
