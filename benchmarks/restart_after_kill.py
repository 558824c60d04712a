"""A trial's process is killed with SIGKILL: from the kill to its function running again, 95th percentile of 60 kills.

Each attempt goes on from the checkpoint before, reports once, and kills itself.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from common import Figures, Part, compare, storage

import tune

KILLS = 60


def train(config: dict[str, Any]) -> None:
    now = time.time()
    checkpoint = tune.get_checkpoint()
    done = int(Path(checkpoint.path, "step").read_text()) if checkpoint else 0
    killed = Path(config["times"], "killed")
    if killed.exists():
        with Path(config["times"], "took").open("a") as took:
            took.write(f"{now - float(killed.read_text())}\n")
    if done == KILLS:
        return
    tune.report(step=done + 1, checkpoint=lambda path: Path(path, "step").write_text(str(done + 1)))
    killed.write_text(str(time.time()))
    os.kill(os.getpid(), signal.SIGKILL)


def ours() -> Figures:
    with storage() as path:
        path.mkdir(parents=True, exist_ok=True)
        times: list[float] = []
        for number in range(KILLS):
            marks = path / f"times{number}"
            marks.mkdir()
            config = {"times": str(marks)}
            tune.run(train, config=config, storage_path=path, name=f"e{number}", verbose=0, stop=_Twice())
            times += [float(line) for line in (marks / "took").read_text().split()]
        return {"p95 ms": quantiles(times, n=20)[-1] * 1e3, "p50 ms": median(times) * 1e3}


class _Twice(tune.Stopper):
    """Ends a trial at its second result: after one kill."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return result["training_iteration"] >= 2

    def stop_all(self) -> bool:
        return False


if __name__ == "__main__":
    compare("restart after a kill", Part(ours), {}, unit="milliseconds", at_most=300)
