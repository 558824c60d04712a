"""How long `tune.report` keeps the training thread with a checkpoint of 100 MB: saved aside, and while the trial waits.

The user's function writes the files in either case; that alone is measured beside them, in the same storage.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from statistics import median

from common import Figures, Part, compare, storage

import tune

BYTES = 100_000_000
EPOCH_S = 1.5  # what is saved aside has an epoch's time to complete
REPORTS = 5


def train(_config: object) -> None:
    content = os.urandom(BYTES)

    def save(directory: str) -> None:
        Path(directory, "weights").write_bytes(content)

    for _ in range(REPORTS):
        began = time.perf_counter()
        tune.report(checkpoint=save)
        took = time.perf_counter() - began
        time.sleep(EPOCH_S)
        tune.report(took=took)


def waited(path: str, *, asynchronous: bool, durability: str = "process") -> Figures:
    with storage() as folder:
        place = folder.as_uri() if path == "url" else folder
        keep = tune.CheckpointConfig(asynchronous=asynchronous, num_to_keep=1)
        os.environ["AUDITION_LIVE"] = str(folder / "live")
        results = tune.run(
            train, storage_path=place, name="e", verbose=0, checkpoint_config=keep, durability=durability
        )
        return {"ms": median(results[0].metrics_dataframe["took"].dropna()) * 1e3}


def written() -> Figures:
    content = os.urandom(BYTES)
    with storage() as folder:
        times = []
        for number in range(REPORTS):
            began = time.perf_counter()
            Path(folder, str(number)).write_bytes(content)
            times.append(time.perf_counter() - began)
        return {"ms": median(times) * 1e3}


if __name__ == "__main__":
    compare(
        "report with a checkpoint of 100 MB",
        Part(partial(waited, "directory", asynchronous=True)),
        {
            "the write alone": Part(written),
            "waiting": Part(partial(waited, "directory", asynchronous=False)),
            "waiting, power": Part(partial(waited, "directory", asynchronous=False, durability="power")),
            "aside, power": Part(partial(waited, "directory", asynchronous=True, durability="power")),
            "waiting, file:// URL": Part(partial(waited, "url", asynchronous=False)),
            "aside, file:// URL": Part(partial(waited, "url", asynchronous=True)),
        },
        unit="milliseconds",
    )
