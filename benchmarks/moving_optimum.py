"""PBT and PB2 where the best learning rate moves while a trial trains, beside the best fixed one of a fine grid.

Each step of training multiplies what is left of the loss by ``1 - gain``, where the gain is largest at a rate that
falls by a factor of 1,000 over the run: no fixed rate is good all the way. Virtual time, five seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from common import Figures, Part, compare

import tune
from executor.resources import Node, Resources
from executor.simulated import SimulatedExecutor
from schedulers import PB2, PopulationBasedTraining, TrialScheduler

STEPS = 60
INTERVAL = 4
MEMBERS = 8
SEEDS = range(5)
LOWEST, HIGHEST = 1e-4, 1.0


def after_step(loss: float, rate: float, step: int) -> float:
    """The loss after one more step."""
    best = 0.1 * 1000 ** (-step / STEPS)
    off = math.log10(rate / best)
    return loss * (1 - 0.15 * math.exp(-2 * off * off))


def train(config: dict[str, Any]) -> Iterator[Any]:
    checkpoint = tune.get_checkpoint()
    step, loss = 0, 1.0
    if checkpoint:
        step, loss = map(float, Path(checkpoint.path, "state").read_text().split())
    for at in range(int(step), STEPS):
        loss = after_step(loss, config["lr"], at)
        state = f"{at + 1} {loss!r}"
        yield {"loss": loss}, lambda path, state=state: Path(path, "state").write_text(state)


def tuned(scheduler: TrialScheduler, seed: int) -> float:
    """The best final loss of a population."""
    nodes = [Node("n", Resources.of(cpu=MEMBERS))]
    with TemporaryDirectory() as path, SimulatedExecutor(nodes) as executor:
        results = tune.run(
            train,
            config={"lr": tune.loguniform(LOWEST, HIGHEST)},
            metric="loss",
            mode="min",
            num_samples=MEMBERS,
            scheduler=scheduler,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0),
            executor=executor,
            storage_path=path,
            name="moving",
            seed=seed,
            verbose=0,
        )
        return min(one.metrics["loss"] for one in results)


def best_fixed() -> float:
    """The best final loss of 400 fixed rates."""
    losses = []
    for at in range(400):
        rate, loss = LOWEST * (HIGHEST / LOWEST) ** (at / 399), 1.0
        for step in range(STEPS):
            loss = after_step(loss, rate, step)
        losses.append(loss)
    return min(losses)


def ours() -> Figures:
    scale = tune.loguniform(LOWEST, HIGHEST)
    pbt = [tuned(PopulationBasedTraining(**_TIMING, hyperparam_mutations={"lr": scale}), seed) for seed in SEEDS]
    pb2 = [tuned(PB2(**_TIMING, hyperparam_bounds={"lr": scale}), seed) for seed in SEEDS]
    fixed = best_fixed()
    return {
        "pbt": median(pbt),
        "pb2": median(pb2),
        "best_fixed": fixed,
        "pbt_better_of_5": sum(loss < fixed for loss in pbt),
        "pb2_better_of_5": sum(loss < fixed for loss in pb2),
    }


_TIMING: dict[str, Any] = {"time_attr": "training_iteration", "perturbation_interval": INTERVAL}


if __name__ == "__main__":
    compare("moving_optimum", Part(ours, rounds=1), {}, unit="loss")
