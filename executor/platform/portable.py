"""What any POSIX system can do for worker processes: process groups, and watching the parent from a thread."""

from __future__ import annotations

import errno
import os
import secrets
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable

_PARENT_CHECK_S = 0.25


class _Poll:
    def __init__(self) -> None:
        self._poll = select.poll()
        self._wakers = os.pipe()
        for fd in self._wakers:
            os.set_blocking(fd, False)
        self._poll.register(self._wakers[0], select.POLLIN)
        self._closed = False

    def register(self, fd: int) -> None:
        self._poll.register(fd, select.POLLIN)
        self.wake()  # a poll that already waits does not learn of it otherwise

    def watch_writes(self, fd: int, wanted: bool) -> None:
        self._poll.modify(fd, select.POLLIN | select.POLLOUT if wanted else select.POLLIN)
        self.wake()

    def unregister(self, fd: int) -> None:
        self._poll.unregister(fd)

    def poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
        ready = self._poll.poll(None if timeout_s is None else max(0, timeout_s * 1000))
        if any(fd == self._wakers[0] for fd, _ in ready):
            os.read(self._wakers[0], 4096)
        return [(fd, mask) for fd, mask in ready if not mask & select.POLLNVAL]

    def wake(self) -> None:
        try:
            os.write(self._wakers[1], b"w")
        except BlockingIOError:
            pass  # full: it will wake anyhow

    def wake_on_signals(self) -> None:
        signal.set_wakeup_fd(self._wakers[1], warn_on_full_buffer=False)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            for fd in self._wakers:
                os.close(fd)


def poller() -> _Poll:
    return _Poll()


def can_fork() -> bool:
    return False


def anonymous_file() -> int:
    folder = os.environ.get("TMPDIR") or "/tmp"
    path = os.path.join(folder, f"audition-{secrets.token_hex(8)}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return fd


def shared_file(folder: str, size: int, *, on_disk: bool) -> tuple[int, str]:
    path = os.path.join(folder, f"object-{secrets.token_hex(8)}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _take_room(fd, size)
    except OSError:
        os.close(fd)
        os.unlink(path)
        raise
    return fd, path


def _take_room(fd: int, size: int) -> None:
    """Take room on disk now: a full disk is to be met here, not where the file is written to."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    zeros = bytes(min(size, 1 << 20))
    for begin in range(0, size, len(zeros)):
        os.pwrite(fd, zeros[: size - begin], begin)


def remove_shared(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # its folder was removed


def can_tell_unused() -> bool:
    return False


def is_unused(fd: int) -> bool:
    return False


def die_with_parent(parent: int) -> None:
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="audition-lifeline").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os._exit(1)


def adopt_orphans() -> None:
    """No such thing here: a worker's process group is all that can be ended with it."""


def die_on_hangup(fd: int, wanted: bool) -> None:
    """Not needed: without forking, the server loads nothing of the user's that could take long."""


def reap(just_ended: Callable[[int], None]) -> tuple[int, int, int] | None:
    pid, status, usage = os.wait4(-1, os.WNOHANG)
    if pid == 0:
        return None
    just_ended(pid)  # too late to be sure that the id is still taken, but not every system can tell before
    return pid, status, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def children() -> set[int]:
    return set()


def marked(mark: str) -> list[int]:
    return []


def memory_of(pid: int) -> int | None:
    import psutil  # 30 ms, and only for who asks

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def thread_count() -> int:
    return threading.active_count()


def flush_c_streams() -> None:
    """Left to the C library's own exit, which a worker does not reach: what C code buffers may be lost."""


def usable_cpus() -> float:
    return float(os.cpu_count() or 1)


def usable_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def file_system(path: str) -> str:
    import psutil

    mounts = psutil.disk_partitions(all=True)
    return kind_of_mount(path, ((one.mountpoint, one.fstype) for one in mounts))


def neighbourly(_name: str) -> str | None:
    return None


def open_across(_connection: socket.socket, _number: int) -> tuple[int, str]:
    raise OSError(errno.ENOSYS, "this system has no way to what other processes have open")


def user_across(_connection: socket.socket) -> int | None:
    return None  # each system has a way of its own, or none: there the socket's own mode keeps others out


def kind_of_mount(path: str, mounts: Iterable[tuple[str, str]]) -> str:
    """The kind of the innermost of `mounts`, (where, kind) each, that `path` is in; of two in one place the later."""
    above = [(len(where), at, kind) for at, (where, kind) in enumerate(mounts) if _is_in(path, where)]
    return max(above, default=(0, 0, ""))[2]


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
