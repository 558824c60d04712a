"""Whether trial 10,000 costs more than trial 100: microseconds a trial around each, with reuse, on both executors.

The cost around a trial is the median over the five windows of 100 trials that begin with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from common import Figures, Part, compare, journal_times, storage

import tune
from executor.resources import Node, Resources
from executor.simulated import SimulatedExecutor

EARLY, LATE = 100, 10_000
WINDOW, WINDOWS = 100, 5
TRIALS = LATE + WINDOW * WINDOWS


def train(config: dict[str, Any]) -> None:
    tune.report(score=config["x"])


def train_in_steps(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"score": config["x"]}


class Ends(tune.Callback):
    """When each trial ended, on this machine's clock: the simulated executor has one of its own."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any) -> None:
        self.times.append(time.perf_counter())


def cost_us(times: list[float], number: int) -> float:
    """The cost of one trial around the trial of this number."""
    starts = range(number, number + WINDOW * WINDOWS - 1, WINDOW)
    return median((times[min(at + WINDOW, len(times) - 1)] - times[at]) / WINDOW for at in starts) * 1e6


def ours() -> Figures:
    settings: dict[str, Any] = {
        "config": {"x": tune.uniform(0, 1)},
        "num_samples": TRIALS,
        "reuse_actors": True,
        "name": "ours",
        "verbose": 0,
    }
    with storage() as path:
        tune.run(train, storage_path=path, max_concurrent_trials=2, **settings)
        local = journal_times(path / "ours", "ended")
    with storage() as path, SimulatedExecutor([Node("sim", Resources.of(cpu=2))]) as executor:
        ends = Ends()
        tune.run(train_in_steps, storage_path=path, executor=executor, callbacks=[ends], **settings)
    figures = {
        "local_us_early": cost_us(local, EARLY),
        "local_us_late": cost_us(local, LATE),
        "simulated_us_early": cost_us(ends.times, EARLY),
        "simulated_us_late": cost_us(ends.times, LATE),
    }
    ratios = {kind: figures[f"{kind}_us_late"] / figures[f"{kind}_us_early"] for kind in ("local", "simulated")}
    return {"larger_ratio": max(ratios.values()), **ratios, **figures}


if __name__ == "__main__":
    compare("cost_per_trial", Part(ours, rounds=3), {}, unit="trial 10,000 / trial 100", at_most=1.1)
