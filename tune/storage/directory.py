"""One experiment's directory: made, held by one process at a time, and tidied when it is taken up again."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import time
import weakref
from pathlib import Path
from typing import IO, Any

from tune.errors import ExperimentBusyError

LOCK = ".lock"
LOGS = "logs"
RENDEZVOUS = "rendezvous"
_ASKING_S = 0.2


class Hold:
    """Exclusive use of an experiment's directory, until `release` or the death of this process.

    A process that is forked meanwhile has no part in it: else it would keep the directory when this one is killed.
    Who knows its `token` can tell whether a directory is the one that is held: another machine may have one of that
    name.
    """

    def __init__(self, directory: Path, *, shared: bool = False) -> None:
        """What is held is flushed where it is `shared` with other machines: they would not see it before."""
        self.token = secrets.token_hex(16)
        self._file: IO[str] = (directory / LOCK).open("a+")
        try:
            if not _lock(self._file):
                busy = _read_holder(self._file)
                raise ExperimentBusyError(
                    f"experiment {directory} is run by process {busy.get('pid', '?')} on {busy.get('host', '?')}:"
                    " wait for it, or end it first"
                )
            if not _is_still(directory / LOCK, self._file):
                raise ExperimentBusyError(f"another run has just given {directory} up: try again")
            self._file.truncate(0)
            json.dump({"pid": os.getpid(), "host": socket.gethostname(), "token": self.token}, self._file)
            self._file.flush()
            if shared:
                os.fsync(self._file.fileno())
            _held.add(self)
        except BaseException:
            self._file.close()
            raise

    def release(self) -> None:
        """Let others use the directory."""
        self._file.truncate(0)
        fcntl.flock(self._file, fcntl.LOCK_UN)  # said, since a process that C code forked has the file open too
        self._file.close()

    def disown(self) -> None:
        """Have no part in it, as a forked process."""
        self._file.close()


_held: weakref.WeakSet[Hold] = weakref.WeakSet()


def _disown_all() -> None:
    for hold in list(_held):
        hold.disown()


os.register_at_fork(after_in_child=_disown_all)


def _is_still(path: Path, file: IO[str]) -> bool:
    """Whether `path` still names the opened file: who makes nothing of a directory takes its lock away."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


def holder(directory: Path) -> dict[str, Any] | None:
    """Who runs the experiment now, None when nobody does."""
    try:
        with (directory / LOCK).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return _read_holder(file)
    except OSError:
        pass
    return None


def is_held_by(directory: Path, token: str) -> bool:
    """Whether the hold with this `token` is on `directory`, as this machine sees it."""
    try:
        with (directory / LOCK).open() as file:
            return _read_holder(file).get("token") == token
    except OSError:
        return False


def sweep(directory: Path) -> None:
    """Remove what a killed process left beside its checkpoints: where gangs met."""
    shutil.rmtree(directory / RENDEZVOUS, ignore_errors=True)


def rendezvous(directory: Path, trial_id: str, attempt: int) -> Path:
    """Where the workers of one attempt meet; whoever comes first makes it."""
    return directory / RENDEZVOUS / f"{trial_id}.{attempt}"


def _lock(file: IO[str]) -> bool:
    """Lock for this process alone; False when another has it for longer than `holder` takes to ask."""
    until = time.monotonic() + _ASKING_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() > until:
                return False
        time.sleep(_ASKING_S / 20)


def _read_holder(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    try:
        found: dict[str, Any] = json.loads(file.read() or "{}")
    except ValueError:
        found = {}
    return found
