"""Memory (PSS) of one more idle actor that has imported numpy, and of all processes after a first task, in MB.

The actor's is what eight of them hold more than one, divided by seven.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import engines
from common import Figures, Part, compare

MB = 1e6
MORE = 7


class Idle:
    def ready(self) -> str:
        import numpy as np

        return np.__version__


def one() -> int:
    return 1


def figures(idle: int, make_one: Callable[[], object]) -> Figures:
    kept = [make_one()]
    first = engines.pss_bytes()
    kept += [make_one() for _ in range(MORE)]
    more = engines.pss_bytes() - first
    return {"actor_mb": more / MORE / MB, "all_idle_mb": idle / MB}


def measured(library: Any) -> Figures:
    assert library.get(library.remote(one).remote()) == 1
    idle = engines.pss_bytes()

    def make_one() -> Any:
        actor = library.remote(num_cpus=0)(Idle).remote()
        library.get(actor.ready.remote())
        return actor

    return figures(idle, make_one)


def ours() -> Figures:
    with engines.ours() as library:
        return measured(library)


def ray() -> Figures:
    with engines.ray() as library:
        return measured(library)


def dask() -> Figures:
    with engines.dask() as client:
        assert client.submit(one).result() == 1
        idle = engines.pss_bytes()

        def make_one() -> None:
            before = len(client.scheduler_info(n_workers=-1)["workers"])
            client.cluster.scale(before + 1)
            client.wait_for_workers(before + 1)
            client.run(Idle.ready, None)

        return figures(idle, make_one)


def serve(connection: Any) -> None:
    idle = Idle()
    while (method := connection.recv()) is not None:
        connection.send(getattr(idle, method)())


def processes(method: str) -> Figures:
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        assert pool.apply(one) == 1
        idle = engines.pss_bytes()
        started = []

        def make_one() -> None:
            here, there = context.Pipe()
            process = context.Process(target=serve, args=(there,))
            process.start()
            here.send("ready")
            here.recv()
            started.append((process, here))

        found = figures(idle, make_one)
        for process, connection in started:
            connection.send(None)
            process.join()
        return found


if __name__ == "__main__":
    compare(
        "idle_memory",
        Part(ours, "executor"),
        {
            "multiprocessing, forkserver": Part(lambda: processes("forkserver"), "multiprocessing"),
            "multiprocessing, spawn": Part(lambda: processes("spawn"), "multiprocessing"),
            "dask": Part(dask, "distributed", rounds=1),
            "ray": Part(ray, "ray", rounds=1),
        },
        unit="MB",
        at_most=10,
    )
