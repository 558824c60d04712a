"""A checkpoint as users hold it: a directory of files, here or behind a URL, from where they are fetched when read."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tune.storage import remote
from tune.storage.manifest import MANIFEST, METADATA

__audition_internal__ = True

SaveFunction = Callable[[str], object]


class Checkpoint:
    """A directory of a trial's saved state.

    Give one to `tune.report`, or read one from `tune.get_checkpoint()` and `result.checkpoint`. Inside a trial `path`
    is always a directory of this machine; of a result whose experiment is at a URL it is a URL too. The other methods
    fetch its files from there, and compare them with what was saved.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """The checkpoint whose files are in `path`."""
        return cls(path)

    def to_directory(self, path: str | os.PathLike[str] | None = None) -> str:
        """Copy the files to `path` (a new temporary directory by default) and return it.

        Raises:
            CheckpointCorruptError: they come from a URL and are not what was saved.
        """
        target = os.fspath(path) if path is not None else tempfile.mkdtemp(prefix="checkpoint-")
        if remote.is_url(self.path):
            remote.download(self.path, Path(target))
        else:
            copy(self.path, target)
        return target

    @contextlib.contextmanager
    def as_directory(self) -> Iterator[str]:
        """The files' directory, to read from, so do not change it. From a URL it is a copy, which is removed again.

        Raises:
            CheckpointCorruptError: the files come from a URL and are not what was saved.
        """
        if not remote.is_url(self.path):
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as copied:
            yield self.to_directory(copied)

    def get_metadata(self) -> dict[str, Any]:
        """What `set_metadata` stored, an empty dictionary when nothing."""
        content = remote.read(f"{self.path}/{METADATA}") if remote.is_url(self.path) else self._read_metadata()
        found: dict[str, Any] = json.loads(content) if content is not None else {}
        return found

    def set_metadata(self, metadata: dict[str, Any]) -> None:
        """Keep JSON values beside the files; replaces what was there."""
        content = json.dumps(metadata)
        if remote.is_url(self.path):
            remote.write(f"{self.path}/{METADATA}", content.encode())
        else:
            Path(self.path, METADATA).write_text(content)

    def update_metadata(self, metadata: dict[str, Any]) -> None:
        """Add to what is kept."""
        self.set_metadata({**self.get_metadata(), **metadata})

    def _read_metadata(self) -> bytes | None:
        path = Path(self.path, METADATA)
        return path.read_bytes() if path.is_file() else None

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)


def copy_from(source: str | os.PathLike[str]) -> SaveFunction:
    """A save function that copies a directory the user has written."""

    def fill(target: str) -> None:
        copy(source, target)

    return fill


def copy(source: str | os.PathLike[str], target: str) -> None:
    """Copy a checkpoint's files; its manifest is of the copied checkpoint and stays behind."""

    def left_behind(folder: str, names: list[str]) -> list[str]:
        return [MANIFEST] if MANIFEST in names and Path(folder) == Path(source) else []

    shutil.copytree(source, target, dirs_exist_ok=True, ignore=left_behind)
