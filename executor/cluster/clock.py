"""A clock for leases: it also counts while the machine sleeps, as far as the system has one."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds from some moment, never going back."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
