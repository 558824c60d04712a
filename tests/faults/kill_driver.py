"""A small experiment whose trials write down what was acknowledged to them, for tests that kill its driver anywhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import tune
from schedulers import ASHAScheduler
from tests.tune.trainables import saving, steps_done

STEPS = 4


def honest(config: dict[str, Any]) -> None:
    """Report each step, and note it in ``acknowledged`` once the answer is there; the process notes its id first."""
    context = tune.get_context()
    marks = Path(config["marks"])
    _note(marks / "pids", os.getpid())
    for step in range(steps_done() + 1, STEPS + 1):
        tune.report({"step": step, "score": step * config["x"]}, checkpoint=saving(step))
        _note(marks / f"acknowledged-{context.get_trial_id()}", step)


def _note(path: Path, number: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"%d\n" % number)
    os.close(file)


def noted(path: Path) -> list[int]:
    """The numbers that were noted."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def go(storage: Path, durability: str = "process") -> tune.ResultGrid:
    """Run the experiment, or go on with it, one trial at a time: it always comes to the same."""
    marks = storage / "marks"
    marks.mkdir(exist_ok=True)
    return tune.run(
        honest,
        config={"x": tune.uniform(0, 1), "marks": str(marks)},
        metric="score",
        mode="max",
        num_samples=3,
        max_concurrent_trials=1,
        scheduler=ASHAScheduler(max_t=STEPS, grace_period=1, reduction_factor=2),
        seed=3,
        name="e",
        storage_path=storage,
        resume="AUTO",
        durability=durability,
        verbose=0,
    )


if __name__ == "__main__":
    go(Path(sys.argv[1]), sys.argv[2])
