"""Configurations that are run several times."""

from __future__ import annotations

import math
from typing import Any

import pytest

from searchers import (
    BasicVariantGenerator,
    RandomSearch,
    Repeater,
    SearchContext,
    Searcher,
    TPESearch,
    grid_search,
    uniform,
)
from tests.searchers.trials import bound

SPACE = {"x": uniform(0, 1), "nested": {"y": 3}}


class Told(RandomSearch):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[Any] = []
        self.known: list[Any] = []

    def on_evaluated(self, trial_id: str, config: dict[str, Any], result: dict[str, Any]) -> None:
        self.known.append((trial_id, config, result))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.ended.append((trial_id, result, error))


def start(searcher: Searcher, number: int) -> dict[str, Any]:
    config = searcher.suggest(f"t{number}")
    assert isinstance(config, dict)
    searcher.on_trial_add(f"t{number}", config)
    return config


def test_each_configuration_is_run_so_many_times_and_says_which_run_it_is() -> None:
    searcher = bound(Repeater(RandomSearch(), repeat=3), SPACE, num_samples=6)
    configs = [start(searcher, number) for number in range(6)]
    assert [config["__trial_index__"] for config in configs] == [0, 1, 2, 0, 1, 2]
    assert configs[0]["x"] == configs[2]["x"] != configs[3]["x"] == configs[5]["x"]
    assert configs[0]["nested"] is not configs[1]["nested"]
    assert searcher.total_trials == 6


def test_the_searcher_is_told_the_mean_of_what_succeeded() -> None:
    told = Told()
    searcher = bound(Repeater(told, repeat=3, set_index=False), SPACE, num_samples=9)
    for number in range(9):
        start(searcher, number)
    searcher.on_trial_complete("t1", {"loss": 2.0, "training_iteration": 4, "note": "b"})
    searcher.on_trial_complete("t0", {"loss": 1.0, "training_iteration": 2, "note": "a"})
    assert told.ended == []
    searcher.on_trial_complete("t2", None, True)
    assert told.ended == [("t0", {"loss": 1.5, "training_iteration": 3.0}, False)]
    for number, loss in ((3, math.nan), (4, 5.0), (5, math.inf)):
        searcher.on_trial_complete(f"t{number}", {"loss": loss})
    assert told.ended[1] == ("t1", {"loss": 5.0}, False)
    for number in (6, 7, 8):
        searcher.on_trial_complete(f"t{number}", None, True)
    assert told.ended[2] == ("t2", None, True)


def test_a_known_result_is_no_run_of_a_group_and_told_as_it_is() -> None:
    told = Told()
    searcher = bound(Repeater(told, repeat=2), SPACE, num_samples=4)
    known = [(f"known{number}", {"x": number / 4}, {"loss": float(number)}) for number in range(3)]
    for one in known:
        searcher.on_evaluated(*one)
    assert told.known == known
    assert told.ended == []


def test_the_searchers_own_space_and_metric_are_the_repeaters() -> None:
    searcher = Repeater(TPESearch(SPACE, metric="loss", mode="min"), repeat=2)
    searcher.bind(SearchContext({"epochs": 3}, num_samples=5, first=3))
    assert searcher.context.space == {"epochs": 3, **SPACE}
    assert (searcher.context.metrics, searcher.context.num_samples, searcher.context.first) == (("loss",), 5, 3)


def test_a_grid_of_a_later_space_begins_with_its_first_group() -> None:
    searcher = Repeater(BasicVariantGenerator(), repeat=2, set_index=False)
    searcher.bind(SearchContext({"a": grid_search([1, 2])}, num_samples=8, first=4))
    for number in range(4):
        searcher.on_trial_add(f"t{number}", {"a": 9})
    assert [start(searcher, number)["a"] for number in range(4, 8)] == [1, 1, 2, 2]


def test_samples_count_runs() -> None:
    assert bound(Repeater(TPESearch(), repeat=3), SPACE, num_samples=10).total_trials == 10
    assert bound(Repeater(TPESearch(), repeat=3), SPACE, num_samples=-1).total_trials is None
    grid = Repeater(BasicVariantGenerator(), repeat=2)
    grid.bind(SearchContext({"a": grid_search([1, 2, 3])}, num_samples=1))
    assert grid.total_trials == 6


def test_parameters_that_a_trial_asks_for_are_the_same_in_every_run() -> None:
    searcher = bound(Repeater(RandomSearch(), repeat=2), {"epochs": 1}, num_samples=4)
    domain = uniform(0, 1)
    for number in range(2):
        start(searcher, number)
    value = searcher.suggest_parameter("t0", "x", domain)
    searcher.on_parameter("t0", "x", domain, value)
    assert searcher.suggest_parameter("t1", "x", domain) == value


def test_none_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="repeat must be 1 or more, not 0"):
        Repeater(RandomSearch(), repeat=0)
