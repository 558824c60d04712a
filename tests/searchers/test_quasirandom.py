"""Sobol and Halton sequences over a space."""

from __future__ import annotations

from collections import Counter

import numpy
import pytest
from scipy.stats import qmc

from searchers import HaltonSearch, SearchContext, Searcher, SobolSearch, choice, loguniform, uniform
from searchers.quasirandom import halton, sobol

SPACE = {"lr": loguniform(1e-4, 1), "kind": choice(["a", "b"]), "x": uniform(0, 1)}


def test_a_point_is_that_of_the_sequence() -> None:
    for number in (0, 1, 5, 63):
        assert sobol(3, number, 7) == pytest.approx(qmc.Sobol(3, rng=7).random(64)[number])
        assert halton(3, number, 7) == pytest.approx(qmc.Halton(3, rng=7).random(64)[number])


def test_points_far_into_a_sequence_cost_no_more() -> None:
    assert numpy.isfinite(halton(10, 10**6, 0)).all()
    assert numpy.isfinite(sobol(10, 10**6, 0)).all()


@pytest.mark.parametrize("kind", [SobolSearch, HaltonSearch])
def test_the_points_are_balanced_and_need_no_metric(kind: type[Searcher]) -> None:
    searcher = kind()
    searcher.bind(SearchContext(SPACE, seed=3, num_samples=64))
    configs = [searcher.suggest(f"t{number}") for number in range(64)]
    assert Counter(config["kind"] for config in configs if isinstance(config, dict)) == {"a": 32, "b": 32}
    decades = Counter(int(numpy.floor(numpy.log10(config["lr"]))) for config in configs if isinstance(config, dict))
    assert all(abs(count - 16) <= 1 for count in decades.values())


def test_given_points_take_no_place_of_the_sequence() -> None:
    plain, given = SobolSearch(), SobolSearch(points_to_evaluate=[{"x": 0.5}])
    for searcher in (plain, given):
        searcher.bind(SearchContext(SPACE, seed=3, num_samples=9))
    assert given.suggest("t1") == plain.suggest("t0")
