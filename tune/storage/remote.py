"""Files behind a URL, by fsspec: the one module that knows it. It and its schemes' packages are imported when needed.

A checkpoint there is whole once its manifest is, which is uploaded last: an object store has no rename. Credentials and
endpoints are those of the scheme's own tools, for S3 the variables ``AWS_...`` and the files in ``~/.aws``; fsspec's
own configuration (``FSSPEC_S3_ENDPOINT_URL``, ``~/.config/fsspec``) is read as well.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tune.errors import CheckpointCorruptError, StorageUnreachableError
from tune.storage import manifest
from tune.storage.manifest import MANIFEST, METADATA

__audition_internal__ = True

_URL = re.compile(r"[a-z][a-z0-9+.-]*://")
_EXTRAS = {"s3": "audition[s3]", "s3a": "audition[s3]"}


def is_url(address: object) -> bool:
    """Whether `address` has a scheme: ``s3://bucket/folder``."""
    return isinstance(address, str) and _URL.match(address) is not None


def mistake(url: str) -> str:
    """Why nothing can be kept at `url`; empty when it can."""
    scheme = url.partition("://")[0]
    if scheme == "memory":
        return "memory:// is one process's own, and trials run in others: give a directory, or a URL they all see"
    try:
        _system(scheme)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        return f"{error}" + (f": pip install '{extra}'" if extra else "")
    except ValueError as error:
        return str(error)
    return ""


def upload(folder: Path, url: str) -> None:
    """Copy a checkpoint's directory, which has its manifest, to `url`.

    Raises:
        OSError: it cannot be written there; nothing that is there counts then.
    """
    system, root = _at(url)
    names = [one.name for one in manifest.parse((folder / MANIFEST).read_bytes(), folder)]
    names += [METADATA] if (folder / METADATA).is_file() else []
    if names:
        system.put([str(folder / name) for name in names], [f"{root}/{name}" for name in names])
    system.put_file(str(folder / MANIFEST), f"{root}/{MANIFEST}")


def download(url: str, target: Path) -> None:
    """Copy the files of the checkpoint at `url` into `target`, and see whether they are what was saved.

    Raises:
        CheckpointCorruptError: they are not.
        OSError: they cannot be read now.
    """
    system, root = _at(url)
    content = read(f"{url}/{MANIFEST}")
    if content is None:
        raise CheckpointCorruptError(f"{url}: it has no manifest, so it is not whole")
    listed = manifest.parse(content, url)
    target.mkdir(parents=True, exist_ok=True)
    for one in listed:
        (target / one.name).parent.mkdir(parents=True, exist_ok=True)
    try:
        system.get([f"{root}/{one.name}" for one in listed], [str(target / one.name) for one in listed])
    except FileNotFoundError:
        gone = next((one.name for one in listed if not system.exists(f"{root}/{one.name}")), "a file of it")
        raise CheckpointCorruptError(f"{url}: {gone} is missing") from None
    for one in listed:
        manifest.check(target / one.name, one, url)
    if (metadata := read(f"{url}/{METADATA}")) is not None:
        (target / METADATA).write_bytes(metadata)


def read(url: str) -> bytes | None:
    """The content of a file; None when it does not exist."""
    system, path = _at(url)
    try:
        content: bytes = system.cat_file(path)
    except FileNotFoundError:
        return None
    return content


def exists(url: str) -> bool:
    """Whether there is a file."""
    system, path = _at(url)
    return bool(system.exists(path))


def version(url: str) -> str | None:
    """What is another whenever the file at `url` is; None when there is none."""
    system, path = _at(url)
    try:
        return str(system.ukey(path))
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def reaching(url: str) -> Iterator[None]:
    """Say of any error that comes of it that `url` cannot be reached; each scheme's library has errors of its own.

    Raises:
        StorageUnreachableError: an error came of it.
    """
    try:
        yield
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        hint = "look at its name, its credentials and its endpoint"
        raise StorageUnreachableError(f"{url} cannot be reached ({what}): {hint}") from error


def write(url: str, content: bytes) -> None:
    """Make a file, or replace it."""
    system, path = _at(url)
    system.pipe_file(path, content)


def fetch(url: str, target: Path) -> bool:
    """Copy a file from `url`; False when there is none."""
    system, path = _at(url)
    try:
        system.get_file(path, str(target))
    except FileNotFoundError:
        target.unlink(missing_ok=True)
        return False
    return True


def replace(source: Path, url: str) -> None:
    """Put a file in the place of the one at `url`, which is the old one or the new one at any moment."""
    system, path = _at(url)
    system.put_file(str(source), f"{path}.new")
    system.mv(f"{path}.new", path)


def remove_file(url: str) -> None:
    """Remove a file; one that is gone already is fine."""
    system, path = _at(url)
    with contextlib.suppress(FileNotFoundError):
        system.rm_file(path)


def remove(url: str) -> None:
    """Remove whatever is at `url`, its manifest first: what is left when this is cut short counts for nothing."""
    system, root = _at(url)
    with contextlib.suppress(FileNotFoundError):
        system.rm_file(f"{root}/{MANIFEST}")
    with contextlib.suppress(FileNotFoundError):
        system.rm(root, recursive=True)


def move(url: str, elsewhere: str) -> bool:
    """Move a checkpoint; False when there is none."""
    system, root = _at(url)
    target = _at(elsewhere)[1]
    names = files(url)
    for name in names:
        system.mv(f"{root}/{name}", f"{target}/{name}")
    remove(url)
    return bool(names)


def files(url: str) -> list[str]:
    """The paths of all files below `url`, from there, in order: an object store lists a thousand at a time."""
    system, root = _at(url)
    system.invalidate_cache(root)
    return sorted(str(path).removeprefix(f"{root}/") for path in system.find(root))


def _at(url: str) -> tuple[Any, str]:
    scheme = url.partition("://")[0]
    system = _system(scheme)
    return system, str(system._strip_protocol(url)).rstrip("/")  # noqa: SLF001 (how fsspec's own caller asks it)


def _system(scheme: str) -> Any:
    import fsspec

    # Listings are asked for while other processes write. Only what has directories must be told to make them.
    options = {"auto_mkdir": True} if scheme in ("file", "local") else {}
    return fsspec.filesystem(scheme, use_listings_cache=False, **options)
