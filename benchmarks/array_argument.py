"""An array of 100 MB as the argument of a call that looks at it, in GB/s; then one that was put, by its reference.

The array's content is new for each call, and no call changes it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter
from typing import Any

import engines
import numpy as np
from common import Figures, Part, compare

NUMBERS = 12_500_000
GIGABYTES = NUMBERS * 8 / 1e9
CALLS = 15


class Reader:
    def look(self, array: Any) -> tuple[float, float, tuple[int, ...]]:
        return float(array[0]), float(array[-1]), array.shape


def look(array: Any) -> tuple[float, float, tuple[int, ...]]:
    return Reader().look(array)


def sent(call: Callable[[Any], Any], calls: int = CALLS) -> Figures:
    """How fast a new array gets there."""
    times = []
    for number in range(calls + 2):
        array = np.full(NUMBERS, float(number))
        began = perf_counter()
        found = call(array)
        times.append(perf_counter() - began)
        assert found == (number, number, (NUMBERS,)), found
    return {"gb_per_s": GIGABYTES / engines.percentile(times[2:], 50)}


def referred_to(put: Callable[[Any], Any], call: Callable[[Any], Any], calls: int = CALLS) -> Figures:
    """How long a call takes whose argument is there already."""
    times = []
    for number in range(calls + 2):
        reference = put(np.full(NUMBERS, float(number)))
        began = perf_counter()
        found = call(reference)
        times.append(perf_counter() - began)
        assert found == (number, number, (NUMBERS,)), found
    return {"by_reference_ms": engines.percentile(times[2:], 50) * 1000}


def measured(library: Any) -> Figures:
    actor = library.remote(Reader).remote()

    def call(array: Any) -> Any:
        return library.get(actor.look.remote(array))

    return {**sent(call), **referred_to(library.put, call)}


def ours() -> Figures:
    with engines.ours() as library:
        return measured(library)


def ray() -> Figures:
    with engines.ray() as library:
        return measured(library)


def dask() -> Figures:
    with engines.dask() as client:
        actor = client.submit(Reader, actor=True).result()
        by_argument = sent(lambda array: actor.look(array).result(), 5)
        return {
            **by_argument,
            **referred_to(client.scatter, lambda array: client.submit(look, array, pure=False).result(), 5),
        }


def loky() -> Figures:
    with engines.loky(1) as pool:
        return sent(lambda array: pool.submit(look, array).result(), 5)


def futures() -> Figures:
    with ProcessPoolExecutor(1) as pool:
        return sent(lambda array: pool.submit(look, array).result(), 5)


def pool() -> Figures:
    with multiprocessing.Pool(1) as processes:
        return sent(lambda array: processes.apply(look, (array,)), 5)


if __name__ == "__main__":
    compare(
        "array_argument",
        Part(ours, "executor", rounds=5),
        {
            "multiprocessing.Pool": Part(pool, "multiprocessing"),
            "ProcessPoolExecutor": Part(futures, "concurrent"),
            "loky": Part(loky, "joblib"),
            "dask": Part(dask, "distributed", rounds=1),
            "ray": Part(ray, "ray", rounds=3),
        },
        unit="GB/s",
        at_least=2.5,
    )
