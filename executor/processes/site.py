"""One machine's side of reservations: a seat for each bundle held here, and the worker processes in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from executor.framing import Frame, Pieces, gathered, pack, unpack
from executor.messages import Rank
from executor.processes.link import Link, RunningCall
from executor.processes.logs import LOG_CAP_BYTES
from executor.processes.pool import Pool
from executor.processes.protocol import ORDER, Order
from executor.resources import Resources


@dataclass(slots=True, eq=False)
class Seat:
    """Room for one bundle: the gpus in it, and its processes: mostly one, two while one is leaving."""

    bundle: Resources
    devices: str | None
    links: list[Link] = field(default_factory=list)
    left: bool = False
    """Whether it was given back, and is free once its last process is gone."""

    def running(self) -> str | None:
        """The call in it, if one runs."""
        return next((link.call.call_id for link in self.links if link.call is not None), None)


@dataclass(frozen=True, slots=True)
class Start:
    """How a worker begins one call, or its part of a gang's."""

    call_id: str
    seed: int
    fresh: bool
    log_path: str | None
    environment: Mapping[str, str]
    rank: Rank | None = None
    """None when it runs alone."""


class Site:
    """Seats and their processes. What several steps need in one piece holds `pool.lock`.

    `on_free` is told of each seat that was left, once nothing is in it, `on_gone` of each process that has ended. The
    others are the pool's.
    """

    def __init__(
        self,
        on_free: Callable[[Seat], None],
        on_gone: Callable[[Link], None] | None = None,
        *,
        log_cap_bytes: int = LOG_CAP_BYTES,
        scratch: str = "",
        load: Callable[[Frame], Any] = unpack,
        on_asked: Callable[[Link, int, bytes], None] | None = None,
    ) -> None:
        self._on_free = on_free
        self._on_gone = on_gone
        self._seats: dict[int, Seat] = {}
        self.pool = Pool(self._gone, log_cap_bytes=log_cap_bytes, scratch=scratch, load=load, on_asked=on_asked)

    def seat(self, seats: Sequence[Seat], digest: str, *, fresh: bool) -> list[Link]:
        """A worker of a prepared program in each of `seats`: the idle one if it will do, otherwise a new one.

        Raises:
            OSError: they cannot all be started, and then none is.
        """
        opened: list[Link] = []
        try:
            for seat in seats:
                opened.append(self._link(seat, digest, fresh))  # noqa: PERF401 - those so far count when one fails
        except OSError:
            for link in opened:
                link.leave()
            raise
        return opened

    def _link(self, seat: Seat, digest: str, fresh: bool) -> Link:
        for link in seat.links:
            if link.idle and link.digest == digest and not fresh:
                return link
            if link.idle:
                link.leave()
        link = self.pool.open_link(digest, memory_bytes=int(seat.bundle["memory"]))
        seat.links.append(link)
        self._seats[link.number] = seat
        return link

    def begin(self, seat: Seat, link: Link, start: Start, argument: Pieces) -> None:
        """Run a call in a seated worker; `argument` is packed already."""
        last = start.fresh or start.rank is not None
        threads = max(1, int(seat.bundle["cpu"]))
        order = Order(start.seed, last, start.log_path, dict(start.environment), threads, seat.devices, start.rank)
        pieces = gathered(pack(tuple(order), ORDER), argument)
        self.pool.begin(link, RunningCall(start.call_id, start.log_path), pieces, last=last)

    def leave(self, seat: Seat) -> None:
        """Give a seat back: who is idle in it leaves; who is killed or ends is waited for."""
        if not seat.left:
            seat.left = True
            for link in seat.links:
                if link.idle:
                    link.leave()
            self._free(seat)

    def _gone(self, link: Link) -> None:
        if self._on_gone is not None:
            self._on_gone(link)
        if (seat := self._seats.pop(link.number, None)) is not None:  # else it was opened by others, and sat nowhere
            seat.links.remove(link)
            self._free(seat)

    def _free(self, seat: Seat) -> None:
        if seat.left and not seat.links:
            self._on_free(seat)
