"""Optuna's and scipy's distributions in a space are domains there."""

from __future__ import annotations

import subprocess
import sys
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from searchers import (
    Encoding,
    OptunaSearch,
    Ordered,
    RandomSearch,
    SearchContext,
    choice,
    lognormal,
    lograndint,
    loguniform,
    randint,
    randn,
    resolve,
    sample_from,
    uniform,
    validate_space,
)
from searchers.foreign import adopt
from searchers.scipy import ScipyDistribution
from searchers.stepped import Stepped
from tests.naming import plain


class Pair(NamedTuple):
    one: Any
    other: Any


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (FloatDistribution(0, 1), uniform(0, 1)),
        (FloatDistribution(1e-5, 1, log=True), loguniform(1e-5, 1)),
        (FloatDistribution(0, 1, step=0.25), Stepped(0.0, 1.0, 0.25)),
        (FloatDistribution(2, 2), 2.0),
        (IntDistribution(1, 9), randint(1, 10)),
        (IntDistribution(1, 9, log=True), lograndint(1, 10)),
        (IntDistribution(1, 10, step=3), Stepped(1, 10, 3)),
        (CategoricalDistribution(["a", None, 3]), choice(["a", None, 3])),
        (scipy.stats.uniform(1, 2), uniform(1, 3)),
        (scipy.stats.loguniform(1e-3, 1), loguniform(1e-3, 1)),
        (scipy.stats.loguniform(1e-3, 1, scale=10), loguniform(1e-2, 10)),
        (scipy.stats.norm(loc=1, scale=2), randn(1, 2)),
        (scipy.stats.lognorm(0.5, scale=1), lognormal(0, 0.5)),
        (scipy.stats.randint(1, 5), randint(1, 5)),
        (scipy.stats.beta(2, b=5), ScipyDistribution("beta", (("a", 2), ("b", 5)))),
    ],
    ids=plain,
)
def test_a_distribution_is_the_domain_of_the_same_values(theirs: Any, ours: Any) -> None:
    assert adopt({"x": [theirs]}) == {"x": [ours]}
    assert adopt(choice([1, {"y": theirs}])) == choice([1, {"y": ours}])


def test_what_holds_no_foreign_distribution_is_left_alone() -> None:
    space = {"x": uniform(0, 1), "list": [1, choice([{"a": 2}])], "pair": Pair(1, object())}
    assert adopt(space) is space
    assert adopt({"pair": Pair(1, IntDistribution(1, 3))})["pair"] == Pair(1, randint(1, 4))


FROZEN = [
    scipy.stats.beta(2, 5),
    scipy.stats.gamma(a=2, scale=3),
    scipy.stats.expon(scale=0.1),
    scipy.stats.truncnorm(-1, 2, loc=3),
    scipy.stats.poisson(4),
    scipy.stats.binom(9, 0.3, loc=2),
]


@given(index=st.integers(0, len(FROZEN) - 1), unit=st.floats(0, 1))
def test_a_frozen_distribution_has_its_values_in_order(index: int, unit: float) -> None:
    domain = adopt(FROZEN[index])
    assert isinstance(domain, Ordered)
    value = domain.from_unit(unit)
    assert domain.contains(value)
    assert domain.cast(value) == value
    assert domain.from_unit(domain.to_unit(value)) == value


@pytest.mark.parametrize("theirs", FROZEN, ids=lambda theirs: str(theirs.dist.name))
def test_a_frozen_distribution_is_drawn_from_as_scipy_does(theirs: Any) -> None:
    domain, rng = adopt(theirs), Random(0)
    values = [domain.sample(rng) for _ in range(400)]
    assert np.mean(values) == pytest.approx(theirs.mean(), abs=5 * theirs.std() / 20)
    assert np.std(values) == pytest.approx(theirs.std(), rel=0.3)
    assert values == [domain.sample(other) for other in [Random(0)] for _ in range(400)]
    assert {type(value) for value in values} == {int if theirs.dist.name in ("poisson", "binom") else float}


def test_what_stands_for_no_domain_is_named() -> None:
    space = {
        "unfrozen": scipy.stats.norm,
        "vector": scipy.stats.multivariate_normal([0, 0]),
        "many": scipy.stats.norm([0, 1], 1),
        "own": scipy.stats.rv_discrete(values=([1, 2], [0.5, 0.5]))(),
        "deep": [choice([1, {"x": scipy.stats.Normal()}])],
    }
    mistakes = validate_space(adopt(space))
    assert [mistake.partition(":")[0] for mistake in mistakes] == ["unfrozen", "vector", "many", "own", "deep/0[1]/x"]
    assert mistakes[0].endswith("norm_gen is no frozen distribution; freeze it: scipy.stats.norm(...)")
    assert mistakes[2].endswith("scipy.stats.norm: loc must be one finite number, not [0, 1]")


SPACE = {"x": FloatDistribution(0, 1), "m": choice([{"n": scipy.stats.poisson(3)}, IntDistribution(1, 3)])}


@pytest.mark.parametrize("searcher", [RandomSearch, OptunaSearch])
def test_searchers_search_a_space_of_them(searcher: Any) -> None:
    bound = searcher(points_to_evaluate=[{"x": 0.5, "m": {"n": 2}}])
    bound.bind(SearchContext(SPACE, ("loss",), ("min",), 0, 30))
    configs = [bound.suggest(f"t{number}") for number in range(30)]
    assert configs[0] == {"x": 0.5, "m": {"n": 2}}
    assert all(0 <= config["x"] <= 1 for config in configs)
    assert {type(config["m"]) for config in configs} == {dict, int}
    encoding = Encoding(adopt(SPACE))
    assert all(encoding.decode(encoding.encode(config)) == config for config in configs)


def test_a_distribution_may_come_from_sample_from() -> None:
    config = resolve({"n": IntDistribution(4, 6), "x": sample_from(lambda c: FloatDistribution(0, c.n))}, Random(1))
    assert 0 <= config["x"] <= config["n"] <= 6


def test_neither_package_is_imported_for_a_space_without_them() -> None:
    program = (
        "from searchers import RandomSearch, SearchContext, choice, uniform; import sys\n"
        "s = RandomSearch(); s.bind(SearchContext({'x': uniform(0, 1), 'y': choice([1, object()])})); s.suggest('t0')\n"
        "assert not {'scipy', 'optuna', 'numpy'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
