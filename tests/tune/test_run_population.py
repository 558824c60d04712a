"""Populations in real processes: copies start from their donors' checkpoints."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import tune
from schedulers import PopulationBasedTraining, ResourceChangingScheduler
from searchers import (
    AutoSearch,
    BOHBSearch,
    ConcurrencyLimiter,
    GaussianProcessSearch,
    OptunaSearch,
    Repeater,
    TPESearch,
)
from tune.job import Job
from tune.settings import RunConfig, TuneConfig

EPOCHS = 5


def train(config: dict[str, Any]) -> None:
    done, value = 0, 0.0
    if checkpoint := tune.get_checkpoint():
        done, value = map(float, Path(checkpoint.path, "state").read_text().split())
    for epoch in range(int(done) + 1, EPOCHS + 1):
        value += config["x"]
        state = f"{epoch} {value}"
        tune.report({"value": value}, checkpoint=lambda path, state=state: Path(path, "state").write_text(state))


def forgetful(config: dict[str, Any]) -> None:
    for epoch in range(1, 4):
        tune.report({"value": epoch * config["x"]})


class Adding(tune.Trainable):
    made = 0

    def setup(self, config: dict[str, Any]) -> None:
        self.value, Adding.made = 0.0, Adding.made + 1

    def step(self) -> dict[str, Any]:
        self.value += self.config["x"]
        return {"value": self.value, "made": Adding.made, "done": self.iteration + 1 >= EPOCHS}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        return {"value": self.value}

    def load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.value = checkpoint["value"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.value = 0.0
        return True


def population(trainable: Any, storage: Path, **more: Any) -> tune.ResultGrid:
    scheduler = PopulationBasedTraining(
        "training_iteration",
        perturbation_interval=2,
        hyperparam_mutations={"x": tune.uniform(0, 10)},
        resample_probability=0,
        synch=True,
    )
    return tune.run(
        trainable,
        config={"x": tune.grid_search([1.0, 5.0])},
        metric="value",
        mode="max",
        scheduler=scheduler,
        resources_per_trial={"cpu": 0.5},
        storage_path=storage,
        name="population",
        seed=0,
        verbose=0,
        **more,
    )


@pytest.mark.parametrize(("trainable", "more"), [(train, {}), (Adding, {"reuse_actors": True})])
def test_the_worst_goes_on_from_the_checkpoint_of_the_best(trainable: Any, more: dict, tmp_path: Path) -> None:
    results = population(trainable, tmp_path, **more)
    copy = results[0]
    steps = copy.lineage()
    assert [step.trial_id for step in steps[:2]] == ["t1", "t0"]
    assert steps[0][:2] == (0, {"x": 5.0})
    assert copy.config == steps[-1].config != {"x": 1.0}
    ends = [step.iteration for step in steps[1:]] + [EPOCHS]
    spans = zip(steps, ends, strict=True)
    assert copy.metrics["value"] == pytest.approx(sum((end - one.iteration) * one.config["x"] for one, end in spans))
    assert copy.metrics["training_iteration"] == EPOCHS
    assert copy.checkpoint is not None
    if more:  # the object was given its new configuration, not made again
        assert copy.metrics["made"] == 1


def test_without_checkpoints_it_says_so_and_every_trial_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        results = population(forgetful, tmp_path)
    assert [one.state for one in results] == ["TERMINATED", "TERMINATED"]
    assert [one.config["x"] for one in results] == [1.0, 5.0]
    assert "trials without checkpoints cannot be copied" in caplog.text


def growing(config: dict[str, Any]):
    done = int(Path(checkpoint.path, "epoch").read_text()) if (checkpoint := tune.get_checkpoint()) else 0
    for epoch in range(done + 1, 4):
        cpus = tune.get_context().get_trial_resources()["cpu"]
        tune.report({"cpus": cpus}, checkpoint=lambda path, epoch=epoch: Path(path, "epoch").write_text(str(epoch)))


def grown(storage: Path, most: float) -> tune.ResultGrid:
    def allocate(holdings, trial, result):
        return {"cpu": most}

    return tune.run(
        growing,
        metric="cpus",
        mode="max",
        scheduler=ResourceChangingScheduler(None, allocate),
        resources_per_trial={"cpu": 0.5},
        storage_path=storage,
        name="growing",
        verbose=0,
    )


def test_a_trial_goes_on_with_more_or_with_what_it_had(tmp_path: Path) -> None:
    (more,) = grown(tmp_path / "more", 1)
    assert more.metrics["cpus"] == 1
    assert more.metrics["training_iteration"] == 3
    (kept,) = grown(tmp_path / "beyond", 10_000)
    assert kept.metrics["cpus"] == 0.5
    assert kept.metrics["training_iteration"] == 3
    assert kept.attempts == 2


@pytest.mark.parametrize(
    "make",
    [
        AutoSearch,
        OptunaSearch,
        BOHBSearch,
        lambda: ConcurrencyLimiter(GaussianProcessSearch(), 2),
        lambda: Repeater(TPESearch(), repeat=2),
    ],
)
def test_a_searcher_that_learns_is_refused_beside_a_population(make):
    growing = ResourceChangingScheduler(PopulationBasedTraining(hyperparam_mutations={"lr": [1, 2]}))
    with pytest.raises(tune.InvalidArgumentError, match="changes configurations while trials train, and .* would"):
        job(make(), growing).policies()
    job(make(), "asha").policies()


@pytest.mark.parametrize("searcher", [None, "random", "sobol", OptunaSearch(sampler="qmc")])
def test_a_population_may_begin_anywhere(searcher):
    job(searcher, PopulationBasedTraining(hyperparam_mutations={"lr": [1, 2]})).policies()


def job(searcher, scheduler):
    settings = TuneConfig(metric="loss", mode="min", num_samples=4, search_alg=searcher, scheduler=scheduler)
    return Job(lambda config: None, {"lr": tune.uniform(0, 1)}, settings, RunConfig(verbose=0))
