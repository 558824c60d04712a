"""Code that travels: folders and modules as archives named by their content, kept on a node until room is needed."""

from __future__ import annotations

import io
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from hashlib import blake2b
from pathlib import Path

MOST_BYTES = 200 * 2**20
"""How large a package may be, packed."""

CACHE_BYTES = 2 * 2**30
"""How much a node keeps of packages that it may be asked for again."""

_NEVER = ("__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", "*.pyc")
_WHEN = (1980, 1, 1, 0, 0, 0)  # the same content is to have the same name, whenever it was written
_LARGEST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Package:
    """An archive, and its name: a hash of its content."""

    digest: str
    content: bytes = field(repr=False)


def pack(source: Path, *, inside: str = "", excludes: Sequence[str] = ()) -> Package:
    """The files of a folder, or one file, with `inside` before their names.

    What matches one of `excludes` (as `fnmatch` has it), by its name or by its path from `source`, stays out; so do
    caches, ``.git`` and ``.venv``.

    Raises:
        ValueError: there is nothing, or it is larger than a package may be.
        OSError: something in it cannot be read.
    """
    buffer = io.BytesIO()
    sizes: dict[str, int] = {}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file, name in _files(source, (*_NEVER, *excludes)):
            entry = zipfile.ZipInfo(f"{inside}/{name}" if inside else name, _WHEN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644) << 16
            content = file.read_bytes()
            sizes[name] = len(content)
            archive.writestr(entry, content)
            if buffer.tell() > MOST_BYTES:
                largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:_LARGEST_SHOWN]
                raise ValueError(
                    f"{source} is larger than {MOST_BYTES >> 20} MiB, packed; the largest files so far are "
                    f"{', '.join(largest)}: leave out what trials do not need by excludes=[...]"
                )
    if not sizes:
        raise ValueError(f"{source} holds no files")
    content = buffer.getvalue()
    return Package(_digest(content), content)


def _files(source: Path, excludes: Sequence[str]) -> Iterator[tuple[Path, str]]:
    if source.is_file():
        yield source, source.name
        return
    for folder, names, files in os.walk(source):
        inside = Path(folder).relative_to(source)
        names[:] = sorted(name for name in names if not _excluded(inside / name, excludes))
        for name in sorted(files):
            file = Path(folder, name)
            if not _excluded(inside / name, excludes) and file.is_file():
                yield file, (inside / name).as_posix()


def _excluded(path: Path, excludes: Sequence[str]) -> bool:
    return any(fnmatch(path.name, pattern) or fnmatch(path.as_posix(), pattern) for pattern in excludes)


def unpack(package: Package, target: Path) -> None:
    """Put the files of a package into a folder.

    Raises:
        OSError: they cannot be written.
        zipfile.BadZipFile: it is no archive.
    """
    with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
        for entry in archive.infolist():
            file = Path(archive.extract(entry, target))  # which lets no name lead out of the folder
            file.chmod(entry.external_attr >> 16 & 0o777)


def cache_folder() -> Path:
    """Where this user's packages are kept on this machine."""
    if given := os.environ.get("AUDITION_CACHE"):
        return Path(given, "packages")
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "audition" / "packages"


class PackageCache:
    """Archives in a folder that is its user's alone, the least recently used of which go when there are too many."""

    def __init__(self, folder: Path | None = None, most_bytes: int = CACHE_BYTES) -> None:
        self._folder = folder or cache_folder()
        self._most_bytes = most_bytes

    def find(self, digest: str) -> Package | None:
        """A package, if it is here and whole."""
        path = self._folder / digest
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return Package(digest, content) if _digest(content) == digest else None

    def keep(self, package: Package) -> None:
        """Keep a package.

        Raises:
            ValueError: it is not what its name says.
            OSError: it cannot be written.
        """
        if _digest(package.content) != package.digest:
            raise ValueError(f"package {package.digest} is not what its name says")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._make_room(len(package.content))
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".", delete=False) as file:
            file.write(package.content)
        Path(file.name).rename(self._folder / package.digest)

    def _make_room(self, size: int) -> None:
        kept = []
        for path in self._folder.iterdir():
            with suppress(OSError):  # another agent of this machine makes room too
                kept.append((path.stat().st_mtime, path.stat().st_size, path))
        held = sum(one for _, one, _ in kept)
        for _, one, path in sorted(kept):
            if held + size <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            held -= one


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()
