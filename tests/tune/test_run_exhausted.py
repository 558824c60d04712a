"""Runs of finite spaces: nothing is tried twice, and the run ends when there is nothing else to try."""

from __future__ import annotations

import pytest

import tune
from searchers import OptunaSearch


def train(config):
    return {"loss": config["a"] * 10 + len(config["b"])}


SPACE = {"a": tune.choice([1, 2]), "b": tune.choice(["x", "yy"])}


@pytest.mark.parametrize("search_alg", ["random", None, OptunaSearch()])
def test_an_exhausted_space_ends_the_run_which_says_so(run, capsys, search_alg):
    results = run(
        train,
        config=SPACE,
        metric="loss",
        mode="min",
        num_samples=10,
        search_alg=search_alg,
        verbose=1,
        reuse_actors=True,
    )
    assert sorted(one.metrics["loss"] for one in results) == [11, 12, 21, 22]
    assert "4 of 10 in" in (printed := capsys.readouterr().out)
    assert "4 done (the searcher has nothing else to try)" in printed


def test_a_space_that_has_grown_is_searched_on(run):
    settings = {"metric": "loss", "mode": "min", "num_samples": 10, "name": "e", "reuse_actors": True}
    assert len(run(train, config=SPACE, **settings)) == 4
    assert len(run(train, config=SPACE, resume=True, **settings)) == 4
    results = run(train, config={**SPACE, "a": tune.choice([1, 2, 3])}, resume=True, **settings)
    assert sorted(one.metrics["loss"] for one in results) == [11, 12, 21, 22, 31, 32]
