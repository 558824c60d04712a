"""Gangs over nodes on their way to where their workers meet: rank 0's node is asked before any of them begins. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from executor.hosting.messages import Begin, Meeting


@dataclass(frozen=True, slots=True)
class Beginning:
    """A worker of a gang that is to begin on `node`."""

    node: str
    begin: Begin


class Gathering:
    """The gangs whose meeting point is not known yet."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._gangs: dict[int, list[Beginning]] = {}

    def add(self, gang: Sequence[Beginning]) -> int:
        """A gang is to begin, rank 0 first; the number under which its meeting point is to be asked for."""
        number = next(self._numbers)
        self._gangs[number] = list(gang)
        return number

    def meet(self, meeting: Meeting) -> Iterator[Beginning]:
        """Who begins, now that it is known where they meet."""
        for one in self._gangs.pop(meeting.number, ()):
            yield replace(one, begin=replace(one.begin, meeting=(meeting.address, meeting.port)))

    def give_up(self, number: int) -> list[Begin]:
        """Nobody will say where a gang meets: the workers that will not begin."""
        return [one.begin for one in self._gangs.pop(number, ())]

    def withdraw(self, member: str) -> bool:
        """A worker is not to begin any more; whether it had not."""
        for gang in self._gangs.values():
            for one in gang:
                if one.begin.call_id == member:
                    gang.remove(one)
                    return True
        return False

    def lose(self, node: str) -> Iterator[Beginning]:
        """A node is gone: the workers on other nodes that will not begin because of it."""
        for number, gang in list(self._gangs.items()):
            if any(one.node == node for one in gang):
                del self._gangs[number]
                yield from (one for one in gang if one.node != node)
