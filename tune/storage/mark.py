"""The mark beside a journal: how far it is acknowledged, so that an end that is gone is noticed.

A chain of checksums says of each row whether it is what was written, and nothing of rows after the last. The mark is a
small file of two slots, written in turn, each with a checksum of its own, so that a torn one is passed over for the one
before it. It is written after the commit, so it is never ahead of what the journal promises: behind it by one group at
most when the process dies in between. It is never flushed: the system keeps it when the process dies, and after a loss
of power it may be old, which is no harm.
"""

from __future__ import annotations

import os
import struct
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

NAME = ".mark"
_SLOT = struct.Struct("<q8s8s")  # position, checksum of that row, checksum of these two


class Reached(NamedTuple):
    """The last row that was acknowledged: its position and checksum."""

    position: int
    checksum: bytes


class Mark:
    """The mark of a journal that is written."""

    def __init__(self, directory: Path) -> None:
        self._file = os.open(directory / NAME, os.O_RDWR | os.O_CREAT, 0o644)
        self._turn = 0

    def set(self, position: int, checksum: bytes) -> None:
        """Everything up to `position` is committed."""
        self._turn = 1 - self._turn
        slot = _SLOT.pack(position, checksum, _digest(position, checksum))
        os.pwrite(self._file, slot, self._turn * _SLOT.size)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def reached(directory: Path) -> Reached | None:
    """How far the journal in `directory` was acknowledged; None when it has no mark that can be read."""
    try:
        content = (directory / NAME).read_bytes()
    except OSError:
        return None
    found = []
    for at in range(0, len(content) - _SLOT.size + 1, _SLOT.size):
        position, checksum, digest = _SLOT.unpack_from(content, at)
        if digest == _digest(position, checksum):
            found.append(Reached(position, checksum))
    return max(found, default=None)


def _digest(position: int, checksum: bytes) -> bytes:
    return blake2b(b"%d %b" % (position, checksum), digest_size=8).digest()
