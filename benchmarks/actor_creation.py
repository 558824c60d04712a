"""An actor created in a process of its own, and its first call answered, in milliseconds.

Dask makes an actor within a worker that runs already; the processes of multiprocessing are what Python gives.
"""

from __future__ import annotations

import multiprocessing
from time import perf_counter
from typing import Any

import engines
from common import Figures, Part, compare

COUNT = 40


class Counter:
    def __init__(self) -> None:
        self.value = 0

    def add(self) -> int:
        self.value += 1
        return self.value


def figures(seconds: list[float]) -> Figures:
    later = [one * 1000 for one in seconds[1:]]  # the first one starts what all share
    return {"p50_ms": engines.percentile(later, 50), "p95_ms": engines.percentile(later, 95)}


def created_by(library: Any, count: int) -> Figures:
    kind = library.remote(Counter)
    times = []
    for _ in range(count):
        began = perf_counter()
        actor = kind.remote()
        assert library.get(actor.add.remote()) == 1
        times.append(perf_counter() - began)
        library.kill(actor)
    return figures(times)


def ours() -> Figures:
    with engines.ours() as library:
        return created_by(library, COUNT)


def ray() -> Figures:
    with engines.ray() as library:
        return created_by(library, 8)


def dask() -> Figures:
    with engines.dask() as client:

        def create() -> None:
            actor = client.submit(Counter, actor=True, pure=False).result()
            assert actor.add().result() == 1

        return figures(engines.taken(create, COUNT))


def serve(connection: Any) -> None:
    counter = Counter()
    while (method := connection.recv()) is not None:
        connection.send(getattr(counter, method)())


def processes(method: str) -> Figures:
    context = multiprocessing.get_context(method)
    times = []
    for _ in range(COUNT):
        began = perf_counter()
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(there,))
        process.start()
        here.send("add")
        assert here.recv() == 1
        times.append(perf_counter() - began)
        here.send(None)
        process.join()
    return figures(times)


if __name__ == "__main__":
    compare(
        "actor_creation",
        Part(ours, "executor", rounds=5),
        {
            "multiprocessing, fork": Part(lambda: processes("fork"), "multiprocessing", rounds=5),
            "multiprocessing, forkserver": Part(lambda: processes("forkserver"), "multiprocessing"),
            "multiprocessing, spawn": Part(lambda: processes("spawn"), "multiprocessing"),
            "dask, in a worker that is there": Part(dask, "distributed"),
            "ray": Part(ray, "ray", rounds=1),
        },
        unit="ms",
        at_most=12,
    )
