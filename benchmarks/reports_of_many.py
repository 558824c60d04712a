"""64 trials at a time that report as fast as they may, with early stopping deciding on each: reports a second.

For each kind of durability: ``process`` (at least 5,000 are asked for on two cores) and ``power``, by which each commit
is flushed to the disk before it is answered (2,000). They report the same, so that none is stopped. A trial goes on
without waiting where nothing can be decided yet, as between two rungs; `waiting` is of trials that a function may stop
at any report, and that wait for the answer to each. What a report costs the driver tells most on a machine that does
other things too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from common import Figures, Part, compare, journal_times, steady_rate, storage

import tune
from executor.local import LocalExecutor
from schedulers import ASHAScheduler

TRIALS = 64
REPORTS = 400


def train(_config: dict[str, Any]) -> None:
    for step in range(REPORTS):
        tune.report(loss=1 / (step + 1))


def never(_trial_id: str, _result: Mapping[str, Any]) -> bool:
    return False


def measured(durability: str, **options: Any) -> tuple[float, float]:
    """Reports a second, and microseconds of the driver's cpu for each."""
    with storage() as path, LocalExecutor(cpus=TRIALS) as executor:
        began = time.process_time()
        tune.run(
            train,
            metric="loss",
            mode="min",
            num_samples=TRIALS,
            scheduler=ASHAScheduler(max_t=REPORTS),
            durability=durability,
            executor=executor,
            storage_path=path,
            name="ours",
            verbose=0,
            **options,
        )
        spent_s = time.process_time() - began
        times = journal_times(path / "ours", "reported")
    assert len(times) == TRIALS * REPORTS, len(times)
    return steady_rate(times), spent_s / len(times) * 1e6


def ours() -> Figures:
    figures: Figures = {}
    for durability in ("process", "power"):
        figures[f"{durability}, reports/s"], figures[f"{durability}, driver's cpu, us/report"] = measured(durability)
        waiting, cost = measured(durability, stop=never)
        figures[f"{durability}, waiting, reports/s"] = waiting
        figures[f"{durability}, waiting, driver's cpu, us/report"] = cost
    return figures


if __name__ == "__main__":
    compare("reports_of_many", Part(ours), {}, unit="reports/s", at_least=5_000)
