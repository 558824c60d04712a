"""Waiting for real processes to be gone, without asking again and again."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager

PROMISED_S = 2.0
"""How long anything that a worker started may outlive it."""


@contextmanager
def gone_afterwards(*pids: int, within_s: float = PROMISED_S) -> Iterator[None]:
    """The processes, which run now, are gone soon after the block."""
    watched = {pid: os.pidfd_open(pid) for pid in pids}
    try:
        yield
        for pid, fd in watched.items():
            poller = select.poll()
            poller.register(fd, select.POLLIN)
            assert poller.poll(within_s * 1000), f"process {pid} is still there"
    finally:
        for fd in watched.values():
            os.close(fd)
