"""The large objects of a driver whose workers are on nodes: its own, and which node has what.

An object stays where it was made, and goes to who needs it: from node to node, or from and to the driver, over mutual
TLS with a certificate that is made for this driver and known to its nodes alone. Only nodes listen: the driver dials.
What a node cannot fetch from another one the driver fetches, from where it was made or from a node with a copy, and
hands on. A node that the driver cannot reach, as one behind a firewall, is sent objects in pieces by their session,
through the head, and sends them so: it takes longer.

On one machine an object stays where it is, and all read it in the memory in which it lies.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from executor.depot.depot import Depot, Key
from executor.depot.store import Place, Store
from executor.depot.transfer import Peer, Secret
from executor.errors import ObjectLostError
from executor.hosting.messages import Discard, Fill, Missing, Neighbour, OpenDepot, Order, Send
from executor.library.values import size_of

_log = logging.getLogger(__name__)


class Depots:
    """See the module. Called under the hub's lock, but for `path_of`, which waits."""

    def __init__(self, send: Callable[[str, Order], None], store: Store, store_bytes: int) -> None:
        self._send = send
        self._store_bytes = store_bytes
        self._secret = Secret.new()
        self._own = Depot("", store, self._secret, self._cannot, self._holders)
        self._own.lend()
        self._nodes: dict[str, Peer | None] = {}
        self._copies: dict[Key, set[str]] = {}
        """Of each object that somebody may need, the nodes that have a copy."""

    def open(self, node: str) -> None:
        """Have a node keep objects, before its first worker begins."""
        self._send(node, OpenDepot(node, self._secret.certificate, self._secret.key, self._store_bytes))

    def opened(self, node: str, peer: Peer | None) -> None:
        """A node keeps objects, and is to be reached there, if anywhere."""
        for other, its in self._nodes.items():
            if peer is not None:
                self._send(other, Neighbour(node, *peer))
            if its is not None:
                self._send(node, Neighbour(other, *its))
        self._nodes[node] = peer
        if peer is not None:
            self._own.meet(node, peer)

    def lose(self, node: str) -> None:
        """A node is gone, with all that was only there: of other objects of its own copies go on."""
        self._nodes.pop(node, None)
        self._own.lose(node)

    def allocate(self, size: int) -> Place:
        """A place for an object of the driver.

        Raises:
            ObjectStoreFullError: there is room for it neither in memory nor on disk.
        """
        place = self._own.store.allocate(size)
        self.allocated(Key("", place.segment))
        return place

    def allocated(self, key: Key) -> None:
        """There is room for an object that is being made."""
        self._copies[key] = set()

    def copied(self, node: str, key: Key) -> None:
        """A node has a copy, which it need not keep if it has come too late."""
        if key in self._copies:
            self._copies[key].add(node)
        elif node in self._nodes:
            self._send(node, Discard(key.home, key.segment))

    def give_back(self, place: Place) -> None:
        """Nobody refers to what lies there any more."""
        key = Key(place.home, place.segment)
        self._own.discard(key)
        for node in self._copies.pop(key, set()) | {place.home}:
            if node in self._nodes:
                self._send(node, Discard(key.home, key.segment))

    def wanted(self, node: str, key: Key, size: int, why: str, offset: int) -> None:
        """A node needs what it cannot fetch: hand it over, aside; or the next piece, when it has one."""
        if key not in self._copies:
            self._send(node, Missing(key.home, key.segment, "nobody needs it any more"))
        elif offset:
            self._fill(node, key, offset)
        elif key.home:
            self._own.fetch(key, size, partial(self._hand_on, node, key, size, why))
        else:
            self._hand_aside(node, key, size, why)

    def _fill(self, node: str, key: Key, offset: int) -> None:
        try:
            self._send(node, Fill(key.home, key.segment, offset, self._own.piece(key, offset)))
        except KeyError:
            self._send(node, Missing(key.home, key.segment, "nobody needs it any more"))

    def piece(self, node: str, key: Key, offset: int, content: bytes) -> None:
        """A node that we cannot reach sends a piece of an object of its own."""
        if not content:
            self._own.give_up(key, f"{node} does not have it any more")
        elif begin := self._own.take(key, offset, content):
            self._send(node, Send(key.home, key.segment, begin))

    def _hand_on(self, node: str, key: Key, size: int, why: str, path: str, why_not: str) -> None:
        """What a node needs of another one is here now, or cannot be had here either."""
        if path:
            self._hand_aside(node, key, size, why)
        else:
            told = f"{why}; nor can the driver hand it on: {_lost(key, why_not)}"
            self._send(node, Missing(key.home, key.segment, told))

    def _hand_aside(self, node: str, key: Key, size: int, why: str) -> None:
        threading.Thread(target=self._hand, args=(node, key, size, why), daemon=True).start()

    def _hand(self, node: str, key: Key, size: int, why: str) -> None:
        try:
            self._own.hand(node, key, size)
        except OSError as error:
            _log.info("node %s is sent object %d of %s through the head: %s", node, key.segment, key.home, error)
            self._fill(node, key, 0)
        except KeyError:
            self._send(node, Missing(key.home, key.segment, f"{why}; and by now nobody needs it any more"))

    def _cannot(self, key: Key, size: int, why: str) -> None:
        """We cannot fetch it ourselves."""
        if holders := self._holders(key):
            _log.info("node %s is asked for object %d through the head: %s", holders[0], key.segment, why)
            self._send(holders[0], Send(key.home, key.segment, 0))
        else:
            self._own.give_up(key, f"{why}, and no other node has a copy")

    def _holders(self, key: Key) -> list[str]:
        """The nodes that have it: the one that made it, then those with a copy."""
        return [node for node in (key.home, *self._copies.get(key, ())) if node in self._nodes]

    def bring(self, place: Place, then: Callable[[str], None]) -> None:
        """Have a copy here; `then` is told why there is none, or nothing, now or by any thread."""
        if not place.home:
            then("")
            return
        key = Key(place.home, place.segment)
        self._own.fetch(key, size_of(place), lambda path, why: then("" if path else _lost(key, why)))

    def path_of(self, place: Place) -> str:
        """The file on this machine that has what lies there.

        Raises:
            ObjectLostError: its node is gone, or cannot be reached.
        """
        if not place.home:
            return place.path
        key = Key(place.home, place.segment)
        there, found = threading.Event(), []

        def then(path: str, why: str) -> None:
            found.append((path, why))
            there.set()

        self._own.fetch(key, size_of(place), then)
        there.wait()
        path, why = found[0]
        if not path:
            raise ObjectLostError(_lost(key, why))
        return path

    def close(self) -> None:
        """Let go of the driver's own."""
        self._own.close()


def _lost(key: Key, why: str) -> str:
    return f"an object of node {key.home} cannot be had any more: {why}"
