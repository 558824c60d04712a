"""A host's workers that its caller talks to as long as they live: they sit nowhere, for the caller keeps the books."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import assert_never

from executor.framing import gathered, pack, pack_sealed
from executor.hosting.messages import Dismiss, Employ, Employing, Nudge, Post, Preload, Report
from executor.hosting.prints import Prints
from executor.messages import DeathCause, Died
from executor.processes.link import Link, RunningCall
from executor.processes.pool import Pool
from executor.processes.protocol import ARGUMENT, ORDER, POSTED, Order
from executor.processes.servers import Source


class Staff:
    """Takes the orders about them, under the pool's lock. What they tell and how they end the host reports."""

    def __init__(
        self, pool: Pool, sources: Mapping[str, Source], prints: Prints, report: Callable[[Report], None]
    ) -> None:
        self._pool = pool
        self._sources = sources
        self._prints = prints
        self._report = report
        self._links: dict[str, Link] = {}
        self._names: dict[int, str] = {}

    def take(self, order: Employing) -> None:
        """Obey. What is said to one that is gone goes nowhere: that it is gone was told, or is about to be."""
        match order:
            case Post(call_id, message):
                if (link := self._links.get(call_id)) is not None:
                    link.send(pack_sealed(message, POSTED))
            case Nudge(call_id, word):
                if (link := self._links.get(call_id)) is not None:
                    link.nudge(word)
            case Employ():
                self._employ(order)
            case Dismiss(call_id):
                if (link := self._links.get(call_id)) is not None:
                    link.leave()
            case Preload(digest, modules):
                if (source := self._sources.get(digest)) is not None:
                    self._pool.preload(source.digest, modules)
            case _:
                assert_never(order)

    def _employ(self, order: Employ) -> None:
        source = self._sources.get(order.digest)
        if source is None:
            self._refuse(order, f"its program was not prepared on {socket.gethostname()}")
            return
        try:
            link = self._pool.open_link(source.digest, memory_bytes=order.memory_bytes)
        except OSError as error:
            self._refuse(order, f"no worker process could be started: {error}")
            return
        self._links[order.call_id], self._names[link.number] = link, order.call_id
        log_path = self._prints.follow(order.call_id, link.number)
        began = Order(order.seed, True, log_path, order.environment, order.threads, order.devices)
        pieces = gathered(pack(tuple(began), ORDER), pack_sealed(order.argument, ARGUMENT))
        self._pool.begin(link, RunningCall(order.call_id, log_path), pieces, last=True)

    def _refuse(self, order: Employ, why: str) -> None:
        self._report(Died(order.call_id, DeathCause(unstarted=why)))

    def leave(self, link: Link) -> None:
        """A worker process is gone, employed or not."""
        if (call_id := self._names.pop(link.number, None)) is not None:
            del self._links[call_id]
