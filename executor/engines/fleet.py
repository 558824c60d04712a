"""A fleet with one site per node of an engine: a thread for what goes there, and one for what comes back."""

from __future__ import annotations

import pickle
import queue
import threading
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from executor.hosting.booked import BookedFleet
from executor.hosting.messages import Order, Report
from executor.resources import Node


@dataclass(eq=False)
class Post:
    """The way to one node's site."""

    node: str
    orders: queue.SimpleQueue[bytes | None] = field(default_factory=queue.SimpleQueue)


class SiteFleet(BookedFleet):
    """Joins nodes as the engine shows them; who derives from it says how their sites are spoken to.

    The three abstract methods may wait, and raise any exception when the site is gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._posts: dict[str, Post] = {}

    @abstractmethod
    def deliver(self, node: str, orders: list[bytes]) -> None:
        """Have the site take orders, each a pickle."""

    @abstractmethod
    def collect(self, node: str) -> Sequence[Report]:
        """What the site has to report, waiting for it a while."""

    @abstractmethod
    def end(self, node: str) -> None:
        """Have the site end, as far as it can still be reached."""

    def settle(self, node: Node, gpus: Sequence[str]) -> None:
        """A node's site is there."""
        post = self._posts[node.name] = Post(node.name)
        self.join(node, gpus)
        for work in (self._send, self._receive):
            threading.Thread(target=work, args=(post,), name=f"audition-{node.name}", daemon=True).start()

    def carry(self, node: str, order: Order) -> None:
        if (post := self._posts.get(node)) is not None:
            post.orders.put(pickle.dumps(order, 5))  # now, as the caller may change what he has sent

    def _send(self, post: Post) -> None:
        while (order := post.orders.get()) is not None:
            orders = [order]
            while not post.orders.empty() and (order := post.orders.get()) is not None:
                orders.append(order)
            try:
                self.deliver(post.node, orders)
            except Exception as error:  # noqa: BLE001 - whatever an engine raises for what is gone
                self._gone(post, error)
                return
            if order is None:
                return

    def _receive(self, post: Post) -> None:
        while not self._closed:
            try:
                reports = self.collect(post.node)
            except Exception as error:  # noqa: BLE001 - the same
                self._gone(post, error)
                return
            if reports:
                self.hear(post.node, reports)

    def _gone(self, post: Post, error: Exception) -> None:
        self._posts.pop(post.node, None)
        post.orders.put(None)
        if not self._closed:
            self.lose(post.node, f"its engine says: {error}")

    def leave(self) -> None:
        posts, self._posts = list(self._posts.values()), {}
        endings = [threading.Thread(target=self._leave, args=(post,)) for post in posts]
        for ending in endings:
            ending.start()
        for ending in endings:
            ending.join(5.0)

    def _leave(self, post: Post) -> None:
        post.orders.put(None)
        try:
            self.end(post.node)
        except Exception:  # noqa: BLE001 - it is gone anyway
            return
