"""Which drivers write to which: who writes is told when a reader comes back, and when it is no more. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from executor.cluster.protos import cluster as pb
from executor.cluster.sendings import Sending, ToDriver


class Correspondence:
    """See the module."""

    def __init__(self) -> None:
        self._readers: dict[str, set[str]] = {}
        """Of each who writes."""

    def wrote(self, writer: str, readers: Iterable[str]) -> None:
        """A driver writes to others."""
        self._readers.setdefault(writer, set()).update(readers)

    def forget(self, writer: str) -> None:
        """A driver writes no more."""
        self._readers.pop(writer, None)

    def _writers_to(self, reader: str) -> list[str]:
        return [writer for writer, readers in self._readers.items() if reader in readers]

    def back(self, reader: str) -> list[Sending]:
        """A driver is there of whom others may have letters that it has not had."""
        back = pb.ToDriver(driver_back=pb.DriverBack(driver=reader))
        return [ToDriver(writer, back) for writer in self._writers_to(reader)]

    def part(self, gone: str) -> list[Sending]:
        """A driver is no more of whom others wait for answers."""
        writers = self._writers_to(gone)
        for writer in writers:
            self._readers[writer].remove(gone)
        return [ToDriver(writer, left(gone)) for writer in writers]

    def part_from_all_but(self, there: Collection[str]) -> list[Sending]:
        """Whoever is not there is no more."""
        gone = sorted(set().union(*self._readers.values()).difference(there))
        return [sending for reader in gone for sending in self.part(reader)]


def left(driver: str) -> pb.ToDriver:
    """What those are told who write to one that is no more."""
    return pb.ToDriver(driver_left=pb.DriverLeft(driver=driver))
