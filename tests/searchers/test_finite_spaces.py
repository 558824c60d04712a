"""Spaces that can be counted: nothing runs twice, and the search ends when all has been tried."""

from __future__ import annotations

import json
from typing import Any

import pytest

from searchers import (
    FINISHED,
    AutoSearch,
    BOHBSearch,
    EvolutionSearch,
    GaussianProcessSearch,
    HaltonSearch,
    Searcher,
    SobolSearch,
    TPESearch,
    choice,
    lograndint,
    quniform,
    randint,
    sample_from,
    uniform,
)
from searchers.cells import Cells
from tests.searchers.trials import bound, tell

SPACE = {"n": lograndint(1, 4), "m": choice(["a", {"k": randint(0, 2), "x": quniform(0, 1, 0.5)}])}  # 3 * (1 + 6)
KINDS = [AutoSearch, BOHBSearch, EvolutionSearch, GaussianProcessSearch, HaltonSearch, SobolSearch, TPESearch]


def tried(searcher: Searcher, most: int = 100) -> list[str]:
    seen = []
    for number in range(most):
        config = searcher.suggest(f"t{number}")
        if config is FINISHED:
            break
        assert isinstance(config, dict)
        seen.append(json.dumps(config, sort_keys=True))
        tell(searcher, number, config, None if number % 5 == 4 else config["n"])
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_every_configuration_is_run_once(kind: type[Any]) -> None:
    seen = tried(bound(kind(), SPACE))
    assert len(seen) == len(set(seen)) == 21


def test_duplicates_are_run_when_asked_for() -> None:
    assert len(tried(bound(TPESearch(skip_duplicate=False), SPACE), 60)) == 60


def test_points_that_were_given_or_evaluated_are_not_run_again() -> None:
    points = [{"n": 2, "m": "a"}, {"n": 3, "m": "a"}]
    seen = tried(bound(TPESearch(points_to_evaluate=points), SPACE))
    assert seen[0] == '{"m": "a", "n": 2}'
    assert len(seen) == len(set(seen)) == 21
    seen = tried(bound(TPESearch(points_to_evaluate=points, evaluated_rewards=[1, 2]), SPACE))
    assert len(seen) == len(set(seen)) == 19
    assert '{"m": "a", "n": 2}' not in seen


def test_options_that_are_equal_count_once() -> None:
    assert tried(bound(TPESearch(), {"n": choice([1, 1, 2])})).__len__() == 2


@pytest.mark.parametrize("space", [{"n": choice([1]), "x": uniform(0, 1)}, {"n": choice([1]), "f": sample_from(id)}])
def test_a_space_that_cannot_be_counted_does_not_end(space: dict[str, Any]) -> None:
    assert Cells(space).size is None
    assert len(tried(bound(SobolSearch(), space), 30)) == 30
