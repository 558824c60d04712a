"""Regularised evolution: one parameter changes, and the oldest dies."""

from __future__ import annotations

from typing import Any

import pytest

from searchers import EvolutionSearch, choice, randint, uniform
from tests.searchers.trials import bound, run, tell

SPACE = {"x": uniform(0, 1), "n": randint(0, 5), "m": choice(["a", "b", "c"])}


def test_a_child_differs_from_the_best_of_the_population_in_one_parameter() -> None:
    searcher = bound(EvolutionSearch(population_size=4, sample_size=4), SPACE)
    best = {"x": 0.5, "n": 2, "m": "b"}
    for number, config in enumerate([{"x": 0.1, "n": 0, "m": "a"}, best, {"x": 0.2, "n": 1, "m": "c"}, best]):
        tell(searcher, number, config, 0.0 if config is best else 1.0)
    changes: set[str] = set()
    for number in range(4, 40):
        child = searcher.suggest(f"t{number}")
        changed = [key for key in best if child[key] != best[key] and (key != "x" or abs(child["x"] - 0.5) > 1e-12)]
        assert len(changed) == 1
        changes.update(changed)
    assert changes == {"x", "n", "m"}


def test_the_oldest_dies_however_good_it_was() -> None:
    searcher = bound(
        EvolutionSearch(population_size=3, sample_size=3), {"m": choice(["a", "b", "c"]), "x": uniform(0, 1)}
    )
    tell(searcher, 0, {"m": "a", "x": 0.9}, -100.0)
    for number in range(1, 4):
        tell(searcher, number, {"m": "b", "x": 0.1}, float(number))
    assert all(searcher.suggest(f"t{number}")["x"] < 0.6 for number in range(4, 30))


def test_it_goes_downhill() -> None:
    def bowl(config: dict[str, Any]) -> float:
        return float((config["x"] - 0.3) ** 2 + (config["n"] - 3) ** 2 + (config["m"] != "b"))

    losses = run(bound(EvolutionSearch(population_size=10, sample_size=5), SPACE), bowl, 150)
    assert min(losses[50:]) < 0.01
    assert sum(losses[-20:]) < sum(losses[:20])


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"sample_size must lie between 1 and population_size \(5\), not 9; step must"):
        EvolutionSearch(population_size=5, sample_size=9, step=0)
