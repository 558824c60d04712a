"""What the operating system can do for worker processes: `here` is Linux's own way, or what any POSIX system can.

``AUDITION_PORTABLE=1`` switches Linux's own way off, so that the other one can be tested on Linux as well.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Protocol, cast

from executor.errors import UnsupportedPlatformError


class Poller(Protocol):
    """Waits for file descriptors; they may be registered from any thread while another one waits."""

    def register(self, fd: int) -> None:
        """Wait for `fd` to become readable."""

    def watch_writes(self, fd: int, wanted: bool) -> None:
        """Also wait, or no longer wait, for `fd` to become writable."""

    def unregister(self, fd: int) -> None:
        """Forget `fd`."""

    def poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """What is ready, as (fd, mask of `select.POLLIN` and its kin), waiting for the first at most `timeout_s`.

        Having been woken is told too, once, as a descriptor that nobody registered: who polls again and again instead
        of waiting would miss it otherwise.
        """

    def wake(self) -> None:
        """Make a waiting `poll` return; safe from a signal handler."""

    def wake_on_signals(self) -> None:
        """Have every signal that Python handles wake it too, also one that comes just before the wait begins."""

    def close(self) -> None:
        """Close the poller's own descriptors."""


class Platform(Protocol):
    """The functions that each platform module has."""

    def can_fork(self) -> bool:
        """Whether workers may be forked from a process that has loaded the user's modules."""

    def poller(self) -> Poller:
        """A new poller."""

    def anonymous_file(self) -> int:
        """A descriptor of a file without a name."""

    def shared_file(self, folder: str, size: int, *, on_disk: bool) -> tuple[int, str]:
        """A file of `size` bytes for several processes to map, and the path by which they open it.

        In `folder`, its room on disk being taken at once; or in memory, where the system has files that are.

        Raises:
            OSError: there is no room for it.
        """

    def remove_shared(self, path: str) -> None:
        """Take away what `shared_file` left at the path, once its descriptor is closed."""

    def can_tell_unused(self) -> bool:
        """Whether `is_unused` knows."""

    def is_unused(self, fd: int) -> bool:
        """Whether no other descriptor of this file and no mapping through one exists, in any process."""

    def die_with_parent(self, parent: int) -> None:
        """End this process when `parent`, its parent, ends; at once when that has happened already."""

    def adopt_orphans(self) -> None:
        """Become the parent of descendants whose own parent ends."""

    def die_on_hangup(self, fd: int, wanted: bool) -> None:
        """While `wanted`, end this process when the other end of the socket `fd` closes (or sends anything)."""

    def reap(self, just_ended: Callable[[int], None]) -> tuple[int, int, int] | None:
        """An ended child's process id, wait status and peak of resident bytes, or None when none has ended.

        `just_ended` is told its id, while it is still taken.

        Raises:
            ChildProcessError: there are no children at all.
        """

    def children(self) -> set[int]:
        """The process ids of this process's children, as far as the system tells."""

    def marked(self, mark: str) -> list[int]:
        """The process ids of running processes that were started with ``mark`` in their environment."""

    def memory_of(self, pid: int) -> int | None:
        """Bytes of memory that a process has to itself, with its share of what it has in common with others."""

    def thread_count(self) -> int:
        """Threads in this process."""

    def flush_c_streams(self) -> None:
        """Write out what C code has printed so far."""

    def usable_cpus(self) -> float:
        """Cpus that this process may use."""

    def usable_memory(self) -> int:
        """Bytes of memory that this process may use."""

    def file_system(self, path: str) -> str:
        """The kind of file system that an absolute path without links is on, such as ``ext4`` or ``nfs4``."""

    def neighbourly(self, name: str) -> str | None:
        """The address of a unix socket of that name, which leads nowhere but to this machine; None without such names.

        Nothing of it is left once it is closed.
        """

    def open_across(self, connection: socket.socket, number: int) -> tuple[int, str]:
        """Open for reading what the process at the other end of a unix socket has open by that number.

        As from `shared_file`, a descriptor and the path by which other processes open it.

        Raises:
            OSError: it is not to be seen from here, or another user's.
        """

    def user_across(self, connection: socket.socket) -> int | None:
        """The user whose process is at the other end of a unix socket; None where the system does not tell."""


def is_linux() -> bool:
    """Whether Linux's own way is taken."""
    return sys.platform == "linux" and os.environ.get("AUDITION_PORTABLE", "") in ("", "0")


def _pick() -> Platform:
    module: ModuleType
    if is_linux():
        from executor.platform import linux as module
    else:
        from executor.platform import portable as module
    return cast(Platform, module)


def check() -> None:
    """Raise where worker processes cannot run.

    Raises:
        UnsupportedPlatformError: on Windows.
    """
    if sys.platform == "win32":
        raise UnsupportedPlatformError(
            "Windows: run inside WSL, or connect to an executor on another machine; "
            "worker processes need a POSIX operating system."
        )


here = _pick()
