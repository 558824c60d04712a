"""What psutil can tell of memory on any POSIX system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil


def make_group(limit_bytes: int) -> None:
    return None


def used_by(pid: int, limit_bytes: int) -> int:
    used = 0
    for process in _family(pid):
        with suppress(_psutil().Error):
            used += process.memory_info().rss
    return used


def _family(pid: int) -> Iterator[psutil.Process]:
    """The process, its descendants, and those of its session whose own parent is gone."""
    ids = {pid}
    with suppress(_psutil().Error):
        ids |= {child.pid for child in _psutil().Process(pid).children(recursive=True)}
    for other in _psutil().pids():
        with suppress(OSError):
            if os.getsid(other) == pid:
                ids.add(other)
    for member in ids:
        with suppress(_psutil().Error):
            yield _psutil().Process(member)


def free_bytes() -> int:
    return int(_psutil().virtual_memory().available)


def system_kills() -> int:
    return 0


def _psutil() -> Any:
    import psutil  # only while there are workers with a limit

    return psutil
