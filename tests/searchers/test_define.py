"""A function of a trial as a search space, for searchers that know nothing of Optuna."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from optuna.trial import FixedTrial

from searchers import (
    FINISHED,
    BasicVariantGenerator,
    ConcurrencyLimiter,
    Constraint,
    DrawnTrial,
    GridSearch,
    OptunaSearch,
    RandomSearch,
    SearchContext,
    Searcher,
    ordinal,
    uniform,
)
from searchers.resolution import draw
from tests.searchers.contract import SearcherContract


def define(trial: Any) -> dict[str, Any]:
    trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "sgd":
        trial.suggest_float("momentum", 0, 1, step=0.25)
    for layer in range(trial.suggest_int("layers", 1, 3)):
        trial.suggest_int(f"width_{layer}", 8, 64, step=8)
    return {"epochs": 3}


def bound(searcher: Searcher, *constraints: Any, num_samples: int = 60, seed: int = 0) -> Searcher:
    made = tuple(map(Constraint, constraints))
    searcher.bind(SearchContext({"fixed": 1}, ("loss",), ("min",), seed, num_samples, constraints=made, define=define))
    return searcher


class TestRandomSearchOfAFunction(SearcherContract):
    learns = False

    def make(self) -> Searcher:
        return RandomSearch()

    def bound(self, seed: int = 0, num_samples: int | None = None) -> Searcher:
        return bound(self.make(), seed=seed, num_samples=self.num_samples if num_samples is None else num_samples)

    def test_suggestions_lie_in_the_space(self) -> None:
        check(self.bound())

    def test_points_from_outside_are_welcome(self) -> None:
        searcher = self.bound()
        searcher.on_trial_add("t0", {"lr": 5.0})
        assert isinstance(searcher.suggest("t1"), dict)


def check(searcher: Searcher) -> None:
    """Each configuration has exactly what the function asks for."""
    configs = [searcher.suggest(f"t{number}") for number in range(30)]
    for config in configs:
        assert isinstance(config, dict)
        asked = FixedTrial(config)
        define(asked)
        assert config == {**asked.params, "epochs": 3, "fixed": 1}
    assert {config["optimizer"] for config in configs if isinstance(config, dict)} == {"adam", "sgd"}


@pytest.mark.parametrize(
    "searcher",
    [BasicVariantGenerator(), OptunaSearch(), ConcurrencyLimiter(RandomSearch(), 90)],
    ids=lambda s: type(s).__name__,
)
def test_a_configuration_has_what_the_function_asked_for(searcher: Searcher) -> None:
    check(bound(searcher))


@pytest.mark.parametrize("searcher", [RandomSearch, OptunaSearch])
def test_constraints_hold_for_what_a_function_asks(searcher: Any) -> None:
    made = bound(searcher(), "width_0 > width_1", lambda c: c.lr < 0.05)
    configs = [made.suggest(f"t{number}") for number in range(25)]
    assert all(isinstance(config, dict) and config["lr"] < 0.05 for config in configs)
    wide = [config for config in configs if isinstance(config, dict) and "width_1" in config]
    assert wide
    assert all(config["width_0"] > config["width_1"] for config in wide)


@pytest.mark.parametrize("searcher", [RandomSearch, OptunaSearch])
def test_points_give_some_of_what_a_function_asks(searcher: Any) -> None:
    made = bound(searcher(points_to_evaluate=[{"optimizer": "sgd", "momentum": 0.5, "layers": 1}]))
    config = made.suggest("t0")
    assert isinstance(config, dict)
    assert (config["optimizer"], config["momentum"], config["layers"]) == ("sgd", 0.5, 1)


def test_a_point_outside_of_what_is_asked_is_refused_then() -> None:
    made = bound(RandomSearch(points_to_evaluate=[{"layers": 7}]))
    with pytest.raises(ValueError, match=r"layers = 7 is not in randint\(1, 4\)"):
        made.suggest("t0")


def test_a_run_ends_after_its_samples() -> None:
    made = bound(RandomSearch(), num_samples=2)
    assert made.total_trials == 2
    assert made.suggest("t2") is FINISHED


def test_searchers_without_a_grid_or_for_dictionaries_refuse_a_function() -> None:
    class Fixed(Searcher):
        def suggest(self, trial_id: str) -> Any:
            return {}

    with pytest.raises(ValueError, match="Fixed needs the search space as a dictionary, not as a function"):
        bound(Fixed())
    with pytest.raises(ValueError, match="GridSearch needs at least one grid_search"):
        bound(GridSearch())
    with pytest.raises(ValueError, match="given to OptunaSearch and to the run; give it once"):
        bound(OptunaSearch(define))


def test_a_trial_answers_alike_when_it_is_asked_again() -> None:
    rng = Random(0)
    trial = DrawnTrial(lambda path, domain: draw(rng, path, domain), rng)
    assert trial.suggest_float("x", 0, 1) == trial.suggest_float("x", 0, 1)
    assert trial.suggest_int("n", 3, 3) == 3
    assert trial.suggest_float("y", 2, 2) == 2.0
    assert trial.suggest("size", ordinal(["s", "m"])) in ("s", "m")
    assert trial.suggest("both", uniform(0, 1)) == trial.params["both"]
    assert list(trial.params) == ["x", "n", "y", "size", "both"]
    with pytest.raises(ValueError, match="step and log=True exclude each other"):
        trial.suggest_float("z", 1, 2, step=0.5, log=True)
