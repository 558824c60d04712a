"""A checkpoint's manifest: every file with its size and checksum, and a checksum of the list itself.

It is written last, so a checkpoint that has one is whole. What it lists stays inside the checkpoint: whoever changed a
manifest cannot make a reader look at, or write, a file anywhere else.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tune.errors import CheckpointCorruptError

__audition_internal__ = True

MANIFEST = ".manifest.json"
METADATA = ".metadata.json"
FORMAT = 2
"""2 has a checksum of the list; 1 is read as it is."""

_DIGEST_LENGTH = 32


class Listed(NamedTuple):
    """One file: its path below the checkpoint, with slashes, its size in bytes, its checksum in hexadecimal."""

    name: str
    size: int
    digest: str


def write(folder: Path) -> list[Listed]:
    """List the files in `folder` in its manifest, and return the list.

    Metadata is not listed, since it may be set later. Links are replaced by what they point to: a checkpoint is whole
    in itself.

    Raises:
        ValueError: a link points to a directory that it is in.
        FileNotFoundError: a link points to nothing.
    """
    for link in [path for path in folder.rglob("*") if path.is_symlink()]:
        _replace_by_target(link)
    # A manifest that is here was copied along with another checkpoint's files.
    unlisted = (folder / MANIFEST, folder / METADATA)
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file not in unlisted)
    listed = [Listed(file.relative_to(folder).as_posix(), file.stat().st_size, digest(file)) for file in files]
    content = {"format": FORMAT, "files": listed, "checksum": _checksum(listed)}
    (folder / MANIFEST).write_text(json.dumps(content))
    return listed


def parse(content: bytes, where: object) -> list[Listed]:
    """The files that a manifest lists; `where` is the checkpoint, for the error.

    Raises:
        CheckpointCorruptError: it is no manifest, was changed, or names a file outside of the checkpoint.
    """
    try:
        found = json.loads(content)
        listed = [_checked(*one) for one in found["files"]]
        if found["format"] not in (1, FORMAT):
            raise ValueError(f"its format is {found['format']!r}, this audition reads {FORMAT}")
        if found["format"] == FORMAT and found["checksum"] != _checksum(listed):
            raise ValueError("its checksum is another")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointCorruptError(
            f"{where}: its manifest cannot be read ({str(error) or type(error).__name__})"
        ) from None
    return listed


def verify(folder: Path) -> None:
    """Compare a checkpoint's directory with its manifest.

    Raises:
        CheckpointCorruptError: a file is missing, or is not what was saved.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise CheckpointCorruptError(f"{folder}: its manifest cannot be read ({error})") from None
    for one in parse(content, folder):
        file = folder / one.name
        if any(path.is_symlink() for path in _down_to(file, folder)):
            raise CheckpointCorruptError(f"{folder}: {one.name} is a link, which no checkpoint is saved with")
        check(file, one, folder)


def check(file: Path, listed: Listed, where: object) -> None:
    """Whether `file` is what `listed` says it was.

    Raises:
        CheckpointCorruptError: it is missing, or is not what was saved.
    """
    if not file.is_file():
        raise CheckpointCorruptError(f"{where}: {listed.name} is missing")
    if file.stat().st_size != listed.size or digest(file) != listed.digest:
        raise CheckpointCorruptError(f"{where}: {listed.name} is not what was saved")


def digest(file: Path) -> str:
    """A file's checksum, as the manifest has it."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "blake2b").hexdigest()[:_DIGEST_LENGTH]


def inside(name: str) -> str:
    """`name`, if it is that of a file below a directory.

    Raises:
        ValueError: it leads elsewhere.
    """
    parts = PurePosixPath(name).parts
    # Joined to a directory, a path that begins at the root replaces it.
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise ValueError(f"it names {name!r}, which is not inside the checkpoint")
    return name


def _checked(name: object, size: object, digest_: object) -> Listed:
    if not (isinstance(name, str) and isinstance(size, int) and isinstance(digest_, str)):
        raise TypeError("an entry is no file with its size and checksum")
    return Listed(inside(name), size, digest_)


def _checksum(listed: list[Listed]) -> str:
    return hashlib.blake2b(json.dumps(listed).encode()).hexdigest()[:_DIGEST_LENGTH]


def _down_to(file: Path, folder: Path) -> Iterator[Path]:
    """`file` and the directories that it is in, below `folder`."""
    while file != folder:
        yield file
        file = file.parent


def _replace_by_target(link: Path) -> None:
    target = link.resolve(strict=True)
    if target in link.absolute().parents or target in link.resolve().parents:
        raise ValueError(f"the checkpoint has a link {link.name} to {target}, which it is in: remove it")
    link.unlink()
    if target.is_dir():
        shutil.copytree(target, link)
    else:
        shutil.copy2(target, link)
