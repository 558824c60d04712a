"""What a call that does nothing costs in a pool of two processes, in microseconds, beside the standard library's."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from common import Figures, Part, compare

CALLS = 5_000


def nothing(number: int) -> int:
    return number


def each_us(run: Callable[[Iterable[int]], Any], calls: int) -> float:
    run(range(200))  # the processes are there, and have met the function
    began = time.perf_counter()
    run(range(calls))
    return 1e6 * (time.perf_counter() - began) / calls


def figures(pool: Any, futures: Any) -> Figures:
    return {
        "Pool.map": each_us(lambda items: pool.map(nothing, items), 20 * CALLS),
        "Pool.imap": each_us(lambda items: list(pool.imap(nothing, items)), CALLS),
        "Pool.imap by 50": each_us(lambda items: list(pool.imap(nothing, items, 50)), 10 * CALLS),
        "Executor.map": each_us(lambda items: list(futures.map(nothing, items)), CALLS),
        "Executor.map by 50": each_us(lambda items: list(futures.map(nothing, items, chunksize=50)), 10 * CALLS),
    }


def ours() -> Figures:
    from executor.futures import Executor
    from executor.multiprocessing import Pool

    with Pool(2) as pool, Executor(2) as futures:
        return figures(pool, futures)


def standard() -> Figures:
    with multiprocessing.Pool(2) as pool, ProcessPoolExecutor(2) as futures:
        return figures(pool, futures)


if __name__ == "__main__":
    compare(
        "pool_calls", Part(ours, "executor"), {"standard": Part(standard, "multiprocessing")}, unit="us", at_most=1.0
    )
