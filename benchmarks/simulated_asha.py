"""10,000 trials under ASHA in virtual time on 100 cpus: seconds, events a second, and whether a second run is equal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from common import Figures, Part, compare, storage

import tune
from executor.resources import Node, Resources
from executor.simulated import SimulatedExecutor
from schedulers import ASHAScheduler
from tune.storage import journal

TRIALS = 10_000
MAX_T = 81


def train(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for step in range(1, MAX_T + 1):
        yield {"loss": config["floor"] + config["start"] / step, "time_this_iter_s": 1 + config["start"]}


def run(path: Path) -> tuple[float, int, str]:
    """Seconds, events, and a digest of the exported journal."""
    began = time.perf_counter()
    with SimulatedExecutor([Node(f"n{number}", Resources.of(cpu=10)) for number in range(10)]) as executor:
        tune.run(
            train,
            config={"floor": tune.uniform(0, 1), "start": tune.uniform(0, 1)},
            metric="loss",
            mode="min",
            num_samples=TRIALS,
            scheduler=ASHAScheduler(max_t=MAX_T, reduction_factor=3),
            executor=executor,
            storage_path=path,
            name="simulated",
            seed=0,
            verbose=0,
        )
    seconds = time.perf_counter() - began
    digest, events = sha256(), 0
    with closing(journal.open_readonly(path / "simulated")) as connection:
        for line in journal.export(connection):
            digest.update(line.encode())
            events += 1
    return seconds, events, digest.hexdigest()


def ours() -> Figures:
    with storage() as path:
        seconds, events, first = run(path / "first")
        _, _, second = run(path / "second")
    return {"seconds": seconds, "events/s": events / seconds, "events": events, "identical": first == second}


if __name__ == "__main__":
    compare("simulated_asha", Part(ours, rounds=1), {}, unit="s")
