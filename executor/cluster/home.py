"""What a head keeps on its machine: its authority, its certificates, and the few names that outlive it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from executor.cluster.security.authority import Keyed, issue, new_authority, new_doorkeeper, new_head, request
from executor.cluster.security.credentials import Credentials, make_private, read_secret, write_secret
from executor.cluster.security.doorkeeper import DRIVER_VALID_S
from executor.cluster.security.roles import Role
from executor.errors import ClusterError

PLACE = "place.json"
_LOCK = ".lock"


@dataclass(slots=True)
class Names:
    """What a head that starts again has to know of the one before it."""

    cluster: str
    epoch: int = 0
    hosts: dict[str, int] = field(default_factory=dict)
    """How many nodes each has had."""
    free: dict[str, str] = field(default_factory=dict)
    """Of which host the names are that nobody knows a node by any more."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster is served, for those of this user who look into its folder."""

    host: str
    port: int
    door: int = 0
    pid: int = 0

    @property
    def address(self) -> str:
        """As in ``executor="grpc://..."``."""
        return f"{self.host}:{self.port}"

    def save(self, folder: Path) -> None:
        """Note it in the cluster's folder."""
        write_secret(folder / PLACE, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What was noted.

        Raises:
            ClusterError: nothing was.
        """
        try:
            return cls(**json.loads(read_secret(folder / PLACE)))
        except (ValueError, TypeError) as error:
            raise ClusterError(f"{folder / PLACE} was changed: {error}") from None


def is_served(folder: Path) -> bool:
    """Whether a head runs from this folder just now."""
    try:
        with (folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


class Home:
    """The folder of a head, held by one head at a time.

    Raises:
        ClusterError: another head runs from it, or it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        make_private(folder)
        self.folder = folder
        self._lock = (folder / _LOCK).open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise ClusterError(f"the head of cluster {folder.name!r} is running already") from None
        self.names = self._read_names()
        self.authority = self._keyed("authority", lambda: new_authority(folder.name))
        self.head = self._keyed("head", lambda: new_head(self.authority))
        self.door = self._keyed("door", new_doorkeeper)
        self._issue_driver()
        self.names.epoch += 1
        self.keep_names()

    def _read_names(self) -> Names:
        if not (self.folder / "names.json").exists():
            return Names(secrets.token_hex(8))
        try:
            return Names(**json.loads(read_secret(self.folder / "names.json")))
        except (ValueError, TypeError) as error:
            raise ClusterError(f"{self.folder / 'names.json'} was changed: {error}") from None

    def keep_names(self) -> None:
        """Write the names down."""
        write_secret(self.folder / "names.json", json.dumps(asdict(self.names)).encode())

    def _keyed(self, name: str, make: Callable[[], Keyed]) -> Keyed:
        if not (self.folder / f"{name}.key").exists():
            made = make()
            write_secret(self.folder / f"{name}.crt", made.certificate)
            write_secret(self.folder / f"{name}.key", made.key)
        return Keyed(read_secret(self.folder / f"{name}.crt"), read_secret(self.folder / f"{name}.key"))

    def _issue_driver(self) -> None:
        """Let this user run experiments without an invitation: the authority's key is his anyway."""
        asked, key = request(Role.DRIVER)
        certificate = issue(self.authority, asked, Role.DRIVER, f"{os.getuid()}-here", DRIVER_VALID_S)
        Credentials(self.authority.certificate, Keyed(certificate, key)).save(self.folder, Role.DRIVER)

    @property
    def door_files(self) -> tuple[Path, Path]:
        """Where the doorkeeper's certificate and key lie."""
        return self.folder / "door.crt", self.folder / "door.key"

    def denied(self) -> list[str]:
        """The serial numbers of certificates that were taken back, a line each in ``denied``."""
        path = self.folder / "denied"
        return path.read_text().split() if path.exists() else []

    def close(self) -> None:
        """Let another head use the folder."""
        (self.folder / PLACE).unlink(missing_ok=True)
        self._lock.close()
