"""From the start of a fresh ``python -c`` until its driver has the first answer of an actor, in seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from common import Figures, Part, compare

OURS = """
import time
import executor as ray

@ray.remote
class Counter:
    def add(self):
        return 1

assert ray.get(Counter.remote().add.remote()) == 1
print("first result:", time.time())
"""
RAY = OURS.replace("import executor as ray", "import ray")
DASK = """
import time
from distributed import Client

class Counter:
    def add(self):
        return 1

client = Client(n_workers=2, threads_per_worker=1, dashboard_address=None)
assert client.submit(Counter, actor=True).result().add().result() == 1
print("first result:", time.time())
"""
POOL = """
import multiprocessing, time
from concurrent.futures import ProcessPoolExecutor

with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
    assert pool.submit(pow, 1, 2).result() == 1
    print("first result:", time.time())
"""
LOKY = """
import time
from joblib.externals.loky import ProcessPoolExecutor

with ProcessPoolExecutor(1) as pool:
    assert pool.submit(pow, 1, 2).result() == 1
    print("first result:", time.time())
"""


def seconds_until_first_result(script: str) -> Figures:
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-c", script]
    began = time.time()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, env=environment)
    stamp = next(line for line in done.stdout.splitlines() if line.startswith("first result: "))
    return {"first_result_s": float(stamp.rpartition(" ")[2]) - began}


if __name__ == "__main__":
    compare(
        "actor_first_result",
        Part(lambda: seconds_until_first_result(OURS), "executor", rounds=9),
        {
            "ProcessPoolExecutor, spawn": Part(lambda: seconds_until_first_result(POOL), "concurrent", rounds=9),
            "loky": Part(lambda: seconds_until_first_result(LOKY), "joblib", rounds=3),
            "dask": Part(lambda: seconds_until_first_result(DASK), "distributed", rounds=3),
            "ray": Part(lambda: seconds_until_first_result(RAY), "ray", rounds=1),
        },
        unit="s",
        at_most=0.25,
    )
