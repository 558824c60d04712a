"""How much memory processes use, and groups of processes that the system itself holds to a limit.

``AUDITION_CGROUPS=0`` switches the groups off: then what processes use is only looked at from time to time.
"""

from __future__ import annotations

from types import ModuleType
from typing import Protocol, cast

from executor.platform import is_linux


class MemoryGroup(Protocol):
    """A process and all that it starts, held to a limit by the system, which ends some or all when they need more."""

    def open(self) -> int:
        """A descriptor; a process that writes ``0`` to it joins."""

    def holds(self, pid: int) -> bool:
        """Whether the process has joined."""

    def kills(self) -> int:
        """How many processes of it the system has ended for want of memory."""

    def was_full(self) -> bool:
        """Whether it was ever at its limit."""

    def peak_bytes(self) -> int:
        """The most that it used at one time; 0 where the system does not tell."""

    def remove(self) -> bool:
        """End all that is still in it, and remove it; whether it is gone. To be tried again until it is."""


class Gauge(Protocol):
    """The functions that each platform's module has."""

    def make_group(self, limit_bytes: int) -> MemoryGroup | None:
        """A new group, or None where none can be made."""

    def used_by(self, pid: int, limit_bytes: int) -> int:
        """Bytes that the process and its descendants use; counted with care only when that seems above the limit."""

    def free_bytes(self) -> int:
        """Bytes that processes like this one could still use."""

    def system_kills(self) -> int:
        """A count that rises when the system ends a process like this one for want of memory; 0 where it tells none."""


def _pick() -> Gauge:
    module: ModuleType
    if is_linux():
        from executor.platform import linux_memory as module
    else:
        from executor.platform import portable_memory as module
    return cast(Gauge, module)


gauge = _pick()
