"""What a driver and the nodes it has room on say to each other: a session with each, carried by parcels."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from executor.cluster import wire
from executor.cluster.protos import cluster as pb
from executor.cluster.session import Session, Stretch
from executor.hosting.messages import Order, Report


@dataclass(frozen=True, slots=True)
class _Talk:
    """A session with a node, and its name."""

    session: Session = field(default_factory=Session)
    name: str = field(default_factory=lambda: secrets.token_hex(4))


class Talks:
    """The sessions of `driver`, each begun by the first order to a node. `post` brings a parcel on its way."""

    def __init__(self, driver: str, post: Callable[[pb.Parcel], None]) -> None:
        self._driver = driver
        self._post = post
        self._talks: dict[str, _Talk] = {}
        self._gathered: dict[str, list[bytes]] | None = None

    def __contains__(self, node: str) -> bool:
        return node in self._talks

    def nodes(self) -> list[str]:
        """The nodes with which there is a session."""
        return list(self._talks)

    def send(self, node: str, order: Order) -> None:
        """Say something to a node."""
        item = wire.encode_order(order)
        if self._gathered is not None:
            self._gathered.setdefault(node, []).append(item)
        else:
            self._say(node, [item])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Have all that is said within it go out at the end of it, a parcel for each node."""
        gathered = self._gathered = {}
        try:
            yield
        finally:
            self._gathered = None
            for node, items in gathered.items():
                self._say(node, items)

    def _say(self, node: str, items: list[bytes]) -> None:
        talk = self._talks.get(node)
        if talk is None:
            talk = self._talks[node] = _Talk()
        self._carry(node, talk, talk.session.send(items))

    def hear(self, parcel: pb.Parcel) -> list[Report]:
        """What a node says that is new. That of one that was lost does not count any more."""
        talk = self._talks.get(parcel.node)
        if talk is None or talk.name != parcel.session:
            return []
        items = talk.session.take(Stretch(parcel.first, parcel.seen, tuple(parcel.items)))
        self._carry(parcel.node, talk, talk.session.flow() or talk.session.acknowledgement())
        return [wire.decode_report(item) for item in items]

    def say_again(self, node: str) -> None:
        """There is another connection to a node: what it may not have heard goes out once more."""
        if (talk := self._talks.get(node)) is not None:
            self._carry(node, talk, talk.session.again())

    def acknowledge(self) -> None:
        """Tell every node how much was heard of it."""
        for node, talk in self._talks.items():
            self._carry(node, talk, talk.session.acknowledgement(now=True))

    def end(self, node: str) -> bool:
        """Forget the session with a node that is lost; whether there was one."""
        return self._talks.pop(node, None) is not None

    def _carry(self, node: str, talk: _Talk, stretch: Stretch | None) -> None:
        if stretch is not None:
            self._post(
                pb.Parcel(
                    driver=self._driver,
                    node=node,
                    session=talk.name,
                    first=stretch.first,
                    seen=stretch.seen,
                    items=stretch.items,
                )
            )
