"""A host's large objects: room for what its workers make, and copies of what they need of other nodes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from typing import assert_never

from executor.depot.depot import Depot, Key
from executor.depot.store import Store
from executor.depot.transfer import Secret
from executor.errors import ObjectStoreFullError
from executor.framing import pack_plain
from executor.hosting.messages import (
    Allocated,
    Copied,
    DepotOpened,
    Discard,
    Fill,
    Keeping,
    Missing,
    Neighbour,
    OpenDepot,
    Piece,
    Report,
    Send,
    Wanted,
)
from executor.platform import here
from executor.processes.link import Link
from executor.processes.pool import Pool
from executor.processes.protocol import GRANTED, POSTED

_log = logging.getLogger(__name__)

_STORE_SHARE = 0.3


class Keeper:
    """Takes the caller's orders about objects, and what workers ask their host for; both under the pool's lock.

    There is a depot from the first order on. It listens where other nodes can reach this machine, at `address`.
    """

    def __init__(self, pool: Callable[[], Pool], folder: str, address: str, report: Callable[[Report], None]) -> None:
        self._pool = pool
        self._folder = folder
        self._address = address
        self._report = report
        self._depot: Depot | None = None

    def take(self, order: Keeping) -> None:
        """Obey."""
        if isinstance(order, OpenDepot):
            self._open(order)
            return
        assert self._depot is not None, "a caller has a depot opened before it speaks of objects"
        match order:
            case Neighbour(name, address, port):
                self._depot.meet(name, (address, port))
            case Discard(home, segment):
                self._depot.discard(Key(home, segment))
            case Missing(home, segment, why):
                self._depot.give_up(Key(home, segment), why)
            case Fill(home, segment, offset, content):
                self._fill(Key(home, segment), offset, content)
            case Send(home, segment, offset):
                self._send(Key(home, segment), offset)
            case _:
                assert_never(order)

    def _open(self, order: OpenDepot) -> None:
        budget = order.store_bytes or int(here.usable_memory() * _STORE_SHARE)
        store = Store(budget, self._folder, self._folder)
        self._depot = Depot(order.name, store, Secret(order.certificate, order.key), self._want)
        try:
            peer = self._depot.listen(self._address)
        except OSError as error:
            _log.warning("objects cannot be served at %s, so they go through the head: %s", self._address, error)
            peer = ("", 0)
        self._depot.lend()
        self._report(DepotOpened(*peer))

    def _fill(self, key: Key, offset: int, content: bytes) -> None:
        assert self._depot is not None
        if begin := self._depot.take(key, offset, content):
            self._report(Wanted(key.home, key.segment, self._depot.size_of(key), "", begin))

    def _send(self, key: Key, offset: int) -> None:
        assert self._depot is not None
        try:
            content = self._depot.piece(key, offset)
        except KeyError:
            content = b""
        self._report(Piece(key.home, key.segment, offset, content))

    def _want(self, key: Key, size: int, why: str) -> None:
        with self._pool().lock:
            self._report(Wanted(key.home, key.segment, size, why))

    def asked(self, link: Link, number: int, body: bytes) -> None:
        """A worker asks for room, or for an object of another node."""
        assert self._depot is not None
        verb, *arguments = json.loads(body)
        if verb == "allocate":
            try:
                place = self._depot.store.allocate(*arguments)
            except ObjectStoreFullError as error:
                self._answer(link, number, False, str(error))
            else:
                assert link.call is not None, "it asks while its call runs"
                self._report(Allocated(link.call.call_id, place.segment))
                self._answer(link, number, True, tuple(place[:3]))
        else:
            home, segment, size = arguments
            key = Key(home, segment)
            self._depot.fetch(key, size, partial(self._there, link, number, key))

    def _there(self, link: Link, number: int, key: Key, path: str, why: str) -> None:
        with self._pool().lock:
            if path:
                self._report(Copied(key.home, key.segment))
            self._answer(link, number, bool(path), path or why)

    def _answer(self, link: Link, number: int, well: bool, value: object) -> None:
        link.send(pack_plain((GRANTED, number, well, value), POSTED))

    def close(self) -> None:
        """Let go of all objects."""
        if self._depot is not None:
            self._depot.close()
