"""No configuration of a finite space twice: how they are counted, found near a proposal, and run out."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchers import (
    FINISHED,
    choice,
    grid_search,
    lograndint,
    loguniform,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    resolve,
    sample_from,
    uniform,
)
from searchers.cells import Cells
from searchers.seen import Seen
from searchers.stepped import Stepped

COUNTED: list[tuple[dict[str, Any], int]] = [
    ({"a": choice(["x", "y"]), "b": [randint(0, 3), {"c": quniform(-0.2, 0.2, 0.1)}], "epochs": 3}, 2 * 3 * 5),
    ({"a": qrandint(2, 11, 3), "b": lograndint(1, 5)}, 3 * 4),
    ({"a": qloguniform(0.1, 0.5, 0.1), "b": Stepped(1, 12, 5), "c": grid_search([1, 2])}, 5 * 3 * 2),
    ({"a": choice([{"kind": "svm", "C": randint(0, 4)}, {"kind": "tree"}, None, randint(7, 9)])}, 4 + 1 + 1 + 2),
    ({"a": choice([1, 1, 1.0, True, (2, 3), [2, 3]])}, 3 + 1 + 1),
    ({"a": choice([len, object, Random])}, 3),
]


@pytest.mark.parametrize(("space", "size"), COUNTED, ids=str)
def test_each_configuration_has_a_number_and_each_number_its_configuration(space: dict[str, Any], size: int) -> None:
    cells, rng = Cells(space), Random(0)
    assert cells.size == size
    listed = [cells.config(cells.positions(number), rng) for number in range(size)]
    assert [cells.number_of(config) for config in listed] == list(range(size))
    assert {cells.number_of(resolve(space, Random(seed))) for seed in range(60 * size)} == set(range(size))


@pytest.mark.parametrize(
    "space",
    [
        {"a": uniform(0, 1), "b": choice([1, 2])},
        {"a": choice([{"x": loguniform(1, 2)}, None])},
        {"a": qrandn(0, 1, 0.5)},
        {"a": choice([1, 2]), "b": sample_from(lambda c: c.a)},
        {"epochs": 3},
        {},
    ],
    ids=str,
)
def test_what_cannot_be_counted_is_never_seen_and_never_exhausted(space: dict[str, Any]) -> None:
    seen = Seen(space)
    config = resolve(space, Random(0))
    seen.add(config)
    assert seen.size is None
    assert config not in seen
    assert not seen.exhausted
    assert seen.untried(lambda attempt: config, Random(0), redraws=0) is config


def test_a_configuration_is_known_again_when_it_comes_back_as_data() -> None:
    seen = Seen({"shape": choice([(1, 2), (3, 4)]), "n": randint(0, 9), "function": print, "epochs": 3})
    seen.add({"shape": [1, 2], "n": 4.0, "function": "what came back of it", "epochs": 3})
    assert {"shape": (1, 2), "n": 4, "function": print, "epochs": 3} in seen
    assert {"shape": (1, 2), "n": 4, "function": print, "epochs": 5} not in seen
    assert {"shape": (1, 2), "n": 5, "function": print, "epochs": 3} not in seen


@pytest.mark.parametrize("outside", [{}, {"a": 9}, {"a": "x"}, {"a": None}, {"b": 1}])
def test_what_lies_outside_of_the_space_is_overlooked(outside: dict[str, Any]) -> None:
    seen = Seen({"a": randint(0, 3)})
    seen.add(outside)
    assert outside not in seen
    assert not seen.exhausted


@given(st.integers(0, 10**6), st.integers(0, 5))
def test_every_configuration_is_found_once_and_then_there_is_none(seed: int, redraws: int) -> None:
    space = {"a": choice([{"k": "x", "n": randint(0, 3)}, {"k": "y", "m": choice(["u", "v"])}]), "b": randint(0, 2)}
    seen, rng, found = Seen(space), Random(seed), []
    while (config := seen.untried(lambda attempt: resolve(space, rng), rng, redraws=redraws)) is not FINISHED:
        assert isinstance(config, dict)
        assert config not in found
        found.append(config)
        seen.add(config)
    assert len(found) == seen.size == 10
    assert seen.exhausted


def test_options_that_overlap_are_counted_once_in_the_end() -> None:
    space = {"a": choice([randint(0, 3), randint(1, 5)])}
    seen, found = Seen(space), []
    while (config := seen.untried(lambda attempt: {"a": 0}, Random(0), redraws=0)) is not FINISHED:
        assert isinstance(config, dict)
        found.append(config["a"])
        seen.add(config)
    assert sorted(found) == [0, 1, 2, 3, 4]


def test_what_is_not_allowed_is_never_found_and_does_not_keep_the_search_open() -> None:
    seen = Seen({"a": randint(0, 9), "b": randint(0, 9)}, lambda config: bool(config["a"] < config["b"]))
    found = []
    while (config := seen.untried(lambda attempt: {"a": 0, "b": 1}, Random(0), redraws=0)) is not FINISHED:
        assert isinstance(config, dict)
        found.append((config["a"], config["b"]))
        seen.add(config)
    assert sorted(found) == [(a, b) for a in range(9) for b in range(a + 1, 9)]


def test_what_takes_the_place_of_a_proposal_is_near_it() -> None:
    space = {name: randint(0, 10) for name in "abcd"}
    seen, proposed = Seen(space), dict.fromkeys("abcd", 5)
    seen.add(proposed)
    for seed in range(20):
        config = seen.untried(lambda attempt: proposed, Random(seed), redraws=3)
        assert isinstance(config, dict)
        assert sum(abs(config[name] - 5) for name in "abcd") == 1


def test_a_proposal_that_was_not_tried_is_taken_as_it_is_and_the_first_of_them() -> None:
    seen = Seen({"a": randint(0, 10)})
    seen.add({"a": 0})
    seen.add({"a": 1})
    asked: list[int] = []

    def propose(attempt: int) -> dict[str, Any]:
        asked.append(attempt)
        return {"a": attempt}

    assert seen.untried(propose, Random(0), redraws=5) == {"a": 2}
    assert asked == [0, 1, 2]
    assert seen.new(propose, 1) is None
