"""What 10,000 finished trials of ten results each leave in the driver's memory, in MB: resident size after less before.

Before is right before `tune.run` is called, in a fresh process, so that what a run imports counts. The peak is the
process's highest resident size less the same.
"""

from __future__ import annotations

import resource
from typing import Any

import psutil
from common import Figures, Part, compare, storage

import tune

TRIALS = 10_000
RESULTS = 10


def train(config: dict[str, Any]) -> None:
    for step in range(RESULTS):
        tune.report(score=config["x"] * step)


def resident_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


def ours() -> Figures:
    with storage() as path:
        before = resident_mb()
        results = tune.run(
            train,
            config={"x": tune.uniform(0, 1)},
            metric="score",
            mode="max",
            num_samples=TRIALS,
            max_concurrent_trials=2,
            reuse_actors=True,
            storage_path=path,
            name="ours",
            verbose=0,
        )
        after = resident_mb()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        assert len(results) == TRIALS
        return {"growth_mb": after - before, "peak_growth_mb": peak - before, "before_mb": before}


if __name__ == "__main__":
    compare("driver_memory", Part(ours, rounds=1), {}, unit="MB", at_most=150)
