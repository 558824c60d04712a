"""One driver's talk with one node: numbered both ways, acknowledged, and said again after a broken connection. Pure.

Whatever connection there is keeps the order of what it carries; it may lose a tail when it breaks, and is used again
from the first item that was not acknowledged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ACKNOWLEDGE_AFTER = 64
_LAST, _MORE = b"\0", b"\1"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Pieces of items, numbered from `first`; `seen` acknowledges the other direction up to that number."""

    first: int
    seen: int
    items: tuple[bytes, ...] = ()


class Session:
    """One end. What it is given to send it keeps until the other end has acknowledged it.

    Both ends call it by `name`, which tells it from those that the same two had before.

    Large items travel in pieces, and no more than a window of them is on the way: so carriers with a largest message
    take them, and what else goes over the same connection gets through in between.
    """

    def __init__(self, name: str, *, piece_bytes: int = 2**20, window_bytes: int = 8 * 2**20) -> None:
        self.name = name
        self._piece_bytes, self._window_bytes = piece_bytes, window_bytes
        self._waiting: deque[bytes] = deque()
        self._kept: deque[bytes] = deque()
        self._first = 1
        self._on_the_way = self._size = 0
        self._seen = 0
        self._owed = self._owed_bytes = 0
        self._begun = bytearray()

    @property
    def kept_bytes(self) -> int:
        """How much was given to be sent and not acknowledged."""
        return self._size

    @property
    def was_heard(self) -> bool:
        """Whether the other end has acknowledged or said anything."""
        return self._first > 1 or self._seen > 0

    def send(self, items: Sequence[bytes]) -> Stretch | None:
        """What goes out now that there are new items; None when it has to wait."""
        for item in items:
            for piece in self._pieces(item):
                self._waiting.append(piece)
                self._size += len(piece)
        return self.flow()

    def flow(self) -> Stretch | None:
        """What may go out, if anything."""
        first, pieces = self._first + len(self._kept), []
        while self._waiting and self._on_the_way < self._window_bytes:
            piece = self._waiting.popleft()
            self._on_the_way += len(piece)
            pieces.append(piece)
        if not pieces:
            return None
        self._kept.extend(pieces)
        return Stretch(first, self._acknowledging(), tuple(pieces))

    def take(self, stretch: Stretch) -> list[bytes]:
        """Of what came in, the items that are new, whole, and follow on what came before. More may `flow` after it."""
        self._acknowledged(stretch.seen)
        known = self._seen + 1 - stretch.first
        if known < 0 or not stretch.items:
            return []  # a part is missing that is to be said again, or there is nothing
        new = stretch.items[known:]
        self._seen += len(new)
        self._owed += len(stretch.items)
        self._owed_bytes += sum(map(len, stretch.items))
        return list(self._whole(new))

    def _acknowledged(self, seen: int) -> None:
        while self._kept and self._first <= seen:
            size = len(self._kept.popleft())
            self._size -= size
            self._on_the_way -= size
            self._first += 1

    def _acknowledging(self) -> int:
        self._owed = self._owed_bytes = 0
        return self._seen

    def acknowledgement(self, *, now: bool = False) -> Stretch | None:
        """What to send when much came in and nothing went out since, or anything and it is to be told `now`."""
        much = self._owed >= _ACKNOWLEDGE_AFTER or self._owed_bytes >= self._piece_bytes
        if not (much or (now and self._owed)):
            return None
        return Stretch(self._first + len(self._kept), self._acknowledging())

    def again(self) -> Stretch:
        """What goes out over a new connection, from the first that was not acknowledged."""
        self._waiting.extendleft(reversed(self._kept))
        self._kept.clear()
        self._on_the_way = 0
        return self.flow() or Stretch(self._first, self._acknowledging())

    def _whole(self, pieces: Sequence[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if piece[:1] == _LAST and not self._begun:
                yield piece[1:]
                continue
            self._begun += memoryview(piece)[1:]
            if piece[:1] == _LAST:
                yield bytes(self._begun)
                self._begun.clear()

    def _pieces(self, item: bytes) -> Iterator[bytes]:
        size = self._piece_bytes
        last = max(0, len(item) - 1) // size * size
        for begin in range(0, last, size):
            yield _MORE + item[begin : begin + size]
        yield _LAST + item[last:]
