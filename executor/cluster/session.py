"""One driver's talk with one node: numbered both ways, acknowledged, and said again after a broken connection. Pure.

Whatever connection there is keeps the order of what it carries; it may lose a tail when it breaks, and is used again
from the first item that was not acknowledged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ACKNOWLEDGE_AFTER = 64
_PIECE_BYTES = 2**20
_LAST, _MORE = b"\0", b"\1"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Pieces of items, numbered from `first`; `seen` acknowledges the other direction up to that number."""

    first: int
    seen: int
    items: tuple[bytes, ...] = ()


class Session:
    """One end. What it is given to send it keeps until the other end has acknowledged it.

    Large items travel in pieces, which carriers take that know a largest message, and between which others get through.
    """

    def __init__(self) -> None:
        self._kept: deque[bytes] = deque()
        self._first = 1
        self._size = 0
        self._seen = 0
        self._owed = 0
        self._begun = bytearray()

    @property
    def kept_bytes(self) -> int:
        """How much was sent and not acknowledged."""
        return self._size

    def send(self, items: Sequence[bytes]) -> Stretch:
        """What goes out for new items."""
        first = self._first + len(self._kept)
        pieces = tuple(piece for item in items for piece in _pieces(item))
        self._kept.extend(pieces)
        self._size += sum(map(len, pieces))
        self._owed = 0
        return Stretch(first, self._seen, pieces)

    def take(self, stretch: Stretch) -> list[bytes]:
        """Of what came in, the items that are new, whole, and follow on what came before."""
        self._acknowledged(stretch.seen)
        known = self._seen + 1 - stretch.first
        if known < 0 or not stretch.items:
            return []  # a part is missing that is to be said again, or there is nothing
        new = stretch.items[known:]
        self._seen += len(new)
        self._owed += len(stretch.items)
        return list(self._whole(new))

    def _whole(self, pieces: Sequence[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if piece[:1] == _LAST and not self._begun:
                yield piece[1:]
                continue
            self._begun += memoryview(piece)[1:]
            if piece[:1] == _LAST:
                yield bytes(self._begun)
                self._begun.clear()

    def _acknowledged(self, seen: int) -> None:
        while self._kept and self._first <= seen:
            self._size -= len(self._kept.popleft())
            self._first += 1

    def acknowledgement(self, *, now: bool = False) -> Stretch | None:
        """What to send when much came in and nothing went out since, or anything and it is to be told `now`."""
        if self._owed < (1 if now else _ACKNOWLEDGE_AFTER):
            return None
        self._owed = 0
        return Stretch(self._first + len(self._kept), self._seen)

    def again(self) -> Stretch:
        """All that was not acknowledged, for a new connection."""
        self._owed = 0
        return Stretch(self._first, self._seen, tuple(self._kept))


def _pieces(item: bytes) -> Iterator[bytes]:
    last = max(0, len(item) - 1) // _PIECE_BYTES * _PIECE_BYTES
    for begin in range(0, last, _PIECE_BYTES):
        yield _MORE + item[begin : begin + _PIECE_BYTES]
    yield _LAST + item[last:]
