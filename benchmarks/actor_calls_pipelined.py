"""Calls of one actor a second: all submitted, then all got. Pools of one process are the nearest that Python has."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter
from typing import Any

import engines
from common import Figures, Part, compare

CALLS = 20_000


class Echo:
    def nothing(self) -> None:
        return None


ECHO = Echo()


def nothing() -> None:
    ECHO.nothing()


def rate(run: Callable[[int], object], calls: int) -> Figures:
    run(calls // 10)
    began = perf_counter()
    run(calls)
    return {"calls_per_s": calls / (perf_counter() - began)}


def called(library: Any, calls: int) -> Figures:
    actor = library.remote(Echo).remote()
    return rate(lambda count: library.get([actor.nothing.remote() for _ in range(count)]), calls)


def ours() -> Figures:
    with engines.ours() as library:
        return called(library, CALLS)


def ray() -> Figures:
    with engines.ray() as library:
        return called(library, 5_000)


def dask() -> Figures:
    with engines.dask() as client:
        actor = client.submit(Echo, actor=True).result()

        def run(count: int) -> None:
            for future in [actor.nothing() for _ in range(count)]:
                future.result()

        return rate(run, 2_000)


def pool() -> Figures:
    with multiprocessing.Pool(1) as processes:

        def run(count: int) -> None:
            for result in [processes.apply_async(nothing) for _ in range(count)]:
                result.get()

        return rate(run, CALLS)


def futures() -> Figures:
    with ProcessPoolExecutor(1) as processes:

        def run(count: int) -> None:
            for future in [processes.submit(nothing) for _ in range(count)]:
                future.result()

        return rate(run, CALLS // 4)


if __name__ == "__main__":
    compare(
        "actor_calls_pipelined",
        Part(ours, "executor", rounds=5),
        {
            "multiprocessing.Pool": Part(pool, "multiprocessing", rounds=5),
            "ProcessPoolExecutor": Part(futures, "concurrent"),
            "ray": Part(ray, "ray", rounds=1),
            "dask": Part(dask, "distributed", rounds=1),
        },
        unit="calls/s",
        at_least=30_000,
    )
