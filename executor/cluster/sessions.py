"""Sessions with several peers at a time, one with each."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from executor.cluster.session import Session, Stretch


class Sessions:
    """`carry` brings a stretch of a session on its way: to whom, what the session is called, and the stretch.

    A session begins with what is said first: by us, and where peers `may_begin` one also by them. Not for many threads
    at a time.
    """

    def __init__(self, carry: Callable[[str, str, Stretch], None], *, may_begin: bool = False) -> None:
        self._carry = carry
        self._may_begin = may_begin
        self._all: dict[str, Session] = {}

    def __contains__(self, peer: str) -> bool:
        return peer in self._all

    def peers(self) -> list[str]:
        """Those with whom there is one."""
        return list(self._all)

    def send(self, peer: str, items: Sequence[bytes]) -> None:
        """Say something, in as few stretches as may be."""
        session = self._all.get(peer) or self._begin(peer, secrets.token_hex(4))
        self._go(peer, session.send(items))

    def take(self, peer: str, name: str, stretch: Stretch) -> list[bytes]:
        """Of what a peer says in a session of that name, the items that are new: none when it has ended."""
        session = self._all.get(peer)
        if session is None or session.name != name:
            if not self._may_begin or stretch.first != 1:
                return []
            session = self._begin(peer, name)  # anew where we were taken for gone meanwhile
        items = session.take(stretch)
        self._go(peer, session.flow() or session.acknowledgement())
        return items

    def _begin(self, peer: str, name: str) -> Session:
        session = self._all[peer] = Session(name)
        return session

    def was_heard(self, peer: str, name: str) -> bool:
        """Whether there is a session of that name, and the peer has ever answered in it."""
        session = self._all.get(peer)
        return session is not None and session.name == name and session.was_heard

    def say_again(self, peer: str) -> None:
        """There is another connection: what may not have been heard goes out once more."""
        if (session := self._all.get(peer)) is not None:
            self._go(peer, session.again())

    def say_all_again(self) -> None:
        """There is another connection to all of them."""
        for peer in self.peers():
            self.say_again(peer)

    def acknowledge(self) -> None:
        """Tell all how much was heard of them."""
        for peer, session in list(self._all.items()):  # one with whom there is no way any more is parted from
            self._go(peer, session.acknowledgement(now=True))

    def end(self, peer: str) -> bool:
        """Forget the one with a peer who is gone; whether there was one."""
        return self._all.pop(peer, None) is not None

    def _go(self, peer: str, stretch: Stretch | None) -> None:
        if stretch is not None:
            self._carry(peer, self._all[peer].name, stretch)
