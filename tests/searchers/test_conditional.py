"""Conditional spaces: parameters that exist only where an option of a choice was taken, and are absent elsewhere."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from searchers import (
    FINISHED,
    BasicVariantGenerator,
    Encoding,
    OptunaSearch,
    RandomSearch,
    SearchContext,
    Searcher,
    choice,
    grid_search,
    loguniform,
    ordinal,
    randint,
    resolve,
    uniform,
)
from searchers.choices import matches
from searchers.parameters import values

SPACE = {
    "layers": [
        {"kind": "in"},
        choice([None, {"drop": uniform(0, 1), "act": choice(["relu", {"leak": uniform(1, 2)}])}]),
    ],
    "model": choice(
        [
            {"kind": "tree", "n": randint(1, 5)},
            {
                "kind": "net",
                "n": uniform(10, 20),
                "inner": choice([{"opt": choice([{"name": "sgd", "lr": loguniform(1e-3, 1)}, "adam"])}, "plain"]),
            },
        ]
    ),
}
DEEPEST = "model[1]/inner[0]/opt[0]/lr"


def suggestions(searcher: Searcher, space: dict[str, Any], count: int) -> list[dict[str, Any]]:
    searcher.bind(SearchContext(space, ("loss",), ("min",), 0, count))
    configs = []
    for number in range(count):
        config = searcher.suggest(f"t{number}")
        assert isinstance(config, dict)
        searcher.on_trial_add(f"t{number}", config)
        searcher.on_trial_complete(f"t{number}", {"loss": float(number % 7)})
        configs.append(config)
    return configs


@pytest.mark.parametrize("searcher", [RandomSearch, OptunaSearch])
def test_every_branch_is_tried_and_what_is_inactive_is_absent(searcher: Any) -> None:
    configs = suggestions(searcher(), SPACE, 40)
    assert all(matches(SPACE, config) for config in configs)
    names = [{parameter.name for parameter, _ in values(SPACE, config)} for config in configs]
    assert set().union(*names) == {column.name for column in Encoding(SPACE).columns}
    for config, active in zip(configs, names, strict=True):
        assert set(config["model"]) == {"kind", "n"} | ({"inner"} if config["model"]["kind"] == "net" else set())
        assert ("lr" in str(config)) == (DEEPEST in active)


def test_one_name_has_the_domain_of_its_branch() -> None:
    for config in suggestions(RandomSearch(), SPACE, 40):
        number = config["model"]["n"]
        assert (1 <= number <= 4 and type(number) is int) if config["model"]["kind"] == "tree" else 10 <= number <= 20


@pytest.mark.parametrize("searcher", [RandomSearch, OptunaSearch])
def test_a_point_chooses_a_branch_and_leaves_the_rest_of_it_open(searcher: Any) -> None:
    points = [
        {"model": {"kind": "net", "inner": {"opt": {"name": "sgd"}}}},
        {"model": {"n": 3}, "layers": [{"kind": "in"}, {"act": {"leak": 1.5}}]},
        {"model/inner/opt/lr": 0.5},
    ]
    first, second, third = suggestions(searcher(points_to_evaluate=points), SPACE, 3)
    assert 1e-3 <= first["model"]["inner"]["opt"]["lr"] <= 1
    assert 10 <= first["model"]["n"] <= 20
    assert second["model"] == {"kind": "tree", "n": 3}
    assert second["layers"][1]["act"] == {"leak": 1.5}
    assert 0 <= second["layers"][1]["drop"] <= 1
    assert third["model"]["inner"]["opt"] == {"name": "sgd", "lr": 0.5}
    with pytest.raises(ValueError, match="is not in choice"):
        suggestions(searcher(points_to_evaluate=[{"model": {"kind": "tree", "n": 15.0}}]), SPACE, 1)


def test_a_grid_runs_over_branches_whose_parameters_are_drawn() -> None:
    space = {
        "m": grid_search([{"kind": "a", "x": uniform(0, 1)}, {"kind": "b", "o": choice([{"y": ordinal([1])}])}, 3])
    }
    searcher = BasicVariantGenerator()
    searcher.bind(SearchContext(space, num_samples=2))
    configs = [searcher.suggest(f"t{number}") for number in range(7)]
    assert configs.pop() is FINISHED
    kinds = [config["m"] if config["m"] == 3 else config["m"]["kind"] for config in configs if isinstance(config, dict)]
    assert kinds == ["a", "b", 3] * 2
    assert all(matches({"m": choice(space["m"]["grid_search"])}, config) for config in configs)


def test_what_optuna_is_told_of_a_branch_is_that_branch_alone() -> None:
    searcher = OptunaSearch()
    configs = suggestions(searcher, SPACE, 30)
    for config, trial in zip(configs, searcher._history.trials, strict=True):
        assert set(trial.params) == {parameter.name for parameter, _ in values(SPACE, config)}


def test_resolving_fills_in_what_a_partial_branch_leaves_open() -> None:
    config = resolve(SPACE, Random(3), {"model": {"kind": "net", "inner": "plain"}, "layers/1": None})
    assert config["model"].keys() == {"kind", "n", "inner"}
    assert config["layers"] == [{"kind": "in"}, None]
