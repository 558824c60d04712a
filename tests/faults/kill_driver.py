"""Experiments whose trials write down what was acknowledged to them, for tests that kill their driver anywhere.

Their trials run one at a time: then an experiment comes to the same however often its driver dies.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import tune
from schedulers import ASHAScheduler, PopulationBasedTraining
from tests.tune.trainables import saving, steps_done

STEPS = {"few": 4, "population": 8}


def honest(config: dict[str, Any]) -> None:
    """Report each step, and note it in ``acknowledged`` once the answer is there; the process notes its id first."""
    context = tune.get_context()
    marks = Path(config["marks"])
    _note(marks / "pids", os.getpid())
    for step in range(steps_done() + 1, config["steps"] + 1):
        tune.report({"step": step, "score": step * config["x"]}, checkpoint=saving(step))
        _note(marks / f"acknowledged-{context.get_trial_id()}", step)


def _note(path: Path, number: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"%d\n" % number)
    os.close(file)


def noted(path: Path) -> list[int]:
    """The numbers that were noted."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def acknowledged(storage: Path) -> dict[str, list[int]]:
    """The steps that were acknowledged to each trial."""
    files = (storage / "marks").glob("acknowledged-*")
    return {path.name.removeprefix("acknowledged-"): noted(path) for path in files}


def go(experiment: str, storage: Path, durability: str = "process") -> tune.ResultGrid:
    """Run an experiment, or go on with it.

    ``few`` trials are stopped early. A ``population`` pauses, copies, and keeps one checkpoint besides the latest.
    """
    marks = storage / "marks"
    marks.mkdir(exist_ok=True)
    steps = STEPS[experiment]
    schedulers = {
        "few": ASHAScheduler(max_t=steps, grace_period=1, reduction_factor=2),
        "population": PopulationBasedTraining(
            "training_iteration", perturbation_interval=2, hyperparam_mutations={"x": tune.uniform(0, 1)}
        ),
    }
    return tune.run(
        honest,
        config={"x": tune.uniform(0, 1), "marks": str(marks), "steps": steps},
        metric="score",
        mode="max",
        num_samples={"few": 3, "population": 8}[experiment],
        max_concurrent_trials=1,
        scheduler=schedulers[experiment],
        checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
        seed=3,
        name="e",
        storage_path=storage,
        resume="AUTO",
        durability=durability,
        verbose=0,
    )


if __name__ == "__main__":
    go(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
