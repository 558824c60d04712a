"""What only Linux offers: subreapers, death signals, epoll, files without a name, control groups."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

from executor.platform.portable import kind_of_mount

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_F_SETSIG = 10
_CREDENTIALS = struct.Struct("3i")
_libc: Any = None


class _Epoll:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        # A pipe and not an eventfd, which takes only writes of eight bytes: signals write one.
        self._woken, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._epoll.register(self._woken, select.EPOLLIN)

    def register(self, fd: int) -> None:
        self._epoll.register(fd, select.EPOLLIN)

    def watch_writes(self, fd: int, wanted: bool) -> None:
        self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT if wanted else select.EPOLLIN)

    def unregister(self, fd: int) -> None:
        self._epoll.unregister(fd)

    def poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
        ready = self._epoll.poll(timeout_s)
        for fd, _ in ready:
            if fd == self._woken:
                os.read(fd, 4096)
                break
        return ready

    def wake(self) -> None:
        try:
            os.write(self._waker, b"w")
        except BlockingIOError:
            pass  # full: it will wake anyhow

    def wake_on_signals(self) -> None:
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    def close(self) -> None:
        if not self._epoll.closed:
            self._epoll.close()
            os.close(self._woken)
            os.close(self._waker)


def poller() -> _Epoll:
    return _Epoll()


def can_fork() -> bool:
    return True


def anonymous_file() -> int:
    return os.memfd_create("audition", os.MFD_CLOEXEC)


def shared_file(folder: str, size: int, *, on_disk: bool) -> tuple[int, str]:
    made = _file_without_name(folder) if on_disk else anonymous_file()
    try:
        if on_disk:
            os.posix_fallocate(made, 0, size)  # a full disk is to be met here, not where it is written to
        else:
            os.ftruncate(made, size)
        # Opened again, because the kernel counts writers only of what was opened; see `is_unused`.
        fd, path = _opened(f"/proc/self/fd/{made}", os.O_RDWR)
    finally:
        os.close(made)
    fcntl.fcntl(fd, _F_SETSIG, signal.SIGURG)
    return fd, path


def _opened(path: str, flags: int) -> tuple[int, str]:
    """A descriptor, and the path by which other processes open it."""
    fd = os.open(path, flags | os.O_CLOEXEC)
    return fd, f"/proc/{os.getpid()}/fd/{fd}"


def _file_without_name(folder: str) -> int:
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    import tempfile  # 5 ms, and hardly ever needed

    fd, path = tempfile.mkstemp(dir=folder)  # a file system that has no such files
    os.unlink(path)
    return fd


def remove_shared(path: str) -> None:
    """It has no name."""


def can_tell_unused() -> bool:
    return True


def is_unused(fd: int) -> bool:
    # The kernel grants a write lease only on a file that nobody else has open or mapped. Should somebody open it while
    # we hold the lease, we are told by a signal: SIGURG, which does nothing, rather than SIGIO, which ends a process.
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        return False
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def die_with_parent(parent: int) -> None:
    # The signal comes when the parent's *thread* that forked us ends; fork servers fork from their only thread.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_on_hangup(fd: int, wanted: bool) -> None:
    # SIGIO's default action ends the process in the kernel, also while a long import holds the interpreter.
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_ASYNC if wanted else flags & ~os.O_ASYNC)
    if wanted and select.select([fd], [], [], 0)[0]:
        os._exit(1)


def reap(just_ended: Callable[[int], None]) -> tuple[int, int, int] | None:
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is None:
        return None
    just_ended(ended.si_pid)
    pid, status, usage = os.wait4(ended.si_pid, 0)
    return pid, status, usage.ru_maxrss * 1024


def children() -> set[int]:
    found: set[int] = set()
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/children", "rb", buffering=0) as listing:
                found.update(map(int, listing.read().split()))
        except FileNotFoundError:
            return _children_by_scan()
    return found


def _children_by_scan() -> set[int]:
    """For kernels built without the listing of children."""
    me, found = os.getpid(), set()
    for pid in _processes():
        try:
            with open(f"/proc/{pid}/stat", "rb", buffering=0) as stat:
                # The name before it may hold blanks and brackets, so count from the last bracket.
                parent = int(stat.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        if parent == me:
            found.add(pid)
    return found


def marked(mark: str) -> list[int]:
    wanted, found = mark.encode(), []
    for pid in _processes():
        try:
            with open(f"/proc/{pid}/environ", "rb", buffering=0) as environ:
                if wanted in environ.readall().split(b"\0"):
                    found.append(pid)
        except OSError:
            continue
    return found


def _processes() -> list[int]:
    me = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != me]


def memory_of(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
            return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), None)
    except OSError:
        return None


def thread_count() -> int:
    return len(os.listdir("/proc/self/task"))


def flush_c_streams() -> None:
    _load_libc().fflush(None)


def usable_cpus() -> float:
    cpus = float(len(os.sched_getaffinity(0)))
    if quota := _words("/sys/fs/cgroup/cpu.max"):
        return cpus if quota[0] == "max" else min(cpus, int(quota[0]) / int(quota[1]))
    quota, period = _words("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), _words("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota and period and int(quota[0]) > 0:
        return min(cpus, int(quota[0]) / int(period[0]))
    return cpus


def usable_memory() -> int:
    with open("/proc/meminfo", encoding="ascii") as lines:
        total = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:"))
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = _words(path)
        if limit and limit[0] != "max":
            return min(total, int(limit[0]))
    return total


def _words(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []


def _prctl(option: int, value: int) -> None:
    if _load_libc().prctl(option, value, 0, 0, 0) != 0:
        raise OSError(f"prctl({option}, {value}) failed")


def _load_libc() -> Any:
    global _libc
    if _libc is None:
        import ctypes  # only worker processes need it: the driver starts without

        _libc = ctypes.CDLL(None)
    return _libc


def file_system(path: str) -> str:
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as lines:
        fields = [line.split(" ", 3) for line in lines]
    return kind_of_mount(path, ((_unescaped(where), kind) for _, where, kind, _ in fields))


def neighbourly(name: str) -> str | None:
    return f"\0{name}"


def open_across(connection: socket.socket, number: int) -> tuple[int, str]:
    # Opened anew, not sent over the socket: the kernel counts it as one more reader then; see `is_unused`.
    process, _ = _process_across(connection)  # 0 for one that has no number among ours
    return _opened(f"/proc/{process}/fd/{number}", os.O_RDONLY)


def user_across(connection: socket.socket) -> int | None:
    _, user = _process_across(connection)
    return user


def _process_across(connection: socket.socket) -> tuple[int, int]:
    """The process at the other end of a unix socket, and its user."""
    process, user, _ = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return process, user


def _unescaped(where: str) -> str:
    """A mount's place as it is called: blanks and backslashes come in octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), where)
