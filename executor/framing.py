"""Values as frames on a stream socket: a pickle and the large buffers it refers to, which are never copied into it.

A frame is the pickle's length (8 bytes), the number of buffers (4), a kind (1) and a number (8) that mean what its two
ends agreed on, each buffer's length (8), the pickle, the buffers. Who only passes frames on never opens a pickle.
"""

from __future__ import annotations

import pickle
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from struct import Struct
from typing import Any, NamedTuple

from executor.pickling import encode

_HEAD = Struct("<QIBQ")
_LENGTH = Struct("<Q")
_CHUNK = 1 << 16

Pieces = list[bytes | memoryview]
"""What is sent, in this order."""


class Frame(NamedTuple):
    """A received frame: its kind, its number, and its pickle followed by its buffers."""

    kind: int
    number: int
    parts: list[memoryview]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A value as it travels, the pickle first: for those who pass it on and have no business to open it."""

    parts: tuple[bytes | memoryview, ...]

    def __len__(self) -> int:
        return sum(memoryview(part).nbytes for part in self.parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return Sealed, (tuple(map(bytes, self.parts)),)


def seal(value: Any) -> Sealed:
    """`value`, closed.

    Raises:
        TypeError: `value` cannot be pickled; says which part of it.
    """
    body, buffers = encode(value)
    return Sealed((body, *buffers))


def opened(sealed: Sealed) -> Any:
    """The value in it, with arrays that can be written to; only for what was sealed by who may run code here."""
    buffers = (bytearray(part) if memoryview(part).readonly else part for part in sealed.parts[1:])
    return pickle.loads(sealed.parts[0], buffers=buffers)  # noqa: S301 - see above


def pack(value: Any, kind: int = 0, number: int = 0) -> Pieces:
    """`value` as the pieces of one frame.

    Raises:
        TypeError: `value` cannot be pickled; says which part of it.
    """
    body, buffers = encode(value)
    return _pieces(body, buffers, kind, number) if buffers else pack_bytes(body, kind, number)


def pack_plain(value: Any, kind: int = 0, number: int = 0) -> Pieces:
    """`pack` for values without classes and buffers in them, which every process unpickles alike."""
    return pack_bytes(pickle.dumps(value, 5), kind, number)


def pack_sealed(sealed: Sealed, kind: int = 0, number: int = 0) -> Pieces:
    """`pack` for what is pickled already."""
    return _pieces(sealed.parts[0], sealed.parts[1:], kind, number)


def pack_bytes(body: bytes, kind: int = 0, number: int = 0) -> Pieces:
    """A frame of bytes that are a pickle already, or none at all if its receiver knows that by the kind."""
    head = _HEAD.pack(len(body), 0, kind, number)
    return [head + body] if len(body) < _CHUNK else [head, body]


def _pieces(body: bytes | memoryview, buffers: Sequence[bytes | memoryview], kind: int, number: int) -> Pieces:
    sizes = [memoryview(buffer).nbytes for buffer in buffers]
    lengths = b"".join(map(_LENGTH.pack, sizes))
    return [_HEAD.pack(memoryview(body).nbytes, len(sizes), kind, number) + lengths, body, *buffers]


def gathered(*frames: Pieces) -> Pieces:
    """Several frames as one list of pieces; small ones as a single piece, which wakes the other end once."""
    pieces = [piece for frame in frames for piece in frame]
    size = sum(memoryview(piece).nbytes for piece in pieces)
    return [b"".join(pieces)] if size < _CHUNK else pieces


def unpack(frame: Frame) -> Any:
    """The value in `frame`; arrays in it share the frame's memory."""
    # Only our own child process, or the driver that started us, is at the other end.
    parts = frame.parts
    return pickle.loads(parts[0], buffers=parts[1:]) if len(parts) > 1 else pickle.loads(parts[0])  # noqa: S301


def keep_sealed(frame: Frame) -> Sealed:
    """The value in `frame` as it came."""
    return Sealed(tuple(frame.parts))


class FrameReader:
    """Cuts what arrives on a socket into frames, reading large ones straight into their own memory."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._rest = bytearray()
        self._frame = Frame(0, 0, [])
        self._unfilled: list[memoryview] = []

    def receive(self) -> Frame | None:
        """The next frame of a blocking socket; None when the other end has closed."""
        if self._rest:
            for frame in self._cut():
                return frame
        while True:
            try:
                frames = self.read(limit=1)
            except (EOFError, ConnectionResetError):
                return None
            if frames:
                return frames[0]

    def left_over(self) -> list[Frame]:
        """Whole frames that `receive` has read beyond the one that it returned."""
        return list(self._cut()) if self._rest else []

    def read(self, limit: int | None = None) -> list[Frame]:
        """What one read of the socket completes, at most `limit` frames; the others stay for later.

        Raises:
            EOFError: the other end has closed.
            BlockingIOError: nothing has arrived on a non-blocking socket.
        """
        if self._unfilled:
            return self._fill()
        chunk = self._sock.recv(_CHUNK)
        if not chunk:
            raise EOFError
        frames, begin = ([], 0) if self._rest else _whole(chunk, limit)
        if begin == len(chunk):
            return frames
        self._rest += chunk[begin:]
        if len(frames) != limit:
            frames += islice(self._cut(), None if limit is None else limit - len(frames))
        return frames

    def _fill(self) -> list[Frame]:
        got = self._sock.recv_into(self._unfilled[0])
        if not got:
            raise EOFError
        if got < len(self._unfilled[0]):
            self._unfilled[0] = self._unfilled[0][got:]
            return []
        del self._unfilled[0]
        if self._unfilled:
            return []
        return [self._frame]

    def _cut(self) -> Iterator[Frame]:
        while not self._unfilled and (lengths := self._lengths()):
            begin = _HEAD.size + _LENGTH.size * (len(lengths) - 1)
            if len(self._rest) < begin + sum(lengths) < _CHUNK:
                return
            _, _, kind, number = _HEAD.unpack_from(self._rest)
            parts = [bytearray(length) for length in lengths]
            unfilled = []
            for part in parts:
                here = min(len(part), len(self._rest) - begin)
                part[:here] = self._rest[begin : begin + here]
                begin += here
                if here < len(part):
                    unfilled.append(memoryview(part)[here:])
            del self._rest[:begin]
            frame = Frame(kind, number, [memoryview(part) for part in parts])
            if unfilled:
                self._frame, self._unfilled = frame, unfilled
                return
            yield frame

    def _lengths(self) -> list[int]:
        """The lengths of the next frame's parts, or nothing when they have not all arrived."""
        if len(self._rest) < _HEAD.size:
            return []
        length, count, _, _ = _HEAD.unpack_from(self._rest)
        if len(self._rest) < _HEAD.size + _LENGTH.size * count:
            return []
        starts = range(_HEAD.size, _HEAD.size + _LENGTH.size * count, _LENGTH.size)
        return [length, *(_LENGTH.unpack_from(self._rest, start)[0] for start in starts)]


def _whole(chunk: bytes, limit: int | None) -> tuple[list[Frame], int]:
    """The frames without buffers at the beginning of `chunk`, which they share, and where they end.

    Most frames are such, and many come at once from who waits for no answers.
    """
    frames: list[Frame] = []
    view, begin = memoryview(chunk), 0
    while len(frames) != limit and begin + _HEAD.size <= len(chunk):
        length, buffers, kind, number = _HEAD.unpack_from(chunk, begin)
        end = begin + _HEAD.size + length
        if buffers or end > len(chunk):
            break
        frames.append(Frame(kind, number, [view[begin + _HEAD.size : end]]))
        begin = end
    return frames, begin
