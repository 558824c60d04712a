"""How many files an experiment of trivial trials leaves, besides logs that were printed into, and bytes a trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peers
from common import Figures, Part, compare, storage

import tune

TRIALS = 1_000
RAY_TRIALS = 20


def train(config: dict[str, Any]) -> None:
    tune.report(score=config["x"])


def counted(path: Path, trials: int) -> Figures:
    files = [file for file in path.rglob("*") if file.is_file()]
    printed = [file for file in files if file.suffix == ".log" and file.stat().st_size > 0]
    size = sum(file.stat().st_size for file in files)
    count = len(files) - len(printed)
    return {"files": count, "files_per_trial": count / trials, "bytes_per_trial": size / trials}


def ours() -> Figures:
    with storage() as path:
        tune.run(train, config={"x": tune.uniform(0, 1)}, num_samples=TRIALS, storage_path=path, name="ours", verbose=0)
        return counted(path, TRIALS)


def ray() -> Figures:
    with storage() as path:
        peers.ray_times(peers.ray_function(), RAY_TRIALS, path, event="complete")
        return counted(path, RAY_TRIALS)


if __name__ == "__main__":
    compare(
        "files_written",
        Part(ours, rounds=1),
        {"ray, of 20 trials": Part(ray, "ray", rounds=1)},
        unit="files",
        at_most=20,
    )
