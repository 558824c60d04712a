"""What a world stands on: an executor whose books are kept, and a journal in memory that dies when it is told to."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

from executor.interface import Prepared
from executor.messages import Call, Died, Emitted, Event, Raised, Reservation, Returned
from executor.resources import Node, Request
from executor.simulated import SimulatedExecutor
from tune.machine.events import Entry
from tune.storage.codec import Row, to_row
from tune.storage.journal import Journal


class DriverKilled(BaseException):
    """Stands for the death of the process that runs the experiment."""


class MemoryJournal(Journal):
    """Commits into `rows`, at most `lag` groups late, as the writer's thread does; `committed` is told of each entry.

    Effects of what is committed leave at once afterwards.
    """

    def __init__(self, rows: list[Row], committed: Callable[[Sequence[Entry]], None], lag: int) -> None:
        self._rows = rows
        self._committed = committed
        self._lag = lag
        self._pending: deque[tuple[list[Row], Sequence[Entry], Callable[[], None] | None]] = deque()
        self._commits_left = 0
        self._dies_after = False

    def die_at(self, commit: int, *, after: bool) -> None:
        """Die at the commit number `commit` from now: before it, or after it and before its effects."""
        self._commits_left, self._dies_after = commit, after

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be committed."""
        return bool(self._pending)

    def append(self, entries: Sequence[Entry], then: Callable[[], None] | None = None) -> None:
        self._pending.append(([to_row(entry) for entry in entries], entries, then))
        while len(self._pending) > self._lag:
            self.commit()

    def commit(self) -> None:
        """Commit the oldest group, and let its effects out."""
        rows, entries, then = self._pending.popleft()
        self._commits_left -= 1
        dies = self._commits_left == 0
        if dies and not self._dies_after:
            raise DriverKilled
        self._rows += rows
        self._committed(entries)
        if dies:
            raise DriverKilled
        if then:
            then()

    def flush(self) -> None:
        while self._pending:
            self.commit()

    def close(self) -> None:
        self.flush()


class Ground(SimulatedExecutor):
    """Keeps books of what is held where and which calls run, and says old words again when it is told to.

    `held` is in units of 1/10,000 cpu, by node; `gone` are the nodes that are lost just now.
    """

    def __init__(self, nodes: Sequence[Node], journal: MemoryJournal, starts: Callable[[str], None]) -> None:
        super().__init__(nodes)
        self._journal = journal
        self._starts = starts
        self._rooms: set[int] = set()
        self._last_words: list[Event] = []
        self._again: list[Event] = []
        self.running: dict[str, None] = {}
        self.gone: set[str] = set()
        self.held: Counter[str] = Counter()

    def reserve(self, request: Request) -> Reservation | None:
        reservation = super().reserve(request)
        if reservation is not None:
            self._rooms.add(reservation.reservation_id)
            self._book(reservation, 1)
        return reservation

    def release(self, reservation: Reservation) -> None:
        if reservation.reservation_id in self._rooms:
            self._rooms.remove(reservation.reservation_id)
            self._book(reservation, -1)
        super().release(reservation)

    def _book(self, reservation: Reservation, sign: int) -> None:
        for bundle, node in zip(reservation.request.bundles, reservation.nodes, strict=True):
            self.held[node] += sign * bundle.units().get("cpu", 0)

    def start(self, prepared: Prepared, reservation: Reservation, call: Call) -> None:
        self._starts(call.call_id)
        self.running[call.call_id] = None
        super().start(prepared, reservation, call)

    def events(self, until: float | None) -> list[Event]:
        if self._journal.is_behind:  # and virtual time must not pass before what is known has its effects
            self._journal.commit()
            until = self.clock()
        found, self._again = [*self._again, *super().events(until)], []
        for event in found:
            if isinstance(event, Returned | Raised | Died):
                self.running.pop(event.call_id, None)
                self._last_words.append(event)
            elif isinstance(event, Emitted):
                self._last_words.append(event)
        return found

    def say_again(self, at: float) -> None:
        """Let something that an attempt which is over said last come once more."""
        old = [event for event in self._last_words if getattr(event, "call_id", "") not in self.running]
        if old:
            self._again.append(old[int(at * len(old))])

    def lose(self, node: str) -> None:
        super().lose(node)
        self.gone.add(node)

    def regain(self, node: str) -> None:
        super().regain(node)
        self.gone.discard(node)
