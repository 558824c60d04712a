"""Memory as Linux tells of it in /proc, and its control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator

from executor.platform import cgroups, portable_memory

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
_EXACT = (b"Pss_Anon", b"Pss_Shmem", b"SwapPss")

make_group = cgroups.make_group


def used_by(pid: int, limit_bytes: int) -> int:
    if not _LISTS_CHILDREN:
        return portable_memory.used_by(pid, limit_bytes)
    family = list(_family(pid))
    resident = sum(map(_resident, family))
    return resident if resident <= limit_bytes else sum(map(_own, family))


def _family(pid: int) -> Iterator[int]:
    """The process and its descendants: orphans too, because each worker adopts its own."""
    waiting = [pid]
    while waiting:
        yield (member := waiting.pop())
        waiting += _children(member)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as listing:
                    found += map(int, listing.read().split())
            except OSError:
                continue  # that thread has ended
    except OSError:
        pass  # the process has
    return found


def _resident(pid: int) -> int:
    """All that it has in memory, also what it shares with others and what the system could drop."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as words:
            return int(words.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _own(pid: int) -> int:
    """Its part of what the system cannot drop: not files it has mapped, and of what n processes share an nth."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb", buffering=0) as lines:
            rows = [line.split() for line in lines.read().splitlines()]
    except OSError:  # the process has ended, or it is another user's
        return _resident(pid)
    sizes = {row[0].rstrip(b":"): int(row[1]) * 1024 for row in rows if len(row) == 3 and row[2] == b"kB"}
    if _EXACT[0] not in sizes:  # before Linux 5.10
        return sizes.get(b"Pss", 0)
    return sum(sizes.get(name, 0) for name in _EXACT)


def free_bytes() -> int:
    free = cgroups.number("/proc/meminfo", "MemAvailable:") * 1024
    around = cgroups.surrounding()
    left = around.left_bytes() if around else None
    return free if left is None else min(free, left)


def system_kills() -> int:
    around = cgroups.surrounding()
    counted = around.kills() if around else None
    # Of the whole machine, so that it may speak of others: where nothing nearer is counted.
    return counted if counted is not None else cgroups.number("/proc/vmstat", "oom_kill")
