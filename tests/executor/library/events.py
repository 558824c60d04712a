"""Files as events between a test and what it runs in other processes: no sleeping, and a deadline for each."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE_S = 30.0


class Signal:
    """Happens once, in any process; others wait for it. It is a named pipe, so that waiting is not asking."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = str(folder / name)
        if not Path(self.path).exists():
            os.mkfifo(self.path)

    def set(self) -> None:
        """Let it happen, for one who waits now or later."""
        fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        os.write(fd, b"x")
        # Kept open until somebody has read it: a pipe without ends forgets what is in it.
        _kept.append(fd)

    def wait(self) -> None:
        """Wait for it."""
        fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        try:
            ready, _, _ = select.select([fd], [], [], DEADLINE_S)
            assert ready, f"{self.path} did not happen"
            os.read(fd, 1)
        finally:
            os.close(fd)


_kept: list[int] = []


def holds(condition: Callable[[], bool], what: str) -> None:
    """Wait until what other processes change comes to hold, by looking again; for what tells nobody."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        select.select([], [], [], 0.01)
