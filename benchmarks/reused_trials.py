"""Trials that only report once, two at a time in two processes that are kept: trials a second while running.

Optuna's objective runs in the driver itself, one at a time: what it costs without any process.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import peers
from common import Figures, Part, compare, journal_times, rate, storage

import tune

TRIALS = 2_000
RAY_TRIALS = 100
OPTUNA_TRIALS = 200


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
            reuse_actors=True,
            storage_path=path,
            name="ours",
            verbose=0,
        )
        whole_s = time.perf_counter() - began
        return {"trials/s": rate(journal_times(path / "ours", "ended")), "with start-up": TRIALS / whole_s}


def ray(form: str) -> Figures:
    trainable = peers.ray_class() if form == "class" else peers.ray_function()
    with storage() as path:
        began = time.perf_counter()
        times = peers.ray_times(trainable, RAY_TRIALS, path, event="complete", reuse_actors=True)
        return {"trials/s": rate(times), "with start-up": RAY_TRIALS / (time.perf_counter() - began)}


def optuna(kind: str) -> Figures:
    times: list[float] = []

    def objective(trial: Any) -> float:
        x: float = trial.suggest_float("x", 0, 1)
        trial.report(x, 0)
        return x

    with peers.optuna_study(kind) as study:
        study.optimize(objective, OPTUNA_TRIALS, callbacks=[lambda _study, _trial: times.append(time.perf_counter())])
    return {"trials/s": rate(times)}


if __name__ == "__main__":
    compare(
        "reused_trials",
        Part(ours, rounds=5),
        {
            "optuna, in memory": Part(partial(optuna, "memory"), "optuna"),
            "optuna, journal file": Part(partial(optuna, "journal"), "optuna"),
            "optuna, sqlite": Part(partial(optuna, "sqlite"), "optuna", rounds=1),
            "ray, class": Part(partial(ray, "class"), "ray", rounds=1),
            "ray, function": Part(partial(ray, "function"), "ray", rounds=1),
        },
        unit="trials/s",
        at_least=2_000,
    )
