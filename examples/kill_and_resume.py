"""Kill the whole experiment in the middle, go on with it, and count: every trial ends, every result is there once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tune

STEPS = 10


def train(config: dict[str, Any]) -> None:
    """Count to ten, saving after every step."""
    checkpoint = tune.get_checkpoint()
    done = int(Path(checkpoint.path, "step").read_text()) if checkpoint else 0
    for step in range(done + 1, STEPS + 1):
        time.sleep(0.01)  # the work
        tune.report({"score": config["x"] * step}, checkpoint=lambda path, step=step: save(path, step))


def save(directory: str, step: int) -> None:
    """Write what `train` needs to go on."""
    Path(directory, "step").write_text(str(step))


def search(storage: str) -> tune.ResultGrid:
    """The experiment."""
    return tune.run(
        train,
        config={"x": tune.uniform(0, 1)},
        metric="score",
        mode="max",
        num_samples=20,
        seed=0,
        name="killed",
        storage_path=storage,
        verbose=0,
    )


def found(path: Path) -> int:
    """How many results there are so far."""
    return tune.ResultGrid(path).stats()["num_results"]


def main() -> None:
    """Start it in a process of its own, kill that when it is half through, and resume."""
    storage = tempfile.mkdtemp()
    path = Path(storage, "killed")
    process = subprocess.Popen([sys.executable, __file__, storage])
    while not tune.Tuner.can_restore(path) or found(path) < 100:
        if process.poll() is not None:
            raise SystemExit("it ended before it could be killed")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    print(f"killed with {found(path)} results; resuming")

    results = tune.resume(path)
    for result in results:
        iterations = list(result.metrics_dataframe["training_iteration"])
        assert iterations == list(range(1, STEPS + 1)), (result.trial_id, iterations)
    print(f"{len(results)} trials, {found(path)} results, each once")


if __name__ == "__main__":
    search(sys.argv[1]) if len(sys.argv) > 1 else main()
