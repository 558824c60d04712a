"""Where a worker stands right now: faulthandler writes it on a signal, also while a C call holds the interpreter.

It writes into a file without a name that driver and worker share, so that nothing is ever full and nobody waits.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from io import FileIO

from executor.platform import here

SIGNAL = signal.SIGURG
"""Ignored by processes that expect nothing, as those that a worker starts, and hardly ever used by programs."""

_LOOK_S = 0.01
_QUIET_S = 0.1
_AGAIN_S = 0.5
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_THREADING = os.path.abspath(threading.__file__)


def write_stacks_into(fd: int) -> None:
    """From now on this process's stacks are written into `fd` on the signal."""
    faulthandler.register(SIGNAL, fd, all_threads=True)


class StackFile:
    """The driver's end of one worker's stacks."""

    def __init__(self) -> None:
        self._file = FileIO(here.anonymous_file(), "r+")
        self._asking = threading.Lock()

    def share(self) -> int:
        """A descriptor of its own: for the worker, or for reading while another thread may close ours."""
        return os.dup(self._file.fileno())

    def read(self, fd: int, ask: Callable[[], bool], timeout_s: float) -> str:
        """The stacks; `ask` has the signal sent, and returns whether there is still a worker to send it to."""
        deadline = time.monotonic() + timeout_s
        if not self._asking.acquire(timeout=timeout_s):
            return f"no answer within {timeout_s:g} s: the process has not answered who asked before either"
        try:
            # Worker and driver share the position too: what it writes next begins the file.
            os.lseek(fd, 0, os.SEEK_SET)
            os.ftruncate(fd, 0)
            alive = _wait(fd, ask, deadline)
            text = os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")
        finally:
            self._asking.release()
        if text:
            return without_ours(text)
        if not alive:
            return "the process has ended"
        return (
            f"no answer within {timeout_s:g} s: the process is stopped or starting, cannot be interrupted where it is, "
            f"or has its own use for {SIGNAL.name}"
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _wait(fd: int, ask: Callable[[], bool], deadline: float) -> bool:
    """Wait until something is written and nothing more comes: there is no end mark. Whether the worker lives."""
    size, grew_at, ask_at = 0, time.monotonic(), 0.0
    while (now := time.monotonic()) < deadline:
        if (grown := os.fstat(fd).st_size) != size:
            size, grew_at = grown, now
        if size and now >= grew_at + _QUIET_S:
            return True
        # Again too, as the first may have come before the worker listened.
        if not size and now >= ask_at:
            ask_at = now + _AGAIN_S
            if not ask():
                return False
        time.sleep(_LOOK_S)
    return True


def without_ours(text: str) -> str:
    """What faulthandler wrote, without our own outermost frames, and without threads that are wholly ours."""
    threads = [_users_part(thread) for thread in _threads(text)]
    kept = [lines for lines in threads if len(lines) > 1]
    return "\n\n".join("\n".join(lines) for lines in kept) if kept else text.strip()


def _threads(text: str) -> Iterator[list[str]]:
    """Each thread's lines: a head, then its frames, the innermost first."""
    lines: list[str] = []
    for line in text.splitlines():
        if line and not line.startswith(" ") and lines:
            yield lines
            lines = []
        if line:
            lines.append(line)
    if lines:
        yield lines


def _users_part(lines: list[str]) -> list[str]:
    last = len(lines)
    while last > 1 and _is_ours(lines[last - 1]):
        last -= 1
    # A thread's own first frames are the standard library's: it is ours if nothing but ours follows.
    if all(_is_ours(line) or f'"{_THREADING}"' in line for line in lines[1:]):
        last = 1
    return lines[:last]


def _is_ours(line: str) -> bool:
    return line.startswith((f'  File "{_PACKAGE}', '  File "<string>", line 1 in <module>'))
