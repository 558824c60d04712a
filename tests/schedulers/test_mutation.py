"""Mutated values stay what they may be."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedulers.mutation import changes, completed, mistakes_of, mutated
from searchers.space import (
    choice,
    lograndint,
    loguniform,
    qloguniform,
    qrandint,
    quniform,
    randint,
    randn,
    sample_from,
    uniform,
)

DOMAINS = [
    uniform(0.1, 1.0),
    uniform(-1.0, 1.0),
    loguniform(1e-4, 1e-1),
    quniform(0.0, 1.0, 0.1),
    qloguniform(0.25, 4.0, 0.25),
    randint(1, 10),
    lograndint(1, 1000),
    qrandint(4, 64, 4),
    qrandint(1, 10, 3),
    choice([1, 2, 4]),
    choice(["relu", "tanh"]),
    randn(0, 1),
]


@pytest.mark.parametrize("domain", DOMAINS, ids=repr)
@given(seed=st.integers(0, 10_000), probability=st.sampled_from([0.0, 0.5, 1.0]))
def test_a_mutated_value_stays_in_its_domain(domain: Any, seed: int, probability: float) -> None:
    rng = Random(seed)
    config = {"x": domain.sample(rng)}
    for _ in range(5):
        config = mutated(config, {"x": domain}, probability, (1.2, 0.8), rng)
        assert domain.contains(config["x"])
        assert type(config["x"]) is type(domain.sample(rng))


def mutate(value: Any, kind: Any, *, factor: float = 1.2, seed: int = 0) -> Any:
    return mutated({"x": value}, {"x": kind}, 0.0, (factor,), Random(seed))["x"]


def test_numbers_are_multiplied_and_brought_back() -> None:
    assert mutate(0.5, uniform(0, 1)) == pytest.approx(0.6)
    assert mutate(0.9, uniform(0, 1)) == 1.0
    assert mutate(0.01, loguniform(1e-4, 1e-1)) == pytest.approx(0.012)
    assert mutate(10, randint(1, 100)) == 12
    assert mutate(95, randint(1, 100)) == 99
    assert mutate(32, qrandint(8, 64, 8)) == 40
    assert mutate(0.5, lambda: 1.0) == pytest.approx(0.6)


def test_whole_numbers_move_by_one_step_at_least() -> None:
    assert mutate(1, randint(1, 100)) == 2
    assert mutate(2, randint(1, 100), factor=0.8) == 1
    assert mutate(8, qrandint(8, 64, 8)) == 16


def test_what_is_chosen_is_never_multiplied_and_a_lists_value_moves_to_a_neighbour() -> None:
    assert mutate(2, choice([1, 2, 4])) == 2
    assert {mutate(16, [8, 16, 32], seed=seed) for seed in range(20)} == {8, 32}
    assert {mutate(32, [8, 16, 32], seed=seed) for seed in range(20)} == {16, 32}
    assert {mutate(5, [8, 16], seed=seed) for seed in range(20)} == {8, 16}
    assert mutate(True, lambda: False) is True


def test_nested_keys_are_mutated_and_missing_ones_drawn() -> None:
    mutations = {"optimizer": {"lr": uniform(0, 1), "beta": uniform(0, 1)}, "width": [8]}
    config = mutated({"optimizer": {"lr": 0.5}, "other": 1}, mutations, 0.0, (1.2,), Random(0))
    assert config["optimizer"]["lr"] == pytest.approx(0.6)
    assert 0 <= config["optimizer"]["beta"] <= 1
    assert config["width"] == 8
    assert config["other"] == 1


def test_a_first_configuration_is_completed_and_otherwise_kept() -> None:
    mutations = {"lr": uniform(0, 1), "inner": {"x": [3]}, "width": lambda: 7}
    found = completed({"lr": 5, "inner": {"y": 1}}, mutations, Random(0))
    assert found == {"lr": 5, "inner": {"y": 1, "x": 3}, "width": 7}


def test_what_changed_is_said() -> None:
    mutations = {"lr": uniform(0, 1), "inner": {"x": [3]}, "same": [1]}
    before, after = {"lr": 0.1, "inner": {"x": 1}, "same": 1}, {"lr": 0.12, "inner": {"x": 3}, "same": 1}
    assert changes(before, after, mutations) == ["lr 0.1 -> 0.12", "x 1 -> 3"]


def test_what_depends_on_the_configuration_cannot_be_mutated() -> None:
    assert "sample_from" in next(mistakes_of({"x": sample_from(lambda config: 1)}))
