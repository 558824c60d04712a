"""Trials that only report once, each in a process of its own, two at a time: trials a second while running."""

from __future__ import annotations

import time
from typing import Any

import peers
from common import Figures, Part, compare, journal_times, rate, storage

import tune

TRIALS = 200
RAY_TRIALS = 20


def train(config: dict[str, Any]) -> None:
    tune.report(score=config["x"])


def ours() -> Figures:
    with storage() as path:
        began = time.perf_counter()
        tune.run(
            train,
            config={"x": tune.uniform(0, 1)},
            num_samples=TRIALS,
            max_concurrent_trials=2,
            storage_path=path,
            name="ours",
            verbose=0,
        )
        whole_s = time.perf_counter() - began
        return {"trials/s": rate(journal_times(path / "ours", "ended")), "with start-up": TRIALS / whole_s}


def ray() -> Figures:
    with storage() as path:
        began = time.perf_counter()
        times = peers.ray_times(peers.ray_function(), RAY_TRIALS, path, event="complete")
        return {"trials/s": rate(times), "with start-up": RAY_TRIALS / (time.perf_counter() - began)}


if __name__ == "__main__":
    compare("fresh_trials", Part(ours, rounds=5), {"ray": Part(ray, "ray", rounds=1)}, unit="trials/s", at_least=100)
