"""A trial that hangs with a report timeout of half a second: how long after the timeout its process is gone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from common import Figures, Part, compare, storage

import tune

TIMEOUT_S = 0.5
TRIALS = 10


def train(config: dict[str, Any]) -> None:
    tune.report(step=1)
    Path(config["marks"], tune.get_context().get_trial_id()).write_text(str(time.time()))
    time.sleep(1000)


def ours() -> Figures:
    with storage() as path:
        path.mkdir(parents=True, exist_ok=True)
        late: list[float] = []

        class Watch(tune.Callback):
            def on_trial_error(self, *, trial: Any, **_rest: Any) -> None:
                late.append(time.time() - float(Path(path, trial.trial_id).read_text()) - TIMEOUT_S)

        tune.run(
            train,
            config={"marks": str(path)},
            num_samples=TRIALS,
            report_timeout_s=TIMEOUT_S,
            storage_path=path,
            name="e",
            callbacks=[Watch()],
            raise_on_failed_trial=False,
            verbose=0,
        )
        return {"worst ms": max(late) * 1e3, "mean ms": sum(late) / len(late) * 1e3}


if __name__ == "__main__":
    compare("hung trial", Part(ours), {}, unit="milliseconds after the timeout", at_most=1000)
