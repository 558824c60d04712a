"""One node's host inside an engine's actor: takes orders, and keeps what it reports until somebody collects it."""

from __future__ import annotations

import asyncio
import pickle
import socket
import weakref
from dataclasses import dataclass
from typing import Any

from executor import devices
from executor.hosting.host import Host
from executor.hosting.messages import Report

_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What a site finds on its machine: its name, and its gpus as Cuda names them."""

    host: str
    gpus: tuple[str, ...]


class Site:
    """Lives in an actor whose methods run on one event loop. It goes, with all its processes, when the actor does.

    `address` is where other nodes reach this machine.
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._reports: list[Report] = []
        self._fresh: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        ourselves = weakref.ref(self)  # the host's thread must not keep us, so that who forgets us ends it

        def deliver(reports: list[Report]) -> None:
            alive = ourselves()
            if alive is not None:
                alive.deliver(reports)

        self._host = Host(deliver, address=address)

    def deliver(self, reports: list[Report]) -> None:
        """Keep what the host reports; called by its thread."""
        self._reports += reports
        if self._loop is not None and self._fresh is not None:
            self._loop.call_soon_threadsafe(self._fresh.set)

    async def survey(self, gpus: float | None) -> Surveyed:
        """What there is on this machine; `gpus` is how many the engine says it has."""
        return Surveyed(socket.gethostname(), devices.names(gpus))

    async def take(self, orders: list[bytes]) -> None:
        """Obey, in this order; each is a pickle from the driver, whom the engine has let in."""
        for order in orders:
            self._host.take(pickle.loads(order))  # noqa: S301 - see above

    async def collect(self) -> list[Report]:
        """What was reported since the last time, waiting a while for the first."""
        if self._fresh is None:
            self._fresh, self._loop = asyncio.Event(), asyncio.get_running_loop()
        if not self._reports:
            self._fresh.clear()
            if not self._reports:  # it may have come just before the event was cleared
                try:
                    await asyncio.wait_for(self._fresh.wait(), _WAIT_S)
                except TimeoutError:
                    return []
        taken = self._reports[:]
        del self._reports[: len(taken)]
        return taken

    async def close(self) -> None:
        """End all processes."""
        await asyncio.get_running_loop().run_in_executor(None, self._host.close)

    def __del__(self) -> None:
        host: Any = getattr(self, "_host", None)
        if host is not None:
            host.close()
