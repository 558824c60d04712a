"""Other libraries' searchers keep our contract, as far as their packages are installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from searchers import SearchContext, Searcher, choice, create_searcher, grid_search, loguniform, randint, uniform
from searchers.choices import matches
from tests.searchers.contract import CONDITIONAL, SPACE, History

# Those that take no part in `make test`: Ax brings torch, and HEBO asks for a numpy that nothing else here takes.
PACKAGES = {
    "hyperopt": "hyperopt",
    "bayesopt": "bayes_opt",
    "nevergrad": "nevergrad",
    "zoopt": "zoopt",
    "ax": "ax",
    "hebo": "hebo",
}
INSTALLED = [name for name, package in PACKAGES.items() if find_spec(package) is not None]
FEW: dict[str, dict[str, Any]] = {
    "hyperopt": {"n_initial_points": 4},
    "bayesopt": {"random_search_steps": 4, "kappa": 0.5},
    "nevergrad": {"optimizer": "OnePlusOne"},
}

pytestmark = pytest.mark.filterwarnings("ignore")


def bound(name: str, space: dict[str, Any] = SPACE, mode: str = "min", num_samples: int = 30, **more: Any) -> Searcher:
    searcher = create_searcher(name, **{**FEW.get(name, {}), **more})
    searcher.bind(SearchContext(space, ("loss",), (mode,), 3, num_samples))
    return searcher


def lived(name: str, space: dict[str, Any] = SPACE, **more: Any) -> History:
    """Seven trials: one fails, two run at a time where the library does not wait for the first ones to end."""
    history = History(bound(name, space, **more))
    for number in range(7):
        while history.start() is None:
            history.end(0)
        if number and history.running:
            history.report(0)
            history.end(0, failed=number == 3)
    return history


@pytest.mark.parametrize("space", [SPACE, CONDITIONAL], ids=["plain", "conditional"])
@pytest.mark.parametrize("name", INSTALLED)
def test_suggestions_lie_in_the_space_and_go_on_after_a_resume(name: str, space: dict[str, Any]) -> None:
    history = lived(name, space)
    assert all(matches(space, config) for config in history.suggested)
    while history.running:
        history.end(0)
    resumed = history.retold_to(bound(name, space))
    assert resumed.start() == history.start()


@pytest.mark.parametrize("name", INSTALLED)
def test_points_given_come_first_and_the_rest_of_them_is_drawn(name: str) -> None:
    history = lived(name, points_to_evaluate=[{"lr": 1e-3}, {"optimizer": "sgd"}])
    assert history.suggested[0]["lr"] == 1e-3
    assert history.suggested[1]["optimizer"] == "sgd"


@pytest.mark.parametrize("name", [name for name in INSTALLED if name not in {"ax", "hebo"}])
def test_it_comes_nearer_to_the_best_in_either_mode(name: str) -> None:
    space = {"x": uniform(-5, 5), "y": loguniform(1e-4, 1)}

    def best_of(mode: str) -> tuple[float, float]:
        searcher, sign, values = bound(name, space, mode, num_samples=24), 1 if mode == "min" else -1, []
        for number in range(12 if name == "bayesopt" else 24):  # its model takes a tenth of a second
            config = searcher.suggest(f"t{number}")
            assert isinstance(config, dict)
            searcher.on_trial_add(f"t{number}", config)
            values.append((config["x"] - 2) ** 2)
            searcher.on_trial_complete(f"t{number}", {"loss": sign * values[-1]})
        return min(values[:4]), min(values[4:])

    for mode in ("max",) if name == "bayesopt" else ("min", "max"):
        first, later = best_of(mode)
        assert later < max(first, 0.5)


@pytest.mark.parametrize("name", INSTALLED)
def test_what_no_library_can_do_is_refused_in_words(name: str) -> None:
    for space, complaint in (
        ({"x": grid_search([1, 2])}, "lays out no grid"),
        ({"epochs": 3}, "nothing to search"),
    ):
        with pytest.raises(ValueError, match=complaint):
            bound(name, space)
    searcher = create_searcher(name)
    with pytest.raises(ValueError, match="one metric"):
        searcher.bind(SearchContext({"x": randint(0, 9)}, ("a", "b"), ("min", "min"), 0, 9))


@pytest.mark.parametrize("name", [name for name in PACKAGES if name not in INSTALLED])
def test_a_package_that_is_missing_is_named_with_what_installs_it(name: str) -> None:
    with pytest.raises(ValueError, match=r"pip install 'audition\["):
        create_searcher(name)


def test_global_random_states_are_left_as_they_were() -> None:
    import random

    import numpy as np

    random.seed(5)
    np.random.seed(5)
    before = random.random(), float(np.random.random())
    random.seed(5)
    np.random.seed(5)
    lived("zoopt", {"x": choice([1, 2, 3]), "y": uniform(0, 1)})
    assert (random.random(), float(np.random.random())) == before
