"""1 GB of numpy from a driver to four nodes on this machine: from `put` until an actor on each has summed all of it.

GB that arrive a second, of which there are four. `apart` is the same between nodes that cannot share memory, as those
of several machines cannot: they have process ids of their own, for which it takes Linux and root.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import agents
import engines
from common import Figures, Part, compare, storage

NODES = 4
NUMBERS = 125_000_000
PORT = 47_277
APART = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


class Reader:
    """Lives on a node of its own."""

    def total(self, array: Any) -> float:
        return float(array.sum())


def arriving(send: Callable[[Any], list[float]]) -> float:
    """GB a second of which `send` has the sums that each node came to."""
    import numpy as np

    send(np.ones(100_000))
    array = np.ones(NUMBERS)
    began = perf_counter()
    sums = send(array)
    took = perf_counter() - began
    assert sums == [float(NUMBERS)] * NODES
    return NODES * array.nbytes / 1e9 / took


def put(library: Any) -> float:
    readers = [library.remote(num_cpus=1)(Reader).remote() for _ in range(NODES)]

    def send(array: Any) -> list[float]:
        reference = library.put(array)
        return library.get([reader.total.remote(reference) for reader in readers])

    return arriving(send)


def ours() -> Figures:
    figures = {"gb_per_s": on_nodes(())}
    if sys.platform == "linux" and os.geteuid() == 0:
        figures["apart_gb_per_s"] = on_nodes(APART)
    return figures


def on_nodes(under: tuple[str, ...]) -> float:
    import executor

    with storage() as path, agents.cluster(path, PORT, NODES, under):
        executor.init(f"grpc://127.0.0.1:{PORT}")
        try:
            return put(executor)
        finally:
            executor.shutdown()


def ray() -> Figures:
    with engines.ray_nodes(NODES) as library:
        return {"gb_per_s": put(library)}


def dask() -> Figures:
    with engines.dask(NODES) as client:
        workers = list(client.scheduler_info()["workers"])

        def send(array: Any) -> list[float]:
            scattered = client.scatter(array, broadcast=True, direct=True, hash=False)
            sums = [client.submit(Reader().total, scattered, workers=[one], pure=False) for one in workers]
            return client.gather(sums)

        return {"gb_per_s": arriving(send)}


if __name__ == "__main__":
    compare(
        "object_to_nodes",
        Part(ours, "executor"),
        {"ray": Part(ray, "ray"), "dask": Part(dask, "distributed", rounds=1)},
        unit="GB/s",
        most_of_all=True,
    )
