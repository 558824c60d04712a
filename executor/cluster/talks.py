"""What a driver and the nodes it has room on say to each other: a session with each, carried by parcels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from executor.cluster import wire
from executor.cluster.protos import cluster as pb
from executor.cluster.session import Stretch
from executor.cluster.sessions import Sessions
from executor.hosting.messages import Order, Report


class Talks:
    """The talks of `driver`, each begun by the first order to a node. `post` brings a parcel on its way."""

    def __init__(self, driver: str, post: Callable[[pb.Parcel], None]) -> None:
        self._driver = driver
        self._post = post
        self.sessions = Sessions(self._carry)
        self._gathered: dict[str, list[bytes]] | None = None

    def send(self, node: str, order: Order) -> None:
        """Say something to a node."""
        item = wire.encode_order(order)
        if self._gathered is not None:
            self._gathered.setdefault(node, []).append(item)
        else:
            self.sessions.send(node, [item])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Have all that is said within it go out at the end of it, a parcel for each node."""
        gathered = self._gathered = {}
        try:
            yield
        finally:
            self._gathered = None
            for node, items in gathered.items():
                self.sessions.send(node, items)

    def hear(self, parcel: pb.Parcel) -> list[Report]:
        """What a node says that is new. That of one that was lost does not count any more."""
        stretch = Stretch(parcel.first, parcel.seen, tuple(parcel.items))
        items = self.sessions.take(parcel.node, parcel.session, stretch)
        return [wire.decode_report(item) for item in items]

    def is_over(self, parcel: pb.Parcel) -> bool:
        """Whether a node says that it has ended the session that we have with it; one that it never heard of begins."""
        return parcel.over and self.sessions.was_heard(parcel.node, parcel.session)

    def _carry(self, node: str, session: str, stretch: Stretch) -> None:
        self._post(
            pb.Parcel(
                driver=self._driver,
                node=node,
                session=session,
                first=stretch.first,
                seen=stretch.seen,
                items=stretch.items,
            )
        )
