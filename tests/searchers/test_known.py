"""Earlier configurations in a new space: what fits, what does not, and that searchers learn from them."""

from __future__ import annotations

from typing import Any

import pytest

from searchers import (
    FINISHED,
    ConcurrencyLimiter,
    OptunaSearch,
    RandomSearch,
    SearchContext,
    Searcher,
    choice,
    grid_search,
    randint,
    sample_from,
    uniform,
)
from searchers.known import fit

SPACE = {
    "x": uniform(0, 1),
    "model": {"depth": randint(1, 9), "kind": "tree"},
    "sizes": [randint(0, 100), 10],
    "m": choice([{"name": "sgd", "momentum": uniform(0, 1)}, {"name": "adam"}]),
    "g": grid_search([1, 2]),
    "double": sample_from(lambda c: 2 * c.x),
    "epochs": 3,
    "data": object(),
}
OLD = {
    "x": 0.5,
    "model": {"depth": 2, "kind": "tree"},
    "sizes": [7, 10],
    "m": {"name": "sgd", "momentum": 0.5},
    "g": 2,
    "double": 1.0,
    "epochs": 3,
    "data": "<object>",
}


def test_an_earlier_configuration_is_read_nested_and_by_paths() -> None:
    whole = {**OLD, "data": SPACE["data"]}
    assert fit(SPACE, OLD) == whole
    assert fit(SPACE, {**OLD, "gone": 1, "model": {"depth": 2, "gone": 3}}) == whole
    by_path = {"x": 0.5, "model/depth": 2, "sizes/0": 7, "m/name": "sgd", "m/momentum": 0.5, "g": 2, "gone/x": 1}
    assert fit(SPACE, by_path) == whole


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": 2.0}, r"x = 2.0 is not in uniform\(0.0, 1.0\)"),
        ({"x": None}, "x = None is not in uniform"),
        ({"epochs": 5}, "epochs is 3 here and was 5"),
        ({"model": {"depth": 2, "kind": "net"}}, "model/kind is 'tree' here and was 'net'"),
        ({"model": {}}, "it has no model/depth"),
        ({"model": 3}, "it has another structure"),
        ({"m": {"name": "sgd"}}, r"it has no m\[0\]/momentum"),
        ({"m": {"name": "lbfgs"}}, "m = {'name': 'lbfgs'} is not in choice"),
        ({"g": 3}, "g = 3 is not in"),
        ({"sizes": [1, 2, 3]}, "it has another structure"),
    ],
)
def test_what_does_not_fit_says_why(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        fit(SPACE, {**OLD, **change})


def bound(searcher: Searcher, space: dict[str, Any]) -> Searcher:
    searcher.bind(SearchContext(space, ("loss",), ("min",), 0, 100))
    return searcher


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii", "gp-less"])
def test_a_model_has_learned_what_was_known(sampler: str) -> None:
    made = OptunaSearch(sampler=sampler) if sampler != "gp-less" else ConcurrencyLimiter(OptunaSearch(), 2, batch=True)
    searcher = bound(made, {"x": uniform(-1, 1)})
    for number in range(40):
        x = number / 20 - 1
        searcher.on_evaluated(f"known{number}", {"x": x}, {"loss": (x - 0.3) ** 2})
    found = [searcher.suggest(f"t{number}") for number in range(2 if sampler == "gp-less" else 8)]
    history = made.searcher._history if isinstance(made, ConcurrencyLimiter) else made._history
    assert len(history.trials) == 40
    if sampler != "nsgaii":
        assert all(isinstance(one, dict) and abs(one["x"] - 0.3) < 0.5 for one in found)


@pytest.mark.parametrize("make", [RandomSearch, OptunaSearch])
def test_what_is_known_is_not_tried_again_in_a_finite_space(make: type[Searcher]) -> None:
    searcher = bound(make(), {"a": choice(["p", "q", "r"])})
    searcher.on_evaluated("known0", {"a": "q"}, {"loss": 1.0})
    found: list[Any] = []
    for number in range(3):
        found.append(searcher.suggest(f"t{number}"))
        if isinstance(found[-1], dict):
            searcher.on_trial_add(f"t{number}", found[-1])
    assert sorted(config["a"] for config in found[:2]) == ["p", "r"]
    assert found[2] is FINISHED
