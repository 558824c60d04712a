"""`get(actor.method.remote())`, as a multiple of one byte there and back over a unix socket, measured in between.

How long a thread takes to wake up varies threefold from minute to minute, so the two take turns within the same run.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import engines
from common import Figures, Part, compare

WARM_UP = 500
TURNS = 30
CALLS = 100


class Echo:
    def nothing(self) -> None:
        return None


def against_bare(bare: Callable[[], object], call: Callable[[], object], turns: int = TURNS) -> Figures:
    engines.taken(call, WARM_UP)
    engines.taken(bare, WARM_UP)
    calls: list[float] = []
    floor: list[float] = []
    for _ in range(turns):
        calls += engines.taken(call, CALLS)
        floor += engines.taken(bare, CALLS)
    p50, bare_p50 = engines.percentile(calls, 50) * 1e6, engines.percentile(floor, 50) * 1e6
    return {
        "bare_round_trips": p50 / bare_p50,
        "p50_us": p50,
        "p99_us": engines.percentile(calls, 99) * 1e6,
        "bare_p50_us": bare_p50,
    }


def called(library: Any, bare: Callable[[], object], turns: int = TURNS) -> Figures:
    actor = library.remote(Echo).remote()
    return against_bare(bare, lambda: library.get(actor.nothing.remote()), turns)


def ours() -> Figures:
    with engines.bare_round_trip() as bare, engines.ours() as library:
        return called(library, bare)


def ray() -> Figures:
    with engines.bare_round_trip() as bare, engines.ray() as library:
        return called(library, bare, 10)


def dask() -> Figures:
    with engines.bare_round_trip() as bare, engines.dask() as client:
        actor = client.submit(Echo, actor=True).result()
        return against_bare(bare, lambda: actor.nothing().result(), 10)


def serve(connection: Any) -> None:
    echo = Echo()
    while (method := connection.recv()) is not None:
        connection.send(getattr(echo, method)())


def pipe() -> Figures:
    with engines.bare_round_trip() as bare:
        here, there = multiprocessing.Pipe()
        process = multiprocessing.Process(target=serve, args=(there,))
        process.start()

        def call() -> None:
            here.send("nothing")
            here.recv()

        figures = against_bare(bare, call)
        here.send(None)
        process.join()
        return figures


if __name__ == "__main__":
    compare(
        "actor_round_trip",
        Part(ours, "executor", rounds=5),
        {
            "multiprocessing.Pipe": Part(pipe, "multiprocessing", rounds=5),
            "ray": Part(ray, "ray", rounds=1),
            "dask": Part(dask, "distributed", rounds=1),
        },
        unit="bare round trips",
        at_most=2.5,
    )
