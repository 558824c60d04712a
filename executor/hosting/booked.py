"""A fleet whose caller keeps the books itself: for engines that only carry messages to one host per node."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence

from executor.devices import Shares
from executor.errors import ExecutorClosedError
from executor.holdings import Holding, Holdings
from executor.hosting.bookings import Bookings, holds
from executor.hosting.fleet import Arrival, Arrive, Fleet, NodeLost, Reported
from executor.hosting.messages import Freed, Order, Report
from executor.labels import without
from executor.messages import Reservation, RoomFreed
from executor.resources import Node, Request, Resources


class BookedFleet(Fleet):
    """Books room on `nodes` here and tells their hosts by `carry`; whoever hears from them calls `hear` or `lose`.

    `gpus` names the gpus of those nodes that have any.
    """

    def __init__(self, nodes: Sequence[Node] = (), gpus: Mapping[str, Sequence[str]] | None = None) -> None:
        self._lock = threading.RLock()
        self._holdings = Holdings(nodes, gpus)
        self._bookings = Bookings()
        self._arrive: Arrive = _nobody_listens
        self._closed = False

    @abstractmethod
    def carry(self, node: str, order: Order) -> None:
        """Bring `order` to the node's host, after all that was carried there before; does not wait for it."""

    @abstractmethod
    def leave(self) -> None:
        """End the hosts and what carries messages to them."""

    def place(self, holding: Holding) -> Holding | None:
        """What is booked, as its nodes are to be told of it; None when it cannot be had there after all. May wait."""
        return holding

    def settled(self, reservation_id: int) -> None:
        """Nothing of a reservation is in use any more; called just before that is told."""

    def open(self, arrive: Arrive) -> None:
        self._arrive = arrive

    def nodes(self) -> tuple[Node, ...]:
        with self._lock:
            return self._holdings.nodes()

    def free(self) -> Resources:
        with self._lock:
            return without(sum(self._holdings.free().values(), Resources()))

    def join(self, node: Node, gpus: Sequence[str] = ()) -> None:
        """There is one more node, with a host."""
        with self._lock:
            self._holdings.add(node, gpus)

    def reserve(self, request: Request, avoid: Collection[str] = ()) -> Reservation | None:
        with self._lock:
            if self._closed:
                raise ExecutorClosedError("this executor was closed: open a new one")
            holding = self._holdings.reserve(request, avoid)
            if holding is None:
                return None
            self._bookings.book(holding)
        placed = None
        try:
            placed = self.place(holding)
        finally:
            if placed is None:
                with self._lock:
                    self._holdings.give_back(self._bookings.withdraw(holding.reservation.reservation_id))
        if placed is None:
            return None
        with self._lock:
            for node, hold in holds(placed).items():
                self.carry(node, hold)
        return holding.reservation

    def shares(self, reservation: Reservation) -> tuple[Shares | None, ...]:
        with self._lock:
            return self._bookings.shares(reservation.reservation_id)

    def release(self, reservation: Reservation) -> None:
        number = reservation.reservation_id
        with self._lock:
            frees, settled = self._bookings.release(number)
            for node, free in frees.items():
                self.carry(node, free)
        if settled:
            self._arrive(self._settled([settled]))

    def send(self, node: str, order: Order) -> None:
        with self._lock:
            if not self._closed and any(known.name == node for known in self._holdings.nodes()):
                self.carry(node, order)

    def hear(self, node: str, reports: Sequence[Report]) -> None:
        """What the host of `node` reports, in order."""
        arrivals: list[Arrival] = []
        settled: list[Holding] = []
        with self._lock:
            if self._closed:
                return
            for report in reports:
                if not isinstance(report, Freed):
                    arrivals.append(Reported(node, report))
                elif holding := self._bookings.freed(node, report.reservation_id):
                    settled.append(holding)
        arrivals += self._settled(settled)
        if arrivals:
            self._arrive(arrivals)

    def _settled(self, settled: Sequence[Holding]) -> list[Arrival]:
        for holding in settled:
            self.settled(holding.reservation.reservation_id)
            with self._lock:
                self._holdings.give_back(holding)
        return [RoomFreed() for _ in settled]

    def lose(self, node: str, why: str) -> None:
        """A node is gone; saying it twice does nothing."""
        with self._lock:
            if self._closed or all(known.name != node for known in self._holdings.nodes()):
                return
            self._holdings.remove(node)
            settled = self._bookings.lose(node)
        self._arrive([NodeLost(node, why), *self._settled(settled)])

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.leave()


def _nobody_listens(arrivals: Sequence[Arrival]) -> None:
    raise AssertionError(f"a fleet tells something before anybody has opened it: {arrivals}")
