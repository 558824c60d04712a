"""Two experiments for a cluster that is troubled: trials stopped by ASHA, and a population that copies each other.

Each report that was acknowledged is noted in ``acknowledged``: trial, attempt, iteration, and which process it was.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import tune
from schedulers import ASHAScheduler, PopulationBasedTraining
from tests.tune.trainables import saving, steps_done

STEPS = {"asha": 9, "pbt": 6}
TRIALS = {"asha": 140, "pbt": 60}
FEWEST_REPORTS = TRIALS["asha"] + TRIALS["pbt"] * STEPS["pbt"]
"""In all, when nothing goes wrong and ASHA stops every trial at once; some fewer are noted, for the last of one that is
stopped is not."""

_WORK_S = 0.05


def honest(config: dict[str, Any]) -> None:
    """Report each step with a checkpoint, and note it once the answer is there."""
    context = tune.get_context()
    trial, attempt, by = context.get_trial_id(), context.get_attempt(), secrets.token_hex(4)
    notes = os.open(Path(config["notes"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for step in range(steps_done() + 1, config["steps"] + 1):
        time.sleep(_WORK_S)  # the work
        tune.report({"step": step, "score": step * config["x"], "by": by}, checkpoint=saving(step))
        os.write(notes, f"{trial} {attempt} {step} {by}\n".encode())


def go(kind: str, storage: Path, address: str, seed: int) -> tune.ResultGrid:
    """Run one of the two on the cluster at `address`."""
    mutations = {"x": tune.uniform(0, 1)}
    schedulers = {
        "asha": ASHAScheduler(max_t=STEPS["asha"], grace_period=1, reduction_factor=3),
        "pbt": PopulationBasedTraining(perturbation_interval=2, hyperparam_mutations=mutations),
    }
    return tune.run(
        honest,
        config={"x": tune.uniform(0, 1), "steps": STEPS[kind], "notes": str(storage / f"{kind}-acknowledged")},
        metric="score",
        mode="max",
        num_samples=TRIALS[kind],
        scheduler=schedulers[kind],
        seed=seed,
        name=kind,
        storage_path=storage,
        executor=address,
        max_infra_failures=-1,
        raise_on_failed_trial=False,
        verbose=0,
    )


if __name__ == "__main__":
    go(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
