"""Sessions with several others at a time, each by the name of its other end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from executor.cluster.session import Session, Stretch


class Sessions:
    """`carry` brings a stretch on its way to the one it is for. Not for many threads at a time."""

    def __init__(self, carry: Callable[[str, Stretch], None]) -> None:
        self._carry = carry
        self._all: dict[str, Session] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._all

    def names(self) -> list[str]:
        """Those with whom there is one."""
        return list(self._all)

    def begin(self, name: str) -> None:
        """Have one with somebody."""
        self._all[name] = Session()

    def send(self, name: str, items: Sequence[bytes]) -> None:
        """Say something, as few stretches as may be."""
        self._go(name, self._all[name].send(items))

    def take(self, name: str, stretch: Stretch) -> list[bytes]:
        """Of what somebody says, the items that are new."""
        session = self._all[name]
        items = session.take(stretch)
        self._go(name, session.flow() or session.acknowledgement())
        return items

    def was_heard(self, name: str) -> bool:
        """Whether somebody has ever answered."""
        return self._all[name].was_heard

    def say_again(self, name: str) -> None:
        """There is another connection: what may not have been heard goes out once more."""
        if (session := self._all.get(name)) is not None:
            self._go(name, session.again())

    def acknowledge(self) -> None:
        """Tell all how much was heard of them."""
        for name, session in self._all.items():
            self._go(name, session.acknowledgement(now=True))

    def end(self, name: str) -> bool:
        """Forget the one with somebody who is gone; whether there was one."""
        return self._all.pop(name, None) is not None

    def _go(self, name: str, stretch: Stretch | None) -> None:
        if stretch is not None:
            self._carry(name, stretch)
