"""Search spaces in whole runs: constraints, functions of a trial and other packages' distributions, also on resume."""

from __future__ import annotations

import re

import pytest
import scipy.stats
from optuna.distributions import IntDistribution

import tune
from searchers import OptunaSearch
from searchers.definition import Constrained
from tests.naming import plain
from tune.job import Job
from tune.storage.home import Home


def quick(config):
    return {"score": config["a"]}


def rising(config):
    return config["a"] < config["b"]


def define(trial):
    if trial.suggest_int("a", 1, 9) > 5:
        trial.suggest_categorical("big", ["very", "quite"])
    return {"epochs": 3}


SQUARE = {"a": tune.randint(0, 9), "b": tune.randint(0, 9)}
SETTINGS = {"metric": "score", "mode": "max", "seed": 1}


def test_only_allowed_configurations_are_run_and_the_recipe_knows_it(run, tmp_path):
    space = tune.constrained(SQUARE, "a < b", rising)
    results = run(quick, config=space, num_samples=3, **SETTINGS)
    assert all(one.config["a"] < one.config["b"] for one in results)

    job = Job.from_recipe(Home.at(tmp_path / "e"))
    assert job.space == Constrained(SQUARE, ("a < b", rising))
    more = run(quick, config=space, num_samples=6, resume=True, **SETTINGS)
    assert len(more) == 6
    assert all(one.config["a"] < one.config["b"] for one in more)


def test_a_lambda_as_constraint_is_named_and_works_when_it_is_given(run, tmp_path):
    space = tune.constrained(SQUARE, lambda config: config.a < config.b)
    run(quick, config=space, **SETTINGS)
    with pytest.raises(tune.NotRebuildableError, match=r"space/constraints/0: function .*lambda"):
        tune.resume(tmp_path / "e", verbose=0)
    assert len(run(quick, config=space, num_samples=2, resume=True, **SETTINGS)) == 2


def test_a_constrained_grid_has_only_the_cells_that_are_allowed(run):
    space = {"a": tune.grid_search([1, 2, 3]), "b": tune.grid_search([2, 3])}
    results = run(quick, config=tune.constrained(space, "a < b"))
    assert [(one.config["a"], one.config["b"]) for one in results] == [(1, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize("searcher", [None, OptunaSearch()], ids=["random", "optuna"])
def test_a_function_is_a_space_for_every_searcher(run, tmp_path, searcher):
    results = run(quick, config=define, num_samples=8, search_alg=searcher, **SETTINGS)
    assert all(("big" in one.config) == (one.config["a"] > 5) for one in results)
    assert {one.config["epochs"] for one in results} == {3}
    assert Job.from_recipe(Home.at(tmp_path / "e")).space is define


def test_distributions_of_other_packages_are_kept_as_ours(run, tmp_path):
    space = {"a": IntDistribution(1, 5), "b": [scipy.stats.beta(2, 5), tune.choice([{"c": scipy.stats.norm()}])]}
    results = run(quick, config=space, num_samples=2, **SETTINGS)
    assert all(1 <= one.config["a"] <= 5 and 0 <= one.config["b"][0] <= 1 for one in results)
    kept = Job.from_recipe(Home.at(tmp_path / "e")).space
    assert kept["a"] == tune.randint(1, 6)
    assert repr(kept["b"]) == "[scipy.stats.beta(a=2, b=5), choice([{'c': randn(0.0, 1.0)}])]"


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (tune.constrained(SQUARE, "a < c"), "constraint 'a < c': no configuration has a 'c'"),
        ({"a": scipy.stats.norm}, "a: norm_gen is no frozen distribution; freeze it"),
        (
            tune.constrained({"a": tune.grid_search([1, 2])}, "a > 2"),
            "no configuration is allowed: 2 by the constraint",
        ),
        ({"a": tune.constrained(SQUARE, "a < b")}, "a: constraints stand around the whole space"),
        (int, "config must be a dictionary that holds domains, or a function of a trial, got <class 'int'>"),
    ],
    ids=plain,
)
def test_a_mistake_in_a_space_is_refused_before_anything_starts(run, space, said):
    with pytest.raises(tune.InvalidArgumentError, match=re.escape(said)):
        run(quick, config=space, **SETTINGS)


def test_a_space_of_which_nothing_is_allowed_ends_the_run_with_the_reason(run, monkeypatch):
    monkeypatch.setattr("searchers.constraints.MAX_DRAWS", 50)
    with pytest.raises(tune.SearcherError, match="50 draws in a row were refused, 50 by the constraint 'a > 8'"):
        run(quick, config=tune.constrained(SQUARE, "a > 8"), **SETTINGS)
