"""A value as it travels and is kept: a pickle, the buffers that it refers to, and the references inside it.

Small ones are plain bytes. Where there are buffers or references it is a tuple; large buffers are then left in a place
of shared memory, which every process maps read-only, so that nothing is copied out of it.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from mmap import PROT_READ, mmap
from os import O_CLOEXEC, O_RDONLY, close, open  # noqa: A004
from typing import Any, Protocol, cast

from executor.depot.store import Place
from executor.interrupts import interruptible
from executor.library.refs import travelling
from executor.pickling import encode

INLINE_BYTES = 100_000
"""Values up to this size travel in messages, larger ones by shared memory."""

_ALIGNMENT = 64
_NONE = pickle.dumps(None, 5)


Packed = bytes | tuple[bytes, tuple[bytes, ...] | Place, tuple[int, ...]]
"""Either the pickle alone, or the pickle, its buffers or their place, and the numbers of the references in it.

A pickle that is itself large lies in the first span of the place, and is empty here.
"""


class Room(Protocol):
    """Where large values are put."""

    def allocate(self, size: int) -> tuple[Place, memoryview]:
        """A place of at least so many bytes, and the memory to fill."""

    def give_back(self, place: Place) -> None:
        """What was put there goes nowhere."""

    def path_of(self, place: Place) -> str:
        """The file on this machine that has what lies there; waits for it where that comes from another one.

        Raises:
            ObjectLostError: it is nowhere any more.
        """


def pack_value(value: Any, room: Room) -> Packed:
    """`value` as it travels.

    Raises:
        TypeError: it cannot be pickled; says which part of it.
        ObjectStoreFullError: it is large, and there is room for it neither in memory nor on disk.
    """
    if value is None:
        return _NONE  # what most calls that are made for their effect return
    body, buffers, numbers = _encoded(value)
    size = sum(buffer.nbytes for buffer in buffers) if buffers else 0
    if len(body) + size > INLINE_BYTES:
        return _stored(body, buffers, numbers, room)
    if buffers or numbers:
        return body, tuple(map(bytes, buffers)), numbers
    return body


@interruptible
def _encoded(value: Any) -> tuple[bytes, list[memoryview], tuple[int, ...]]:
    """The pickle, its buffers, and the references in it; by the user's own code, which an interrupt may end."""
    before, travelling.numbers = travelling.numbers, []
    try:
        body, buffers = encode(value)
        return body, buffers, tuple(travelling.numbers)
    finally:
        travelling.numbers = before


def _stored(body: bytes, buffers: list[memoryview], numbers: tuple[int, ...], room: Room) -> Packed:
    pieces: list[bytes | memoryview] = list(buffers)
    if len(body) > INLINE_BYTES:
        pieces, body = [body, *buffers], b""
    spans, end = [], 0
    for piece in pieces:
        begin = -(-end // _ALIGNMENT) * _ALIGNMENT
        end = begin + memoryview(piece).nbytes
        spans.append((begin, end))
    place, memory = room.allocate(end)
    try:
        with memory:
            for (begin, until), piece in zip(spans, pieces, strict=True):
                memory[begin:until] = memoryview(piece).cast("B")
    except BaseException:
        room.give_back(place)
        raise
    return body, place._replace(spans=tuple(spans)), numbers


def pack_values(values: Iterable[Any], room: Room) -> list[Packed]:
    """Several values as they travel: all of them, or where one cannot none.

    Raises:
        TypeError: one cannot be pickled.
        ObjectStoreFullError: there is no room for one that is large.
    """
    packed: list[Packed] = []
    try:
        packed.extend(pack_value(value, room) for value in values)
    except BaseException:
        for place in filter(None, map(place_of, packed)):
            room.give_back(place)
        raise
    return packed


def unpack_value(packed: Packed, room: Room) -> Any:
    """The value; arrays in it are read-only, and share the memory that it lies in.

    Raises:
        ObjectLostError: it lay on a node that is gone.
    """
    # From our own processes only.
    if type(packed) is bytes:
        return pickle.loads(packed)  # noqa: S301
    body, buffers, _ = cast(tuple[bytes, Any, Any], packed)
    if type(buffers) is not Place:
        return pickle.loads(body, buffers=buffers)  # noqa: S301
    views = _views(buffers, room.path_of(buffers))
    return pickle.loads(body or views.pop(0), buffers=views)  # noqa: S301


def _views(place: Place, path: str) -> list[memoryview]:
    fd = open(path, O_RDONLY | O_CLOEXEC)
    try:
        memory = memoryview(mmap(fd, 0, prot=PROT_READ))
    finally:
        close(fd)
    return [memory[begin:end] for begin, end in place.spans]


def inlined(packed: Packed, path: str) -> Packed:
    """A value that lies in a place, whose file is at `path`, with what lies there."""
    body, place, numbers = cast(tuple[bytes, Place, tuple[int, ...]], packed)
    buffers = tuple(map(bytes, _views(place, path)))
    return (body, buffers, numbers) if body else (buffers[0], buffers[1:], numbers)


def size_of(place: Place) -> int:
    """How many bytes of the place are in use."""
    return place.spans[-1][1] if place.spans else place.size


def place_of(packed: Packed) -> Place | None:
    """Where the buffers of the value lie, if that is in shared memory."""
    return packed[1] if type(packed) is tuple and type(packed[1]) is Place else None


def numbers_in(packed: Packed) -> tuple[int, ...]:
    """The references inside the value."""
    return () if type(packed) is bytes else packed[2]  # type: ignore[return-value]
