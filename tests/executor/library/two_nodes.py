"""Two nodes of a cluster with the library open on them, and what tests have run there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy

import executor
from executor.cluster.fleet import ClusterFleet
from executor.depot.depot import Depot
from tests.executor.cluster_rig import Rig
from tests.executor.library.events import Signal, holds

MIB = 2**20


@contextmanager
def two_nodes() -> Iterator[Rig]:
    found = Rig()
    found.join("a", {"cpu": 2, "gpu": 2}, {"zone": "x"})
    found.join("b", {"cpu": 2, "gpu": 2}, {"zone": "y"})
    executor.init(ClusterFleet(found.dial), log_to_driver=False)
    holds(lambda: len(executor.nodes()) == 2, "both nodes have joined")
    try:
        yield found
    finally:
        executor.shutdown()
        found.close()


def node() -> str:
    return str(executor.get_runtime_context().get_node_id())


def wait_until_all_is_free() -> None:
    holds(lambda: executor.available_resources() == executor.cluster_resources(), "those before have ended")


where = executor.remote(node)


@executor.remote
class Resident:
    """Tells where it is, and dies when it is told to."""

    def node(self) -> str:
        return node()

    def gpus(self) -> tuple[str, list[str]]:
        return node(), executor.get_gpu_ids()

    def pid(self) -> int:
        return os.getpid()

    def wait(self, go: Signal) -> str:
        go.wait()
        return node()


@executor.remote
def make(size: int) -> Any:
    return numpy.full(size, 7, dtype=numpy.uint8)


@executor.remote
def look(array: Any) -> tuple[str, int, bool]:
    return node(), int(array[-1]), bool(array.flags.writeable)


def on(function: Any, zone: str) -> Any:
    return function.options(label_selector={"zone": zone})


def kept(rig: Rig) -> dict[str, int]:
    """How many objects each node keeps, its own and copies."""
    return {name: sum(depot.store.use().objects for depot in its) for name, its in depots(rig).items()}


def depots(rig: Rig) -> dict[str, list[Depot]]:
    """What each node keeps objects in, for each driver."""
    hosts = {name: [one._host for one in agent._served.values()] for name, agent in rig.agents.items()}
    return {name: [host._keeper._depot for host in its if host._keeper._depot] for name, its in hosts.items()}
