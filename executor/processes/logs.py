"""The files that workers print into: their last lines, their size cap, and none left behind that are empty."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from executor.processes.stacks import without_ours

LOG_CAP_BYTES = 50 * 2**20

_TAIL_LINES = 20
_TAIL_BYTES = 8192
_KEPT_SHARE = 10
_CHECK_S = 1.0
_FATAL = "Fatal Python error: "


class Logs:
    """The logs that processes have open. One larger than `cap_bytes` loses its oldest part."""

    def __init__(self, cap_bytes: int) -> None:
        self._cap_bytes = cap_bytes
        self._open: Counter[str] = Counter()
        self._next_check = 0.0

    def opened(self, path: str | None) -> None:
        """A process prints into `path` from now on."""
        if path is not None:
            self._open[path] += 1

    def left(self, path: str | None) -> bool:
        """It prints elsewhere from now on, and sees itself to an empty file; whether no other process prints there."""
        if path is None:
            return False
        self._open[path] -= 1
        if self._open[path]:
            return False
        del self._open[path]
        return True

    def closed(self, path: str | None) -> None:
        """It is gone; the file goes too if nothing was printed and no other process might still."""
        if path is not None and self.left(path):
            _remove_if_empty(path)

    def seconds_to_check(self) -> float | None:
        """How long until `check` is due again; None when there is nothing to check."""
        return max(0.0, self._next_check - time.monotonic()) if self._open else None

    def check(self) -> None:
        """Cut what has grown too large; looks at the files once a second at most."""
        if self._open and (now := time.monotonic()) >= self._next_check:
            self._next_check = now + _CHECK_S
            for path in self._open:
                cut(path, self._cap_bytes)


def tail(path: str | None) -> str:
    """The last lines of the file, as many as an error message can bear."""
    if path is None:
        return ""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(_without_our_frames(text).splitlines()[-_TAIL_LINES:])


def _without_our_frames(text: str) -> str:
    """What was printed, where a crash wrote its stacks at the end without those that tell its user nothing."""
    printed, mark, dump = text.rpartition(_FATAL)
    if not mark:
        return text
    what, _, stacks = dump.partition("\n")
    return f"{printed}{mark}{what}\n{without_ours(stacks)}"


def _remove_if_empty(path: str) -> None:
    file = Path(path)
    with suppress(OSError):
        if file.stat().st_size == 0:
            file.unlink()


def cut(path: str | Path, cap_bytes: int) -> None:
    """Where a log has outgrown its cap keep the last tenth of that.

    Writers append, so that they go on behind it; what they print during the cut may be lost.
    """
    log = Path(path)
    try:
        if log.stat().st_size <= cap_bytes:
            return
        with log.open("r+b", buffering=0) as file:
            file.seek(-(cap_bytes // _KEPT_SHARE), os.SEEK_END)
            kept = file.read()
            file.truncate(0)
        with log.open("ab", buffering=0) as file:
            file.write(b"[... earlier output was dropped: the log had outgrown %d bytes ...]\n" % cap_bytes + kept)
    except OSError:
        return  # removed or read-only: then there is nothing that we could cut
