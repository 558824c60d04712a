"""What real worker processes run in the tests of memory limits. Functions here take a channel and an argument."""

from __future__ import annotations

import mmap
import os
import signal
import sys
from pathlib import Path
from typing import Any

from executor.interface import Channel

MIB = 2**20


def fill(size: int) -> bytearray:
    """Memory that is really used: every page is written."""
    return bytearray(b"x" * MIB) * (size // MIB)


def outgrow(channel: Channel, argument: tuple[str, int]) -> None:
    """Tell who this is, then use so much memory here, in a child, or in one whose own parent has ended."""
    who, size = argument
    channel.tell((os.getpid(), os.getppid()))
    if who == "itself":
        held = [fill(size)]
    elif (child := os.fork()) == 0:
        if who == "an orphan" and os.fork() != 0:
            os._exit(0)
        held = [fill(size)]
    elif who == "an orphan":
        os.waitpid(child, 0)
    signal.pause()
    del held


def hold(channel: Channel, size: int) -> Any:
    """Use so much memory until told to return."""
    held = fill(size)
    answer = channel.emit((os.getpid(), os.getppid()))
    del held
    return answer


def map_files(channel: Channel, size: int) -> Any:
    """Have so much of a file in memory, which costs nothing: it is one file, mapped again and again."""
    maps = []
    with Path(sys.executable).open("rb") as file:
        for _ in range(1 + size // os.fstat(file.fileno()).st_size):
            maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            for page in range(0, len(maps[-1]), mmap.PAGESIZE):
                maps[-1][page]
    return channel.emit((os.getpid(), os.getppid()))
