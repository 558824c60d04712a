"""Checkpoints on disk: written by the trial's process beside their place, then renamed into it, with a manifest.

A checkpoint is a directory ``checkpoints/<trial>/<iteration>-<attempt>`` below the experiment's. Its manifest lists
every file with size and checksum, so that a torn or changed one is noticed before it is loaded. The attempt's number in
the name keeps a process that should be gone from writing into its successor's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tune.errors import CheckpointCorruptError
from tune.machine.events import CheckpointRef

__audition_internal__ = True

MANIFEST = ".manifest.json"
METADATA = ".metadata.json"
FOLDER = "checkpoints"

SaveFunction = Callable[[str], object]


class Checkpoint:
    """A directory of a trial's saved state.

    Give one to `tune.report`, or read one from `tune.get_checkpoint()` and `result.checkpoint`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """The checkpoint whose files are in `path`."""
        return cls(path)

    def to_directory(self, path: str | os.PathLike[str] | None = None) -> str:
        """Copy the files to `path` (a new temporary directory by default) and return it."""
        target = os.fspath(path) if path is not None else tempfile.mkdtemp(prefix="checkpoint-")
        _copy(self.path, target)
        return target

    @contextlib.contextmanager
    def as_directory(self) -> Iterator[str]:
        """The files' directory, to read from; nothing is copied, so do not change it."""
        yield self.path

    def get_metadata(self) -> dict[str, Any]:
        """What `set_metadata` stored, an empty dictionary when nothing."""
        path = Path(self.path, METADATA)
        found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        return found

    def set_metadata(self, metadata: dict[str, Any]) -> None:
        """Keep JSON values beside the files; replaces what was there."""
        Path(self.path, METADATA).write_text(json.dumps(metadata))

    def update_metadata(self, metadata: dict[str, Any]) -> None:
        """Add to what is kept."""
        self.set_metadata({**self.get_metadata(), **metadata})

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)


def save(directory: Path, trial_id: str, attempt: int, iteration: int, fill: SaveFunction) -> CheckpointRef:
    """Make a checkpoint: `fill` writes its files into the directory it is given; whole or not at all."""
    folder = directory / FOLDER / trial_id
    name = f"{iteration:06d}-{attempt}"
    unfinished = folder / f".unfinished-{name}"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    _make(unfinished)
    try:
        fill(str(unfinished))
        size = _write_manifest(unfinished)
        unfinished.rename(folder / name)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return CheckpointRef(f"{FOLDER}/{trial_id}/{name}", iteration, size)


def clear_unfinished(directory: Path, trial_id: str) -> None:
    """Remove what an attempt that died while it saved has left."""
    with contextlib.suppress(FileNotFoundError):  # `delete` may remove the folder at this moment
        for unfinished in (directory / FOLDER / trial_id).glob(".unfinished-*"):
            shutil.rmtree(unfinished, ignore_errors=True)


def copy_from(source: str | os.PathLike[str]) -> SaveFunction:
    """A save function that copies a directory the user has written."""

    def fill(target: str) -> None:
        _copy(source, target)

    return fill


def verify(path: Path) -> None:
    """Compare a checkpoint with its manifest.

    Raises:
        CheckpointCorruptError: a file is missing, or is not what was saved.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        listed: dict[str, tuple[int, str]] = {str(name): (size, digest) for name, size, digest in manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointCorruptError(f"{path}: its manifest cannot be read ({error})") from None
    for name, (size, digest) in listed.items():
        file = path / name
        if not file.is_file():
            raise CheckpointCorruptError(f"{path}: {name} is missing")
        if file.stat().st_size != size or _digest(file) != digest:
            raise CheckpointCorruptError(f"{path}: {name} is not what was saved")


def delete(directory: Path, checkpoint: CheckpointRef) -> None:
    """Remove a checkpoint; one that is gone already is fine."""
    shutil.rmtree(directory / checkpoint.path, ignore_errors=True)
    with contextlib.suppress(OSError):
        (directory / checkpoint.path).parent.rmdir()


def _make(unfinished: Path) -> None:
    """Make a directory in its trial's folder, which `delete` removes whenever it finds it empty."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            unfinished.mkdir(parents=True)
            return


def _copy(source: str | os.PathLike[str], target: str) -> None:
    """Copy a checkpoint's files; its manifest is of the copied checkpoint and stays behind."""

    def left_behind(folder: str, names: list[str]) -> list[str]:
        return [MANIFEST] if MANIFEST in names and Path(folder) == Path(source) else []

    shutil.copytree(source, target, dirs_exist_ok=True, ignore=left_behind)


def _write_manifest(path: Path) -> int:
    # Metadata may be set later; a manifest that is here was copied along with another checkpoint's files.
    unlisted = (path / MANIFEST, path / METADATA)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file not in unlisted)
    listed = [(str(file.relative_to(path)), file.stat().st_size, _digest(file)) for file in files]
    (path / MANIFEST).write_text(json.dumps({"format": 1, "files": listed}))
    return sum(size for _, size, _ in listed)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "blake2b").hexdigest()[:32]
