"""Experiments kept as files, one folder for each version of the journal: every release must read them and go on.

``python -m tests.tune.golden`` makes those of the present version in ``golden/VERSION``; what a release wrote
is never made again. They run in virtual time, so nothing in them is of the machine that made them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tune
from executor.resources import Node, Resources
from executor.simulated import Fault, SimulatedExecutor
from schedulers import ASHAScheduler, PopulationBasedTraining
from tune.storage import journal, mark
from tune.storage.journal import DATABASE, SCHEMA_VERSION

FOLDER = Path(__file__).parent / "golden"
SPACE = {
    "lr": tune.loguniform(1e-4, 1e-1),
    "width": tune.choice([8, 16, (3, 4)]),
    "model": {"depth": tune.randint(1, 5)},
}
EPOCHS = 6


class Learner(tune.Trainable):
    """Learns faster the larger its ``lr``, and saves what it has learned."""

    def setup(self, config):
        self.epoch = 0

    def step(self):
        self.epoch += 1
        if self.epoch == 4 and self.config["model"]["depth"] == 2:
            raise ValueError("depth 2 does not do")
        return {"loss": 1 / (1 + self.config["lr"] * self.epoch), "done": self.epoch == EPOCHS}

    def save_checkpoint(self, checkpoint_dir):
        return {"epoch": self.epoch}

    def load_checkpoint(self, checkpoint):
        self.epoch = checkpoint["epoch"]


def plain(config):
    """Reports and saves nothing; one value is no finite number."""
    for epoch in range(1, EPOCHS):
        yield {"loss": config["lr"] / epoch if epoch > 1 else float("nan"), "note": "größer"}


class Interrupting(tune.Callback):
    """Ends the run by Ctrl-C, as soon as a trial has come to its third result."""

    def on_trial_result(self, *, result, **rest):
        if result["training_iteration"] == 3:
            raise KeyboardInterrupt


def simulated(faults: tuple[Fault, ...] = ()) -> SimulatedExecutor:
    return SimulatedExecutor([Node("sim", Resources.of(cpu=2))], faults=faults)


def asha(**settings: Any) -> tune.ResultGrid:
    scheduler = ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=2, type="promotion")
    return tune.run(Learner, config=SPACE, num_samples=8, scheduler=scheduler, max_failures=1, **settings)


def population(**settings: Any) -> tune.ResultGrid:
    scheduler = PopulationBasedTraining(
        "training_iteration", perturbation_interval=2, hyperparam_mutations={"lr": tune.loguniform(1e-4, 1e-1)}
    )
    return tune.run(Learner, config=SPACE, num_samples=4, scheduler=scheduler, max_failures=3, **settings)


def unsaved(**settings: Any) -> tune.ResultGrid:
    return tune.run(plain, config=SPACE, num_samples=5, stop={"training_iteration": 4}, search_alg="tpe", **settings)


def interrupted(**settings: Any) -> tune.ResultGrid:
    with contextlib.suppress(KeyboardInterrupt):
        tune.run(Learner, config=SPACE, num_samples=6, callbacks=[Interrupting()], **settings)
    return tune.ResultGrid(Path(settings["storage_path"], settings["name"]))


EXPERIMENTS: dict[str, Callable[..., tune.ResultGrid]] = {
    each.__name__: each for each in (asha, population, unsaved, interrupted)
}


def told(results: tune.ResultGrid) -> dict[str, Any]:
    """What an experiment found, as data that a file keeps."""
    return {
        one.trial_id: {
            "state": one.state,
            "attempts": one.attempts,
            "config": repr(one.config),
            "losses": [repr(value) for value in one.metrics_dataframe["loss"]] if one.metrics else [],
            "iterations": [int(value) for value in one.metrics_dataframe["training_iteration"]] if one.metrics else [],
            "checkpoint": Path(one.checkpoint.path).name if one.checkpoint else None,
            "reason": one.reason,
            "error": one.error.args[0].splitlines()[-1] if one.error else None,
        }
        for one in results
    }


def make(folder: Path) -> None:
    """Run every experiment into `folder`, each with what it found beside it."""
    for name, experiment in EXPERIMENTS.items():
        shutil.rmtree(folder / name, ignore_errors=True)
        settings = {"name": name, "storage_path": folder, "seed": 3, "verbose": 0, "metric": "loss", "mode": "min"}
        results = experiment(**settings, executor=simulated(), raise_on_failed_trial=False, log_to_file=False)
        _without_paths(folder / name / DATABASE)
        (folder / name / "expected.json").write_text(json.dumps(told(results), indent=1))
        for left in (".lock", mark.NAME):
            (folder / name / left).unlink()


def _without_paths(database: Path) -> None:
    """Leave out where the code lay, and put everything into one file."""
    with journal.reading(database.parent) as connection:
        facts = journal.facts(connection)
    facts["recipe"]["trainable"]["file"] = None
    journal.restate(database.parent, facts)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


if __name__ == "__main__":
    make(FOLDER / str(SCHEMA_VERSION))
