"""Reservations over many nodes, from being made until every node has given its part back. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from executor.devices import Shares
from executor.holdings import Holding, Holdings
from executor.hosting.messages import Bundle, Free, Hold
from executor.labels import without
from executor.resources import Node, Request, Resources


@dataclass(slots=True)
class _Booking:
    holding: Holding
    left: set[str]
    """The nodes that still have something of it."""
    released: bool = False


class Bookings:
    """Who holds what on which node, and what its hosts are to be told. Reservations are numbered from `first`."""

    def __init__(
        self, nodes: Sequence[Node] = (), gpus: Mapping[str, Sequence[str]] | None = None, *, first: int = 1
    ) -> None:
        self._holdings = Holdings(nodes, gpus, first=first)
        self._bookings: dict[int, _Booking] = {}

    def nodes(self) -> tuple[Node, ...]:
        """The nodes there are."""
        return self._holdings.nodes()

    def free(self) -> Resources:
        """What is free on all of them together."""
        return without(sum(self._holdings.free().values(), Resources()))

    def join(self, node: Node, gpus: Sequence[str] = ()) -> None:
        """There is one more node."""
        self._holdings.add(node, gpus)

    def reserve(self, request: Request, avoid: Collection[str] = ()) -> Holding | None:
        """Hold room, of which the nodes are to be told by `holds`; None when it does not fit just now.

        Raises:
            InfeasibleRequestError: it would not fit even if everything were idle.
        """
        holding = self._holdings.reserve(request, avoid)
        if holding is not None:
            reservation = holding.reservation
            self._bookings[reservation.reservation_id] = _Booking(holding, set(reservation.nodes))
        return holding

    def withdraw(self, reservation_id: int) -> None:
        """Free room that no node was told of."""
        self._holdings.give_back(self._bookings.pop(reservation_id).holding)

    def shares(self, reservation_id: int) -> tuple[Shares | None, ...]:
        """The gpus in each bundle of a reservation."""
        return self._bookings[reservation_id].holding.gpus

    def release(self, reservation_id: int) -> dict[str, Free]:
        """What is to be told to the nodes that have something of it; nothing when that was said before."""
        booking = self._bookings.get(reservation_id)
        if booking is None or booking.released:
            return {}
        booking.released = True
        return dict.fromkeys(sorted(booking.left), Free(reservation_id))

    def freed(self, node: str, reservation_id: int) -> bool:
        """A node has given its part back; whether that was the last, so that the room can be reserved again."""
        booking = self._bookings.get(reservation_id)
        if booking is None or node not in booking.left:
            return False
        booking.left.remove(node)
        return self._settle(reservation_id, booking)

    def lose(self, name: str) -> list[int]:
        """A node is gone: the reservations that had been released and only waited for it."""
        self._holdings.remove(name)
        settled = []
        for number, booking in list(self._bookings.items()):
            booking.left.discard(name)
            if booking.released and self._settle(number, booking):
                settled.append(number)
        return settled

    def forgo(self, reservation_id: int) -> bool:
        """Release what no node has anything of any more; whether that settled it."""
        booking = self._bookings.get(reservation_id)
        return booking is not None and booking.released and self._settle(reservation_id, booking)

    def _settle(self, reservation_id: int, booking: _Booking) -> bool:
        if booking.left:
            return False
        del self._bookings[reservation_id]
        self._holdings.give_back(booking.holding)
        return True


def holds(holding: Holding) -> dict[str, Hold]:
    """What each node is to be told of a reservation."""
    reservation = holding.reservation
    bundles: defaultdict[str, list[Bundle]] = defaultdict(list)
    for number, (resources, node) in enumerate(zip(reservation.request.bundles, reservation.nodes, strict=True)):
        bundles[node].append(Bundle(number, resources, holding.visible(number)))
    return {node: Hold(reservation.reservation_id, tuple(held)) for node, held in bundles.items()}
