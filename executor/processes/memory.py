"""The fork server's eye on memory: holds workers to their limits, and tells which of them ended for want of it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

from executor.messages import MemoryUse
from executor.platform.memory import MemoryGroup, gauge

_CHECK_S = 0.25
_REMOVING_S = 2.0
_SYSTEM_CHECK_S = 1.0


@dataclass(slots=True)
class _Watched:
    """A worker; without a limit its `limit_bytes` are 0, and nothing is done for it until it ends."""

    limit_bytes: int
    group: MemoryGroup | None
    system_kills_before: int
    joined: bool = False
    ran_out: MemoryUse | None = None


class MemoryWatch:
    """The workers of one fork server.

    A worker with a limit, and all that it starts, is in a group that the system holds to it; where no group can be
    made, what they use is looked at four times a second. Either way one that is above its limit is killed.
    """

    def __init__(self) -> None:
        self._workers: dict[int, _Watched] = {}
        self._limited: dict[int, _Watched] = {}
        self._leaving: dict[MemoryGroup, float] = {}
        self._next_check = 0.0
        self._system_kills = (0, float("-inf"))

    def started(self, pid: int, limit_bytes: int, group: MemoryGroup | None) -> None:
        """Watch a worker."""
        self._workers[pid] = watched = _Watched(limit_bytes, group, self._recent_system_kills())
        if limit_bytes:
            self._limited[pid] = watched

    def _recent_system_kills(self) -> int:
        """As they stood a second ago at most: workers may start faster than the system can count for each."""
        count, read_at = self._system_kills
        return count if time.monotonic() < read_at + _SYSTEM_CHECK_S else self._read_system_kills()

    def _read_system_kills(self) -> int:
        self._system_kills = gauge.system_kills(), time.monotonic()
        return self._system_kills[0]

    def seconds_to_check(self) -> float | None:
        """How long until `check` is due again; None while no worker has a limit."""
        return max(0.0, self._next_check - time.monotonic()) if self._limited else None

    def check(self) -> None:
        """Kill what is above its limit."""
        if not self._limited or (now := time.monotonic()) < self._next_check:
            return
        self._next_check = now + _CHECK_S
        for pid, watched in self._limited.items():
            if watched.ran_out is None and (used := _used_above_limit(pid, watched)):
                watched.ran_out = MemoryUse(used, watched.limit_bytes, gauge.free_bytes())
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def ended(self, pid: int, status: int, peak_bytes: int) -> MemoryUse | None:
        """A worker has ended: what it used if that was for want of memory."""
        self._limited.pop(pid, None)
        watched = self._workers.pop(pid)
        use = watched.ran_out or _group_ran_out(watched) or self._system_ran_out(watched, status, peak_bytes)
        if watched.group is not None:
            self.discard(watched.group)
        return use

    def _system_ran_out(self, watched: _Watched, status: int, peak_bytes: int) -> MemoryUse | None:
        """Probably: nobody of us knows who sent the signal, but the system has ended some process meanwhile."""
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            return None
        if self._read_system_kills() <= watched.system_kills_before:
            return None
        return MemoryUse(peak_bytes, None, gauge.free_bytes())

    def discard(self, group: MemoryGroup) -> None:
        """Remove a group, now or as soon as that can be."""
        if not group.remove():
            self._leaving[group] = time.monotonic() + _REMOVING_S

    def clear(self) -> bool:
        """Go on with ending what is in groups of ended workers; whether there is any that is worth waiting for."""
        self._leaving = {group: until for group, until in self._leaving.items() if not group.remove()}
        return any(time.monotonic() < until for until in self._leaving.values())


def _used_above_limit(pid: int, watched: _Watched) -> int:
    """What the worker used when that was too much, otherwise 0."""
    group = watched.group
    if group is not None:
        # One that could not join, or has not yet, is watched as if there were no group.
        watched.joined = watched.joined or group.holds(pid)
        if watched.joined:
            # The system may have ended only a child, whose parent would wait for it for ever.
            return _needed(watched.limit_bytes, group) if group.kills() and group.was_full() else 0
    used = gauge.used_by(pid, watched.limit_bytes)
    return used if used > watched.limit_bytes else 0


def _group_ran_out(watched: _Watched) -> MemoryUse | None:
    group = watched.group
    if group is None or not group.kills():
        return None
    if not group.was_full():  # not its limit then, but the machine's
        return MemoryUse(group.peak_bytes(), None, gauge.free_bytes())
    return MemoryUse(_needed(watched.limit_bytes, group), watched.limit_bytes, gauge.free_bytes())


def _needed(limit_bytes: int, group: MemoryGroup) -> int:
    """It was ended for one page more; the system counts in lots, so that its peak can be a little below."""
    return max(limit_bytes, group.peak_bytes())
