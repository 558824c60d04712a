"""Reservations over many nodes, from being made until every node has given its part back. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from executor.devices import Shares
from executor.holdings import Holding
from executor.hosting.messages import Bundle, Free, Hold


@dataclass(slots=True)
class _Booking:
    holding: Holding
    left: set[str]
    """The nodes that still have something of it."""
    released: bool = False


class Bookings:
    """What is reserved on which node, and what its hosts are to be told; who counts what is free keeps it elsewhere.

    A reservation is settled, and forgotten here, when no node has anything of it any more.
    """

    def __init__(self) -> None:
        self._bookings: dict[int, _Booking] = {}

    def holdings(self) -> list[Holding]:
        """All that is booked."""
        return [booking.holding for booking in self._bookings.values()]

    def book(self, holding: Holding) -> None:
        """Room is reserved, of which the nodes are to be told by `holds`."""
        reservation = holding.reservation
        self._bookings[reservation.reservation_id] = _Booking(holding, set(reservation.nodes))

    def withdraw(self, reservation_id: int) -> Holding:
        """Forget room that no node was told of."""
        return self._bookings.pop(reservation_id).holding

    def shares(self, reservation_id: int) -> tuple[Shares | None, ...]:
        """The gpus in each bundle of a reservation."""
        return self._bookings[reservation_id].holding.gpus

    def is_on(self, node: str) -> bool:
        """Whether a node has something of any reservation."""
        return any(node in booking.left for booking in self._bookings.values())

    def release(self, reservation_id: int) -> tuple[dict[str, Free], Holding | None]:
        """What is to be told to the nodes that have something of it, and, when none has, what that has settled.

        Nothing when it was released before.
        """
        booking = self._bookings.get(reservation_id)
        if booking is None or booking.released:
            return {}, None
        booking.released = True
        return dict.fromkeys(sorted(booking.left), Free(reservation_id)), self._settle(booking)

    def freed(self, node: str, reservation_id: int) -> Holding | None:
        """A node has given its part back: what that has settled."""
        booking = self._bookings.get(reservation_id)
        if booking is None or node not in booking.left:
            return None
        booking.left.remove(node)
        return self._settle(booking)

    def lose(self, node: str) -> list[Holding]:
        """A node is gone: what had been released, and only waited for it."""
        settled = []
        for booking in list(self._bookings.values()):
            booking.left.discard(node)
            if booking.released and (holding := self._settle(booking)):
                settled.append(holding)
        return settled

    def _settle(self, booking: _Booking) -> Holding | None:
        if booking.left:
            return None
        del self._bookings[booking.holding.reservation.reservation_id]
        return booking.holding


def holds(holding: Holding) -> dict[str, Hold]:
    """What each node is to be told of a reservation."""
    reservation = holding.reservation
    bundles: defaultdict[str, list[Bundle]] = defaultdict(list)
    for number, (resources, node) in enumerate(zip(reservation.request.bundles, reservation.nodes, strict=True)):
        bundles[node].append(Bundle(number, resources, holding.visible(number)))
    return {node: Hold(reservation.reservation_id, tuple(held)) for node, held in bundles.items()}
