"""Ctrl-C and other signals that ask a run to end: gently, then at once, the third time whatever it waits for."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

AT_ONCE = 3
"""The signal that ends the process, or in a notebook the cell."""


@contextlib.contextmanager
def interruptible(interrupt: Callable[[str], int]) -> Iterator[None]:
    """Have `interrupt` called with the name of each signal that asks the run to end; it returns how many have.

    What handled them before does so again afterwards. A signal that is ignored, as nohup has it, or that a library in C
    handles, is left alone, and off the main thread all are. The journal has all that was reported, however the run
    ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        if interrupt(signal.Signals(number).name) < AT_ONCE:
            return
        if "ipykernel" in sys.modules:  # where the process is not ours to end
            raise KeyboardInterrupt
        os._exit(128 + number)

    heard = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    heard = [number for number in heard if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
