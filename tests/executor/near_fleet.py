"""Hosts in this very process, and what is said between them and their caller as it would travel."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from executor import devices
from executor.hosting.booked import BookedFleet
from executor.hosting.host import Host
from executor.hosting.messages import Order, Report
from executor.hosting.packages import PackageCache
from executor.resources import Node


class NearFleet(BookedFleet):
    """A host for each of `nodes`; `cut` is how a test loses one."""

    def __init__(
        self,
        nodes: Sequence[Node],
        gpus: Mapping[str, Sequence[str]] | None = None,
        caches: Mapping[str, PackageCache] | None = None,
        address: str = "127.0.0.1",
        lost: Callable[[Sequence[str]], Mapping[str, str]] = devices.lost,
    ) -> None:
        super().__init__(nodes, gpus)
        self._hosts = {
            node.name: Host(
                partial(self._reports, node.name), address=address, cache=(caches or {}).get(node.name), lost=lost
            )
            for node in nodes
        }

    def _reports(self, node: str, reports: list[Report]) -> None:
        self.hear(node, _sent(reports))

    def carry(self, node: str, order: Order) -> None:
        self._hosts[node].take(_sent(order))

    def cut(self, node: str) -> None:
        self.lose(node, "its cable was pulled")
        self._hosts.pop(node).close()

    def leave(self) -> None:
        for host in self._hosts.values():
            host.close()


def _sent(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value, 5))
