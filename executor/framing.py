"""Values as frames on a stream socket: a pickle and the large buffers it refers to, which are never copied into it.

A frame is the pickle's length (8 bytes), the number of buffers (4), each buffer's length (8), the pickle, the buffers.
"""

from __future__ import annotations

import pickle
import socket
from collections.abc import Iterator
from struct import Struct
from typing import Any

from executor.pickling import encode

_HEAD = Struct("<QI")
_LENGTH = Struct("<Q")
_CHUNK = 1 << 16

Frame = list[memoryview]
"""A received frame: its pickle, then its buffers."""


def pack(value: Any) -> list[bytes | memoryview]:
    """`value` as the pieces of one frame, to be sent in this order.

    Raises:
        TypeError: `value` cannot be pickled; says which part of it.
    """
    body, buffers = encode(value)
    head = _HEAD.pack(len(body), len(buffers))
    if not buffers and len(body) < _CHUNK:
        return [head + body]
    lengths = b"".join(_LENGTH.pack(buffer.nbytes) for buffer in buffers)
    return [head + lengths, body, *buffers]


def pack_plain(value: Any) -> list[bytes | memoryview]:
    """`pack` for values without classes and buffers in them, which every process unpickles alike."""
    body = pickle.dumps(value, 5)
    head = _HEAD.pack(len(body), 0)
    return [head + body] if len(body) < _CHUNK else [head, body]


def gathered(*frames: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """Several frames as one list of pieces; small ones as a single piece, which wakes the other end once."""
    pieces = [piece for frame in frames for piece in frame]
    size = sum(memoryview(piece).nbytes for piece in pieces)
    return [b"".join(pieces)] if size < _CHUNK else pieces


def unpack(frame: Frame) -> Any:
    """The value in `frame`; arrays in it share the frame's memory."""
    # Only our own child process, or the driver that started us, is at the other end.
    return pickle.loads(frame[0], buffers=frame[1:]) if len(frame) > 1 else pickle.loads(frame[0])  # noqa: S301


class FrameReader:
    """Cuts what arrives on a socket into frames, reading large ones straight into their own memory."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._rest = bytearray()
        self._frame: Frame = []
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
        if not self._rest and len(chunk) >= _HEAD.size:
            length, buffers = _HEAD.unpack_from(chunk)
            if not buffers and len(chunk) == _HEAD.size + length:
                return [[memoryview(chunk)[_HEAD.size :]]]
        self._rest += chunk
        frames = []
        for frame in self._cut():
            frames.append(frame)
            if len(frames) == limit:
                break
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
        frame, self._frame = self._frame, []
        return [frame]

    def _cut(self) -> Iterator[Frame]:
        while not self._unfilled and (lengths := self._lengths()):
            begin = _HEAD.size + _LENGTH.size * (len(lengths) - 1)
            if len(self._rest) < begin + sum(lengths) < _CHUNK:
                return
            parts = [bytearray(length) for length in lengths]
            unfilled = []
            for part in parts:
                here = min(len(part), len(self._rest) - begin)
                part[:here] = self._rest[begin : begin + here]
                begin += here
                if here < len(part):
                    unfilled.append(memoryview(part)[here:])
            del self._rest[:begin]
            frame = [memoryview(part) for part in parts]
            if unfilled:
                self._frame, self._unfilled = frame, unfilled
                return
            yield frame

    def _lengths(self) -> list[int]:
        """The lengths of the next frame's parts, or nothing when they have not all arrived."""
        if len(self._rest) < _HEAD.size:
            return []
        length, count = _HEAD.unpack_from(self._rest)
        if len(self._rest) < _HEAD.size + _LENGTH.size * count:
            return []
        starts = range(_HEAD.size, _HEAD.size + _LENGTH.size * count, _LENGTH.size)
        return [length, *(_LENGTH.unpack_from(self._rest, start)[0] for start in starts)]
