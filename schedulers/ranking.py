"""A sorted collection that knows places: how many of its entries sort before a given one."""

from __future__ import annotations

from bisect import bisect_left

Entry = tuple[float, int, str]
"""A score with its sign turned, how many came before, and the trial: the best, then the earliest, sorts first."""

_BLOCK = 2000


class Ranking:
    """Entries in order, cut into blocks.

    In one long list of 100,000, moving its tail would cost more than all else that a scheduler does, the more
    so when results get better and each new one comes first (benchmarks/scheduler_decisions.py).
    """

    def __init__(self) -> None:
        self._blocks: list[list[Entry]] = [[]]
        self._lasts: list[Entry] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, entry: Entry) -> int:
        """Put `entry` in its place, which is returned, counted from 0."""
        index = min(bisect_left(self._lasts, entry), len(self._blocks) - 1)
        block = self._blocks[index]
        inside = bisect_left(block, entry)
        block.insert(inside, entry)
        place = sum(map(len, self._blocks[:index])) + inside
        self._lasts[index : index + 1] = [block[-1]]
        self._size += 1
        if len(block) > _BLOCK:
            upper = block[_BLOCK // 2 :]
            del block[_BLOCK // 2 :]
            self._blocks.insert(index + 1, upper)
            self._lasts.insert(index, block[-1])
        return place

    def remove(self, entry: Entry) -> None:
        """Take `entry` out, which must be there."""
        index = bisect_left(self._lasts, entry)
        block = self._blocks[index]
        del block[bisect_left(block, entry)]
        self._size -= 1
        if block:
            self._lasts[index] = block[-1]
            return
        del self._lasts[index]
        if self._lasts:
            del self._blocks[index]

    def at(self, place: int) -> Entry:
        """The entry at `place`, counted from 0."""
        for block in self._blocks:
            if place < len(block):
                return block[place]
            place -= len(block)
        raise IndexError(place)

    def before(self, entry: tuple[float, int, str] | tuple[float]) -> int:
        """How many entries sort before `entry`; given a score alone, how many scores are better."""
        index = bisect_left(self._lasts, entry)
        inside = bisect_left(self._blocks[index], entry) if index < len(self._blocks) else 0
        return sum(map(len, self._blocks[:index])) + inside


def ordinal(place: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    if place % 100 in (11, 12, 13):
        return f"{place}th"
    return f"{place}{({1: 'st', 2: 'nd', 3: 'rd'}).get(place % 10, 'th')}"
