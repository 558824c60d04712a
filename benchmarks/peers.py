"""Ray Tune and Optuna, driven as their users would, two trials at a time; Optuna's objective runs in process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import storage


@contextmanager
def ray_on_two_cpus() -> Iterator[Any]:
    """Ray, started here and shut down at the end; without its dashboard, which only costs it time."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        yield ray
    finally:
        ray.shutdown()


def ray_times(trainable: Any, trials: int, path: Path, *, event: str, **settings: Any) -> list[float]:
    """Run `trials` of `trainable` with storage in `path`; when each `event` came: "complete" or "result"."""
    with ray_on_two_cpus():
        from ray import tune

        times: list[float] = []

        class Watch(tune.Callback):
            def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
                if event == "complete":
                    times.append(time.perf_counter())

            def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any) -> None:
                if event == "result":
                    times.append(time.perf_counter())

        results = tune.Tuner(
            trainable,
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(num_samples=trials, **settings),
            run_config=tune.RunConfig(storage_path=str(path), name="peer", verbose=0, callbacks=[Watch()]),
        ).fit()
        assert not results.errors, results.errors[0]
        return times


def ray_class() -> type:
    """A class trainable of one step that allows its actor to be reused."""
    from ray import tune

    class Once(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.x = config["x"]

        def step(self) -> dict[str, Any]:
            return {"score": self.x, "done": True}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Ray saves every trial as it ends, and fails those that cannot be."""

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.x = new_config["x"]
            return True

    return Once


def ray_function() -> Callable[[dict[str, Any]], None]:
    """A function trainable that reports once."""
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        tune.report({"score": config["x"]})

    return train


@contextmanager
def optuna_study(kind: str, **options: Any) -> Iterator[Any]:
    """A study with random sampling whose storage is "memory", a "journal" file, or a file of "sqlite"."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with storage() as folder:
        kept: Any = None
        if kind == "journal":
            backend = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
            kept = optuna.storages.JournalStorage(backend)
        elif kind == "sqlite":
            kept = f"sqlite:///{folder / 'study.db'}"
        yield optuna.create_study(storage=kept, sampler=optuna.samplers.RandomSampler(seed=0), **options)
