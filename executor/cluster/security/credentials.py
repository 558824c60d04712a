"""Where keys and certificates lie: a folder of the user's own that nobody else can look into."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from executor.cluster.security.authority import Keyed
from executor.errors import ClusterError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def state_folder() -> Path:
    """Where clusters are known on this machine."""
    if given := os.environ.get("AUDITION_STATE"):
        return Path(given)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "audition"


def cluster_folder(name: str) -> Path:
    """The folder of the cluster that is called `name` here.

    Raises:
        ClusterError: it cannot be called that.
    """
    if not _NAME.fullmatch(name):
        raise ClusterError(f"a cluster's name is made of letters, digits, '.', '_' and '-', got {name!r}")
    return state_folder() / "clusters" / name


def known_clusters() -> list[str]:
    """The clusters that this machine has something of."""
    folder = state_folder() / "clusters"
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may enter, whatever the umask.

    Raises:
        ClusterError: it is there, and others may enter it or own it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat()
    if found.st_uid != os.getuid():
        raise ClusterError(f"{folder} belongs to another user: set AUDITION_STATE to a folder of your own")
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all, whatever the umask."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def read_secret(path: Path) -> bytes:
    """What is in a file that only its owner may read.

    Raises:
        ClusterError: it is not there, or others may read it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise ClusterError(f"{path} cannot be read: {error.strerror}") from None
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(file.fileno())
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise ClusterError(
                f"{path} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}), so it may be known to them: "
                f"make it yours alone with `chmod 600 {path}`, or remove it and join again"
            )
        return file.read()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What somebody shows to the head, and what the head must show."""

    authority: bytes
    own: Keyed

    def save(self, folder: Path, role: str) -> None:
        """Keep them in the cluster's folder."""
        make_private(folder)
        write_secret(folder / "authority.crt", self.authority)
        write_secret(folder / f"{role}.crt", self.own.certificate)
        write_secret(folder / f"{role}.key", self.own.key)

    @classmethod
    def load(cls, folder: Path, role: str) -> Credentials:
        """Those that were kept.

        Raises:
            ClusterError: they are not there, or others may read them.
        """
        own = Keyed(read_secret(folder / f"{role}.crt"), read_secret(folder / f"{role}.key"))
        return cls(read_secret(folder / "authority.crt"), own)
