"""Where an experiment is known to be, and where on this machine its database is written.

SQLite's write-ahead log is safe on a local disk only. The database of an experiment at a URL, or on a network file
system, is therefore written in a directory of this machine, and published to the experiment's home from there.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from executor.platform import here
from tune.storage import remote

LIVE_VARIABLE = "AUDITION_LIVE"
_ADDRESS = ".home"
_NETWORK = frozenset(
    "9p afs beegfs ceph cifs coda davfs gfs gfs2 glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs panfs pvfs2 smb3"
    " smbfs vboxsf virtiofs wekafs".split()
)
# What is mounted through FUSE is as often a local disk as not; these are known not to be.
_NETWORK_FUSE = frozenset(
    "fuse.ceph-fuse fuse.cephfs fuse.dislocker fuse.gcsfuse fuse.glusterfs fuse.goofys fuse.juicefs fuse.mfs"
    " fuse.mount-s3 fuse.rclone fuse.s3fs fuse.sshfs fuse.weka".split()
)


@dataclass(frozen=True, slots=True)
class Home:
    """An experiment at `address`, a directory or a URL.

    Its logs and what else its processes leave are in `directory`, and its database is written in `live`: the same
    directory as `address` where that is on a local disk.
    """

    address: str
    directory: Path
    live: Path

    @classmethod
    def at(cls, address: str | os.PathLike[str]) -> Home:
        """The home that `address` names."""
        if remote.is_url(address):
            url = str(address).rstrip("/")
            live = _live_directory(url)
            return cls(url, live, live)
        path = Path(address).expanduser().absolute()
        return cls(str(path), path, _live_directory(str(path)) if is_on_network(path) else path)

    @property
    def is_published(self) -> bool:
        """Whether readers elsewhere have only what is published."""
        return self.address != str(self.live)

    def make(self) -> None:
        """Make its directories."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.is_published:
            make_live(self.live, self.address)

    def remove_if_empty(self) -> None:
        """Take the directories away again when nothing came of them."""
        for path in {self.live, self.directory}:
            if self.is_published:
                (path / _ADDRESS).unlink(missing_ok=True)
            try:
                path.rmdir()
            except OSError:
                pass  # somebody put something there


def make_live(live: Path, address: str) -> None:
    """Make a directory for the database of the experiment at `address`, and say there whose it is."""
    live.mkdir(parents=True, exist_ok=True)
    (live / _ADDRESS).write_text(address)


def address_of(directory: Path) -> str:
    """Where the experiment is known to be whose database is in `directory`."""
    try:
        return (directory / _ADDRESS).read_text()
    except OSError:
        return str(directory)


def is_on_network(path: Path) -> bool:
    """Whether `path`, or what of it exists, is on a network file system."""
    while not path.exists() and path != path.parent:
        path = path.parent
    kind = here.file_system(str(path.resolve()))
    return kind in _NETWORK or kind in _NETWORK_FUSE


def _live_directory(address: str) -> Path:
    digest = hashlib.blake2b(address.encode(), digest_size=6).hexdigest()
    return _live_root() / f"{address.rpartition('/')[2]}-{digest}"


def _live_root() -> Path:
    """A directory of this user's on a local disk that outlives a restart of the machine."""
    if given := os.environ.get(LIVE_VARIABLE):
        return Path(given).expanduser().absolute()
    usual = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "audition"
    if not is_on_network(usual):
        return usual
    shared = Path(f"/var/tmp/audition-{os.getuid()}")
    shared.mkdir(mode=0o700, exist_ok=True)
    if shared.is_symlink() or shared.stat().st_uid != os.getuid():
        raise PermissionError(f"{shared} is another user's: set {LIVE_VARIABLE} to a directory on a local disk")
    return shared
