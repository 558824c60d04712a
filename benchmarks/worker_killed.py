"""From `kill -9` of an actor's process until each of its hundred pending calls has failed with the cause, in ms.

The pools of processes fail what is pending too, though Python's does not say why; a new pool is made for each kill.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter, sleep
from typing import Any

import engines
from common import Figures, Part, compare

PENDING = 100


class Sleeper:
    def pid(self) -> int:
        return os.getpid()

    def sleep(self) -> None:
        sleep(3600)


def over(kill: Callable[[], float], kills: int) -> Figures:
    times = [kill() * 1000 for _ in range(kills)]
    return {
        "p50_ms": engines.percentile(times, 50),
        "p95_ms": engines.percentile(times, 95),
        "max_ms": max(times),
        "kills": kills,
    }


def until_all_fail(pid: int, waits: list[Callable[[], Any]], said: str) -> float:
    began = perf_counter()
    os.kill(pid, signal.SIGKILL)
    errors = []
    for wait in waits:
        try:
            wait()
        except Exception as error:  # noqa: BLE001 - each library has an error of its own
            errors.append(error)
    seconds = perf_counter() - began
    assert len(errors) == len(waits)
    assert all(said in str(error) for error in errors), errors[0]
    return seconds


def measured(library: Any, kills: int, said: str) -> Figures:
    def kill() -> float:
        actor = library.remote(Sleeper).remote()
        pid = library.get(actor.pid.remote())
        refs = [actor.sleep.remote() for _ in range(PENDING)]
        return until_all_fail(pid, [lambda ref=ref: library.get(ref) for ref in refs], said)

    return over(kill, kills)


def ours() -> Figures:
    with engines.ours() as library:
        return measured(library, 50, "SIGKILL")


def ray() -> Figures:
    with engines.ray() as library:
        return measured(library, 5, "died")


def pool(make: Callable[[], Any], said: str) -> Figures:
    def kill() -> float:
        processes = make()
        pid = processes.submit(os.getpid).result()
        futures = [processes.submit(sleep, 3600) for _ in range(PENDING)]
        seconds = until_all_fail(pid, [future.result for future in futures], said)
        processes.shutdown()
        return seconds

    return over(kill, 20)


def loky() -> Figures:
    from joblib.externals.loky import ProcessPoolExecutor as Loky

    return pool(lambda: Loky(1), "SIGKILL")


if __name__ == "__main__":
    compare(
        "worker_killed",
        Part(ours, "executor"),
        {
            "ProcessPoolExecutor": Part(lambda: pool(lambda: ProcessPoolExecutor(1), "terminated"), "concurrent"),
            "loky": Part(loky, "joblib", rounds=1),
            "ray": Part(ray, "ray", rounds=1),
        },
        unit="ms",
        at_most=100,
    )
