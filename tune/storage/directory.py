"""One experiment's directory: made, held by one process at a time, and tidied when it is taken up again."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from tune.errors import ExperimentBusyError
from tune.machine.events import CheckpointRef
from tune.storage.checkpoints import FOLDER

LOCK = ".lock"
LOGS = "logs"


class Hold:
    """Exclusive use of an experiment's directory, until `release` or the death of this process."""

    def __init__(self, directory: Path) -> None:
        self._file: IO[str] = (directory / LOCK).open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _read_holder(self._file)
            self._file.close()
            raise ExperimentBusyError(
                f"experiment {directory} is run by process {holder.get('pid', '?')} on {holder.get('host', '?')}:"
                " wait for it, or end it first"
            ) from None
        self._file.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname()}, self._file)
        self._file.flush()

    def release(self) -> None:
        """Let others use the directory."""
        self._file.truncate(0)
        self._file.close()


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


def sweep(directory: Path, kept: Iterable[CheckpointRef]) -> None:
    """Remove what a killed process left: unfinished checkpoints, and those that the journal does not know."""
    known = {directory / one.path for one in kept}
    for trial in (directory / FOLDER).glob("*"):
        for checkpoint in trial.iterdir():
            if checkpoint not in known:
                shutil.rmtree(checkpoint, ignore_errors=True)


def _read_holder(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    try:
        found: dict[str, Any] = json.loads(file.read() or "{}")
    except ValueError:
        found = {}
    return found
