"""Two trials that report as fast as they are answered, with early stopping deciding on each: reports a second.

The two report the same, so that neither is stopped. Optuna's objective runs in the driver, one trial after the other,
and fewer reports of it are measured: its cost grows with the number of reports of a trial.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import peers
from common import Figures, Part, compare, journal_times, rate, storage

import tune
from schedulers import ASHAScheduler

REPORTS = 5_000
RAY_REPORTS = 200
OPTUNA_REPORTS = {"memory": 1_000, "journal": 1_000, "sqlite": 100}


def train(_config: dict[str, Any]) -> None:
    for step in range(REPORTS):
        tune.report(loss=1 / (step + 1))


def ours() -> Figures:
    with storage() as path:
        began = time.perf_counter()
        tune.run(
            train,
            metric="loss",
            mode="min",
            num_samples=2,
            max_concurrent_trials=2,
            scheduler=ASHAScheduler(max_t=REPORTS),
            storage_path=path,
            name="ours",
            verbose=0,
        )
        whole_s = time.perf_counter() - began
        times = journal_times(path / "ours", "reported")
        assert len(times) == 2 * REPORTS, len(times)
        return {"reports/s": rate(times), "with start-up": len(times) / whole_s}


def ray() -> Figures:
    from ray import tune as ray_tune
    from ray.tune.schedulers import ASHAScheduler as RayASHAScheduler

    def train(_config: dict[str, Any]) -> None:
        for step in range(RAY_REPORTS):
            ray_tune.report({"loss": 1 / (step + 1)})

    with storage() as path:
        began = time.perf_counter()
        scheduler = RayASHAScheduler(metric="loss", mode="min", max_t=RAY_REPORTS)
        times = peers.ray_times(train, 2, path, event="result", scheduler=scheduler)
        return {"reports/s": rate(times), "with start-up": len(times) / (time.perf_counter() - began)}


def optuna(kind: str) -> Figures:
    import optuna

    reports = OPTUNA_REPORTS[kind]
    times: list[float] = []

    def objective(trial: Any) -> float:
        for step in range(reports):
            trial.report(1 / (step + 1), step)
            assert not trial.should_prune()
            times.append(time.perf_counter())
        return 0.0

    with peers.optuna_study(kind, pruner=optuna.pruners.MedianPruner(n_startup_trials=1)) as study:
        study.optimize(objective, 2)
    return {"reports/s": rate(times)}


if __name__ == "__main__":
    compare(
        "reports_per_second",
        Part(ours, rounds=5),
        {
            "optuna, in memory": Part(partial(optuna, "memory"), "optuna"),
            "optuna, journal file": Part(partial(optuna, "journal"), "optuna"),
            "optuna, sqlite": Part(partial(optuna, "sqlite"), "optuna", rounds=1),
            "ray": Part(ray, "ray", rounds=1),
        },
        unit="reports/s",
        at_least=8_000,
    )
