"""Other libraries' searchers keep our contract, as far as their packages are installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from searchers import (
    FINISHED,
    Constraint,
    SearchContext,
    Searcher,
    choice,
    create_searcher,
    grid_search,
    loguniform,
    randint,
    uniform,
)
from searchers.choices import matches
from searchers.libraries.box import LibrarySearch, Proposal
from tests.searchers.contract import CONDITIONAL, FINITE, SPACE, History, loss_of, plain, play

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
def test_nothing_is_run_twice_in_a_finite_space_and_the_search_ends(name: str) -> None:
    space = {"depth": randint(1, 4), "optimizer": choice(["adam", "sgd"])}
    history = History(bound(name, space))
    play(history, [("start", 0), ("start", 0), ("fail", 0), ("end", 0)] * 5)
    assert len({repr(config) for config in history.suggested}) == len(history.suggested) == 6
    assert history.start() is FINISHED
    history = History(bound(name, space, skip_duplicate=False))
    play(history, [("start", 0), ("end", 0)] * 7)
    assert len(history.suggested) == 7


@pytest.mark.parametrize("name", INSTALLED)
def test_what_breaks_a_constraint_is_not_suggested_and_a_resume_goes_on(name: str) -> None:
    def bound_to_half() -> Searcher:
        searcher = create_searcher(name, **FEW.get(name, {}))
        half = Constraint(lambda config: loss_of(plain(config)) < 0.5)
        searcher.bind(SearchContext(SPACE, ("loss",), ("min",), 3, 30, constraints=(half,)))
        return searcher

    history = History(bound_to_half())
    play(history, [("start", 0), ("end", 0)] * 8)
    assert all(loss_of(config) < 0.5 for config in history.suggested)
    assert history.retold_to(bound_to_half()).start() == history.start()


@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "zoopt"])
def test_what_is_known_is_learned_from(name: str) -> None:
    def told(best: float) -> list[Any]:
        searcher = bound(name, {"x": uniform(0, 1)})
        for number in range(11):
            searcher.on_evaluated(f"known{number}", {"x": number / 10}, {"loss": abs(number / 10 - best)})
        return [searcher.suggest(f"t{number}") for number in range(3)]

    assert told(0.1) != told(0.9)


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


class Insistent(LibrarySearch):
    """A library with one idea, which writes down what it hears. Its keys are the numbers of its proposals."""

    package, extra = "json", "none"

    def open(self, columns: Any) -> None:
        self.asked = 0
        self.told: list[int | None] = []
        self.dropped: list[int] = []

    def ask(self) -> Proposal:
        self.asked += 1
        return Proposal(np.full(self.dimension, 0.5), self.asked)

    def tell(self, proposal: Proposal, loss: float) -> None:
        self.told.append(proposal.key)

    def drop(self, proposal: Proposal) -> None:
        self.dropped.append(proposal.key)


def insistent(space: dict[str, Any]) -> Insistent:
    searcher = Insistent()
    searcher.bind(SearchContext(space, ("loss",), ("min",), 0, 99))
    return searcher


def test_a_library_hears_of_each_of_its_proposals_what_became_of_it() -> None:
    searcher = insistent(FINITE)
    play(History(searcher), [("start", 0), ("start", 0), ("end", 0), ("fail", 0)] * 10)
    own = [key for key in searcher.told if key is not None]
    assert sorted([*own, *searcher.dropped]) == list(range(1, searcher.asked + 1))
    assert own == [1]
    assert len(searcher.told) == 8


def test_a_paused_trial_counts_with_the_value_that_it_had_then() -> None:
    searcher = insistent(SPACE)
    history = History(searcher)
    for _ in range(3):
        history.start()
    history.report(0)
    for name in ("t0", "t1"):  # t1 has none
        searcher.on_trial_pause(name)
    assert (searcher.told, searcher.dropped) == ([1], [])
    for _ in range(3):
        history.end(0, failed=len(history.running) == 3)
    assert (searcher.told, searcher.dropped) == ([1, 2, 3], [])


def test_a_library_is_told_what_is_known_and_asked_for_nothing() -> None:
    searcher = insistent(FINITE)
    searcher.on_evaluated("known0", {"depth": 3, "optimizer": "sgd", "epochs": 3}, {"loss": 1.0})
    assert (searcher.asked, searcher.told) == (0, [None])


def test_a_trial_that_is_tried_again_is_told_again_without_another_proposal() -> None:
    searcher = insistent(SPACE)
    history = History(searcher)
    config = history.start()
    history.end(0, failed=True)
    searcher.on_trial_add("t0", config)
    searcher.on_trial_complete("t0", {"loss": 1.0})
    assert (searcher.asked, searcher.told, searcher.dropped) == (1, [None], [1])


def test_a_trial_outside_of_the_space_is_overlooked() -> None:
    searcher = insistent(SPACE)
    searcher.on_trial_add("t0", {"lr": 5.0, "something": "else"})
    searcher.on_trial_complete("t0", {"loss": 1.0})
    assert (searcher.told, searcher.dropped) == ([], [1])


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
