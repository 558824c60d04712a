"""Large objects on this machine: a piece of shared memory each, or a file on disk when the memory budget is full.

On Linux neither has a name: only our descriptors keep them, so that nothing is left behind however the driver ends.
"""

from __future__ import annotations

import mmap
import os
import socket
import threading
import time
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from executor.errors import ObjectStoreFullError
from executor.platform import here
from executor.resources import shown

_KEPT_S = 1.0
_PAGE = mmap.PAGESIZE


class Place(NamedTuple):
    """Where an object lies: its segment, the file to map, how long it is, and where each buffer begins and ends.

    The path is one on the machine of the node `home`, on the driver's if that is empty.
    """

    segment: int
    path: str
    size: int
    spans: tuple[tuple[int, int], ...] = ()
    home: str = ""


@dataclass(frozen=True, slots=True)
class Loan:
    """What another process of this machine needs to open an object here: its descriptor, and which file that is."""

    fd: int
    device: int
    inode: int

    def is_for(self, fd: int, size: int) -> bool:
        """Whether a descriptor of ours is of that file, and it has so many bytes."""
        found = os.fstat(fd)
        return (found.st_dev, found.st_ino) == (self.device, self.inode) and found.st_size >= size


class _Kind(Enum):
    MEMORY = "memory"
    DISK = "disk"
    BORROWED = "another process's"


@dataclass(slots=True)
class _Segment:
    """One piece of memory or of disk; `memory` is our own way into it, kept while it may be filled again."""

    number: int
    fd: int
    path: str
    size: int
    kind: _Kind
    memory: mmap.mmap | None = None
    freed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class StoreUse:
    """What the object store holds: bytes in memory and on disk, how many objects, and the memory it may use."""

    memory_bytes: int
    disk_bytes: int
    objects: int
    budget_bytes: int


class Store:
    """Gives out places and takes them back; any thread may call it.

    Fresh memory costs the kernel a page fault for each page, ten times as long as filling it. So what is given back is
    kept for a moment, and used again once no process has it mapped any more.
    """

    def __init__(self, budget_bytes: int, folder: str, spill_folder: str) -> None:
        self._budget_bytes = budget_bytes
        self._folder = folder
        self._spill_folder = spill_folder
        self._lock = threading.Lock()
        self._used: dict[int, _Segment] = {}
        self._given_back: list[_Segment] = []
        self._count = 0
        self._memory_bytes = 0
        self._disk_bytes = 0

    def allocate(self, size: int) -> Place:
        """A place of at least `size` bytes, which holds until it is given back.

        Raises:
            ObjectStoreFullError: it does not fit into the memory budget, and the disk is full.
        """
        size = -(-size // _PAGE) * _PAGE
        with self._lock:
            return self._in_use(self._used_again(size) or self._new(size))

    def lend(self, number: int) -> Loan:
        """What is at a place, for another process to `borrow`; it may outlive the place, and is not written to."""
        with self._lock:
            fd = self._used[number].fd
            status = os.fstat(fd)
        return Loan(fd, status.st_dev, status.st_ino)

    def borrow(self, connection: socket.socket, loan: Loan, size: int) -> Place:
        """A place for what the process at the other end of a unix socket lends; it takes no memory of ours.

        Raises:
            OSError: it cannot be opened from here.
        """
        fd, path = here.open_across(connection, loan.fd)
        if not loan.is_for(fd, size):
            os.close(fd)
            raise FileNotFoundError(f"{path} is not what is lent: {size} bytes, {loan}")
        with self._lock:
            return self._in_use(_Segment(0, fd, path, size, _Kind.BORROWED))

    def _in_use(self, segment: _Segment) -> Place:
        self._count += 1
        segment.number = self._count
        self._used[segment.number] = segment
        return Place(segment.number, segment.path, segment.size)

    def memory_of(self, place: Place) -> memoryview:
        """This process's way into a place, to fill it; only to read it where it is borrowed."""
        with self._lock:
            segment = self._used[place.segment]
            if segment.memory is None:
                access = mmap.ACCESS_READ if segment.kind is _Kind.BORROWED else mmap.ACCESS_WRITE
                segment.memory = mmap.mmap(segment.fd, segment.size, access=access)
            return memoryview(segment.memory)

    def give_back(self, number: int) -> None:
        """Nobody refers to what lies there any more; processes that still have it mapped keep what they see."""
        with self._lock:
            segment = self._used.pop(number, None)
            if segment is None:
                return
            if segment.kind is not _Kind.MEMORY or not here.can_tell_unused():
                self._drop(segment)
            else:
                segment.freed_at = time.monotonic()
                self._given_back.append(segment)

    def tidy(self) -> float | None:
        """Let go of what was given back a while ago; how long until the next of it is due."""
        with self._lock:
            now = time.monotonic()
            while self._given_back and self._given_back[0].freed_at + _KEPT_S <= now:
                self._drop(self._given_back.pop(0))
            return self._given_back[0].freed_at + _KEPT_S - now if self._given_back else None

    def use(self) -> StoreUse:
        """What is held just now."""
        with self._lock:
            kept = sum(segment.size for segment in self._given_back)
            return StoreUse(self._memory_bytes - kept, self._disk_bytes, len(self._used), self._budget_bytes)

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            for segment in [*self._used.values(), *self._given_back]:
                self._drop(segment)
            self._used.clear()
            self._given_back.clear()

    def _used_again(self, size: int) -> _Segment | None:
        """Memory that was given back, is not mapped anywhere, and not much too large."""
        for index, segment in enumerate(self._given_back):
            if size <= segment.size <= 2 * size and here.is_unused(segment.fd):
                return self._given_back.pop(index)
        return None

    def _new(self, size: int) -> _Segment:
        while self._given_back and self._memory_bytes + size > self._budget_bytes:
            self._drop(self._given_back.pop(0))
        on_disk = self._memory_bytes + size > self._budget_bytes
        try:
            fd, path = here.shared_file(self._spill_folder if on_disk else self._folder, size, on_disk=on_disk)
        except OSError as error:
            raise ObjectStoreFullError(self._why_full(size, error)) from error
        if on_disk:
            self._disk_bytes += size
        else:
            self._memory_bytes += size
        return _Segment(0, fd, path, size, _Kind.DISK if on_disk else _Kind.MEMORY)

    def _why_full(self, size: int, error: OSError) -> str:
        objects = f"{len(self._used)} objects hold {shown('memory', self._memory_bytes)} of memory"
        return (
            f"no room for an object of {shown('memory', size)}: {objects} of the {shown('memory', self._budget_bytes)} "
            f"that object_store_memory allows, and {self._spill_folder} cannot take it ({error.strerror}). Let go of "
            f"references that are not needed any more, or call init with a larger object_store_memory."
        )

    def _drop(self, segment: _Segment) -> None:
        if segment.memory is not None:
            try:
                segment.memory.close()
            except BufferError:
                pass  # a thread still fills it: then it goes with that thread's view
        os.close(segment.fd)
        match segment.kind:
            case _Kind.MEMORY:
                self._memory_bytes -= segment.size
            case _Kind.DISK:
                self._disk_bytes -= segment.size
            case _Kind.BORROWED:
                return  # the other process's to remove
        here.remove_shared(segment.path)
