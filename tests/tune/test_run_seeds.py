"""The same seed gives the same configurations, and the same random numbers inside trials."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest

import tune
from searchers import OptunaSearch

SPACE = {"x": tune.uniform(0, 1), "y": tune.choice(["a", "b", "c", "d", "e"]), "z": tune.randn()}


def chances(_config):
    """Random numbers of each kind, drawn before and after a failure."""
    drawn = [random.random(), float(np.random.random())]
    if tune.get_context().get_attempt() == 1 and _config.get("fails"):
        tune.report({"drawn": drawn, "attempt": 1})
        os._exit(1)
    return {"drawn": drawn, "attempt": tune.get_context().get_attempt()}


def told(results):
    return [(one.config, one.metrics["drawn"]) for one in results]


@pytest.mark.parametrize("search", [lambda: None, OptunaSearch], ids=["random", "tpe"])
def test_the_same_seed_gives_the_same_run_and_another_another(run, search):
    settings = {"config": SPACE, "num_samples": 4, "max_concurrent_trials": 1, "metric": "loss", "mode": "min"}

    def train(config):
        return {**chances(config), "loss": config["x"]}

    first, second, other = (
        told(run(train, name=name, seed=seed, search_alg=search(), **settings))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )

    assert first == second
    assert first != other


def test_trials_draw_different_numbers(run):
    results = run(chances, num_samples=6, seed=1)

    assert len({tuple(one.metrics["drawn"]) for one in results}) == 6


def test_reused_processes_draw_what_fresh_ones_do(run):
    fresh = told(run(chances, config=SPACE, num_samples=4, seed=1))
    reused = told(run(chances, config=SPACE, num_samples=4, seed=1, name="f", reuse_actors=True))

    assert fresh == reused


def test_each_attempt_draws_alike(run):
    result = run(chances, config={"fails": True}, max_failures=1, seed=3)[0]
    straight = run(chances, config={"fails": False}, seed=3, name="f")[0]

    assert result.metrics["attempt"] == 2
    assert result.metrics["drawn"] == straight.metrics["drawn"]


def test_without_a_seed_runs_differ(run):
    assert told(run(chances, config=SPACE)) != told(run(chances, config=SPACE, name="f"))


def test_libraries_imported_late_are_seeded_too(run):
    def late(_config):
        import numpy

        return {"drawn": float(numpy.random.random())}

    results = [run(late, seed=5, name=name)[0] for name in ("e", "f")]

    assert results[0].metrics["drawn"] == results[1].metrics["drawn"]
