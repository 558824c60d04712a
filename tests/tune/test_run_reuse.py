"""Processes that serve one trial after another, and large values that are sent once."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

import tune
from searchers import BasicVariantGenerator
from tests.tune.trainables import iterations


def who(config):
    return {"pid": os.getpid(), "x": config.get("x"), "left": len(sys.argv)}


def test_function_trials_share_a_process_when_asked_to(run):
    results = run(who, config={"x": tune.grid_search([1, 2, 3, 4])}, reuse_actors=True, max_concurrent_trials=1)

    assert len({one.metrics["pid"] for one in results}) == 1
    assert [one.metrics["x"] for one in results] == [1, 2, 3, 4]
    assert os.getpid() not in {one.metrics["pid"] for one in results}


def test_function_trials_have_a_process_each_otherwise(run):
    results = run(who, num_samples=4, max_concurrent_trials=1)

    assert len({one.metrics["pid"] for one in results}) == 4


def test_a_trial_that_is_stopped_hands_its_process_on(run):
    def train(_config):
        while True:
            tune.report(pid=os.getpid())

    results = run(train, num_samples=3, stop={"training_iteration": 2}, reuse_actors=True, max_concurrent_trials=1)

    assert len({one.metrics["pid"] for one in results}) == 1
    assert [iterations(one) for one in results] == [[1, 2]] * 3


def test_a_trial_that_fails_takes_its_process_along(run):
    results = run(
        who_fails,
        config={"x": tune.grid_search([0, 1, 2, 3])},
        reuse_actors=True,
        max_concurrent_trials=1,
        raise_on_failed_trial=False,
    )

    first, second, third, fourth = results
    assert [one.state for one in results] == ["TERMINATED", "ERROR", "TERMINATED", "TERMINATED"]
    assert third.metrics["pid"] != first.metrics["pid"]
    assert third.metrics["pid"] == fourth.metrics["pid"]
    assert second.metrics["pid"] == first.metrics["pid"]


def who_fails(config):
    tune.report(pid=os.getpid())
    if config["x"] == 1:
        raise ValueError
    tune.report(pid=os.getpid())


def test_different_needs_have_different_processes(run):
    fitted = tune.with_resources(who, lambda config: {"cpu": config["x"]})
    results = run(fitted, config={"x": tune.grid_search([0.5, 1, 0.5, 1])}, reuse_actors=True, max_concurrent_trials=1)

    assert [one.state for one in results] == ["TERMINATED"] * 4


@pytest.mark.parametrize("reuse", [False, True], ids=["fresh", "reused"])
def test_large_parameters_reach_functions(run, reuse):
    weights = np.arange(1_000_000.0)

    def train(config, weights, scale):
        return {"sum": float(weights.sum()) * scale * config["x"]}

    fitted = tune.with_parameters(train, weights=weights, scale=2)
    results = run(fitted, config={"x": tune.grid_search([1, 2])}, reuse_actors=reuse)

    assert [one.metrics["sum"] for one in results] == [2 * weights.sum(), 4 * weights.sum()]


def test_large_parameters_reach_classes(run):
    weights = np.arange(1000.0)

    class Summing(tune.Trainable):
        def setup(self, config, weights=None):
            self.weights = weights

        def step(self):
            return {"sum": float(self.weights.sum()), "done": True}

    assert run(tune.with_parameters(Summing, weights=weights))[0].metrics["sum"] == weights.sum()


def test_large_parameters_reach_objectives(run):
    def objective(trial, weights):
        return trial.suggest_int("x", 1, 1) * float(weights.sum())

    assert run(tune.with_parameters(objective, weights=np.ones(7)))[0].metrics["value"] == 7


def test_wrappers_go_together_in_any_order(run):
    def train(config, a, b):
        return {"sum": a + b, "cpu": tune.get_context().get_trial_resources()["cpu"]}

    one = tune.with_resources(tune.with_parameters(tune.with_parameters(train, a=1), b=2), {"cpu": 0.5})
    other = tune.with_parameters(tune.with_parameters(tune.with_resources(train, {"cpu": 0.5}), b=3), a=1, b=2)

    for at, fitted in enumerate((one, other)):
        metrics = run(fitted, name=f"e{at}")[0].metrics
        assert (metrics["sum"], metrics["cpu"]) == (3, 0.5)


def test_a_wrapped_function_can_be_called_directly():
    def train(config, a):
        return config["x"] + a

    assert tune.with_parameters(train, a=1)({"x": 2}) == 3
    assert tune.with_resources(lambda config: config["x"], {"cpu": 2})({"x": 2}) == 2
    assert tune.with_parameters(train, a=1).__name__ == "train"


def test_a_parameter_that_the_function_does_not_take_is_refused_before_anything_starts(run, tmp_path):
    def train(config, weights):
        return {"a": 1}

    with pytest.raises(tune.InvalidArgumentError, match="'weihgts'.*did you mean 'weights'"):
        run(tune.with_parameters(train, weihgts=1))
    with pytest.raises(tune.InvalidArgumentError, match="'weights'"):
        run(train)
    assert not (tmp_path / "e").exists()


def test_a_searcher_is_not_used_up_by_a_run(run):
    search = BasicVariantGenerator()
    first = run(who, config={"x": tune.grid_search([1, 2])}, search_alg=search)
    second = run(who, config={"x": tune.grid_search([1, 2])}, search_alg=search, name="f")

    assert [one.config["x"] for one in first] == [one.config["x"] for one in second] == [1, 2]
