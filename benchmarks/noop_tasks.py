"""Tasks a second that do nothing, on two processes: all submitted, then all got."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter
from typing import Any

import engines
from common import Figures, Part, compare

TASKS = 20_000


def nothing(_number: int = 0) -> None:
    return None


def rate(run: Callable[[int], object], tasks: int) -> Figures:
    run(tasks // 10)
    began = perf_counter()
    run(tasks)
    return {"tasks_per_s": tasks / (perf_counter() - began)}


def called(library: Any, tasks: int) -> Figures:
    task = library.remote(nothing)
    return rate(lambda count: library.get([task.remote() for _ in range(count)]), tasks)


def ours() -> Figures:
    with engines.ours() as library:
        return called(library, TASKS)


def ray() -> Figures:
    with engines.ray() as library:
        return called(library, 3_000)


def submitted(pool: Any, tasks: int) -> Figures:
    """Pools of futures: each task submitted, then each result waited for."""

    def run(count: int) -> None:
        for future in [pool.submit(nothing) for _ in range(count)]:
            future.result()

    return rate(run, tasks)


def dask() -> Figures:
    with engines.dask() as client:
        return rate(lambda count: client.gather([client.submit(nothing, pure=False) for _ in range(count)]), 2_000)


def loky() -> Figures:
    with engines.loky() as pool:
        return submitted(pool, 5_000)


def futures() -> Figures:
    with ProcessPoolExecutor(2) as pool:
        return submitted(pool, 5_000)


def pool_each() -> Figures:
    with multiprocessing.Pool(2) as pool:

        def run(count: int) -> None:
            for result in [pool.apply_async(nothing) for _ in range(count)]:
                result.get()

        return rate(run, TASKS)


def pool_imap() -> Figures:
    def consume(values: Iterable[Any]) -> None:
        for _ in values:
            pass

    with multiprocessing.Pool(2) as pool:
        return rate(lambda count: consume(pool.imap(nothing, range(count), chunksize=1)), TASKS)


if __name__ == "__main__":
    compare(
        "noop_tasks",
        Part(ours, "executor", rounds=7),
        {
            "multiprocessing.Pool.apply_async": Part(pool_each, "multiprocessing", rounds=7),
            "multiprocessing.Pool.imap": Part(pool_imap, "multiprocessing", rounds=7),
            "ProcessPoolExecutor": Part(futures, "concurrent"),
            "loky": Part(loky, "joblib"),
            "ray": Part(ray, "ray", rounds=1),
            "dask": Part(dask, "distributed", rounds=1),
        },
        unit="tasks/s",
        most_of_all=True,
    )
