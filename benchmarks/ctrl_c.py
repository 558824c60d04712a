"""Ctrl-C while two trials wait between reports: from the signal to `tune.run` having returned, everything saved."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

from common import Figures, Part, compare, storage

import tune


def train(config: dict[str, Any]) -> None:
    for step in range(1, 10**6):
        tune.report(step=step, checkpoint=lambda path: Path(path, "step").write_text("1"))
        Path(config["marks"], tune.get_context().get_trial_id()).touch()
        while not tune.should_stop():
            time.sleep(0.002)


def ours() -> Figures:
    with storage() as path:
        path.mkdir(parents=True, exist_ok=True)
        pressed: list[float] = []

        def press() -> None:
            while len(list(path.glob("t?"))) < 2:
                time.sleep(0.005)
            pressed.append(time.perf_counter())
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        thread = threading.Thread(target=press)
        thread.start()
        tune.run(train, config={"marks": str(path)}, num_samples=2, storage_path=path, name="e", verbose=0)
        took = time.perf_counter() - pressed[0]
        thread.join()
        return {"ms": took * 1e3}


if __name__ == "__main__":
    compare("Ctrl-C to the prompt", Part(ours, rounds=5), {}, unit="milliseconds", at_most=1000)
