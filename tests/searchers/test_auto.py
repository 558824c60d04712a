"""What `auto` picks, and that it says so."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from searchers import AutoSearch, SearchContext, choice, grid_search, randint, uniform
from tests.searchers.trials import bound, run

FLOATS = {f"x{number}": uniform(0, 1) for number in range(3)}
BRANCHES = {"m": choice([{"a": uniform(0, 1), "b": uniform(0, 1)}, {"c": uniform(0, 1)}])}


@pytest.mark.parametrize(
    ("space", "metrics", "num_samples", "why"),
    [
        (FLOATS, 1, 100, "a Gaussian process, since 3 parameters are few enough to model"),
        (FLOATS, 1, 1000, "a Gaussian process, .*; after 300 trials TPE alone"),
        (FLOATS, 1, -1, "a Gaussian process, .*; after 300 trials TPE alone"),
        ({"x": uniform(0, 1)}, 1, 100, "a Gaussian process, since 1 parameter is few enough to model"),
        (FLOATS, 2, 100, "TPE, since there are 2 metrics"),
        (FLOATS, 0, 100, "a Sobol sequence, since there is no metric"),
        (BRANCHES, 1, 100, "TPE, since 3 of 4 parameters are conditional"),
        ({f"x{n}": uniform(0, 1) for n in range(30)}, 1, 100, "TPE, since 30 parameters are many"),
        (
            {"n": randint(0, 5), "m": choice(["a", "b"])},
            1,
            100,
            "the space has 10 configurations, each is run at most once",
        ),
        ({"g": grid_search([1, 2]), **FLOATS}, 1, 100, "the grid of g as it was asked for"),
        ({"epochs": 3}, 1, 100, "Optuna's TPE, since the objective asks"),
    ],
)
def test_the_choice_follows_from_the_space_and_the_budget(
    space: dict[str, Any], metrics: int, num_samples: int, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    searcher = AutoSearch()
    names, modes = ("a", "b")[:metrics], ("min", "max")[:metrics]
    with caplog.at_level(logging.INFO, "searchers"):
        searcher.bind(SearchContext(space, names, modes, 0, num_samples))
    assert re.search(why, searcher.why), searcher.why
    assert caplog.messages == [f"search: {searcher.why}"]
    assert isinstance(searcher.suggest("t0"), dict)


def test_what_is_known_is_not_dropped_in_silence_where_a_grid_is_run() -> None:
    searcher = AutoSearch(points_to_evaluate=[{"g": 1}], evaluated_rewards=[0.5])
    with pytest.raises(ValueError, match="evaluated_rewards .* the grid of g is run: leave it out"):
        searcher.bind(SearchContext({"g": grid_search([1, 2])}, ("a",), ("min",), 0, 1))


def test_both_searchers_know_all_that_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("searchers.auto._MOST_MODELLED", 12)
    searcher = bound(AutoSearch(points_to_evaluate=[{"x0": 0.5, "x1": 0.5, "x2": 0.5}]), FLOATS, num_samples=20)
    losses = run(searcher, lambda config: sum((value - 0.4) ** 2 for value in config.values()), 20)
    first, second = searcher._searchers
    assert len(first.observations) == len(second.observations) == 20
    assert losses[0] == pytest.approx(0.03)
