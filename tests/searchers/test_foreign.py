"""Optuna's and scipy's distributions in a space are domains there."""

from __future__ import annotations

import subprocess
import sys
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial

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
from searchers.optuna_space import distribution_of, parameters_of_value, suggest
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


@st.composite
def optunas(draw: st.DrawFn) -> Any:
    """A distribution of Optuna's, of more than one value."""
    low, count = draw(st.integers(1, 1000)), draw(st.integers(2, 1000))
    scale, step = draw(st.sampled_from([1e-6, 0.1, 1.0, 1 / 3, 1e5])), draw(st.integers(1, 7))
    return draw(
        st.sampled_from(
            [
                FloatDistribution(-low * scale, count * scale),
                FloatDistribution(low * scale, (low + count) * scale, log=True),
                FloatDistribution(-low * scale, -low * scale + count * scale, step=scale),
                IntDistribution(-low, count),
                IntDistribution(low, low + count, log=True),
                IntDistribution(-low, -low + count * step, step=step),
                CategoricalDistribution([None, True, "a", count, scale]),
            ]
        )
    )


last_step_may_fall_short = pytest.mark.filterwarnings("ignore:The distribution is specified:UserWarning")
"""By the last digits of a float."""


@last_step_may_fall_short
@given(theirs=optunas(), seed=st.integers(0, 2**31))
def test_a_value_of_either_is_one_of_the_other_and_comes_back(theirs: Any, seed: int) -> None:
    domain = adopt({"x": theirs})["x"]
    drawn = RandomSampler(seed).sample_independent(None, None, "x", theirs)  # type: ignore[arg-type]
    for value in (drawn, domain.sample(Random(seed))):
        assert domain.contains(value)
        assert domain.cast(value) == value
        assert type(domain.cast(value)) is type(value)
        assert theirs._contains(theirs.to_internal_repr(value))
        (told,) = parameters_of_value("x", domain, value)
        distribution = distribution_of(domain)
        assert distribution is not None
        again = suggest(FixedTrial({"x": told.value}), "x", domain, distribution)  # type: ignore[arg-type]
        assert (domain.options[again] if isinstance(theirs, CategoricalDistribution) else again) == value


def test_what_steps_miss_by_a_floats_digits_changes_nothing() -> None:
    assert Stepped(-1e-06, 2e-06, 1e-06).at(3) == 2e-06 < -1e-06 + 3 * 1e-06
    assert Stepped(-7.999999999999999e-05, -7.9e-05, 1e-06).size == 2


@last_step_may_fall_short
@given(theirs=optunas())
def test_an_optuna_distribution_without_steps_or_categories_comes_back_as_itself(theirs: Any) -> None:
    if getattr(theirs, "step", 0) == {FloatDistribution: None, IntDistribution: 1}.get(type(theirs)):
        assert distribution_of(adopt({"x": theirs})["x"]) == theirs


FROZEN = [
    scipy.stats.beta(2, 5),
    scipy.stats.gamma(a=2, scale=3),
    scipy.stats.expon(scale=0.1),
    scipy.stats.truncnorm(-1, 2, loc=3),
    scipy.stats.poisson(4),
    scipy.stats.binom(9, 0.3, loc=2),
    scipy.stats.halfnorm(scale=2),
]


@example(index=len(FROZEN) - 1, unit=1.0)  # where scipy's quantile is infinite
@given(index=st.integers(0, len(FROZEN) - 1), unit=st.floats(0, 1))
def test_a_frozen_distribution_has_its_values_in_order(index: int, unit: float) -> None:
    domain = adopt(FROZEN[index])
    assert isinstance(domain, Ordered)
    value = domain.from_unit(unit)
    assert domain.contains(value)
    assert domain.cast(value) == value
    assert domain.from_unit(domain.to_unit(value)) == value


@st.composite
def scipys(draw: st.DrawFn) -> Any:
    """A frozen distribution of scipy's."""
    a, b = draw(st.floats(0.1, 10)), draw(st.floats(0.1, 10))
    loc, count = draw(st.integers(-100, 100)), draw(st.integers(1, 100))
    return draw(
        st.sampled_from(
            [
                scipy.stats.uniform(loc, a),
                scipy.stats.loguniform(a, a + b),
                scipy.stats.norm(loc, a),
                scipy.stats.lognorm(a / 5, scale=b),
                scipy.stats.randint(loc, loc + count),
                scipy.stats.beta(a, b, loc, b),
                scipy.stats.gamma(a, loc, b),
                scipy.stats.halfnorm(loc, a),
                scipy.stats.triang(a / 10, loc, b),
                scipy.stats.geom(a / 10.1),
                scipy.stats.binom(count, a / 10, loc),
            ]
        )
    )


@given(theirs=scipys(), seed=st.integers(0, 2**31))
def test_a_value_drawn_by_scipy_lies_in_the_domain_at_its_quantile(theirs: Any, seed: int) -> None:
    domain, value = adopt(theirs), np.asarray(theirs.rvs(random_state=seed)).item()
    assert domain.contains(value)
    assert domain.cast(value) == value
    below = theirs.cdf(value - 1) if isinstance(value, int) else theirs.cdf(value)
    assert below - 1e-9 <= domain.to_unit(value) <= theirs.cdf(value) + 1e-9


@given(theirs=scipys(), unit=st.floats(0, 1) | st.sampled_from([0.0, 1.0]))
def test_the_value_at_a_place_of_a_frozen_distribution_is_one_of_it_and_comes_back(theirs: Any, unit: float) -> None:
    domain = adopt(theirs)
    value = domain.from_unit(unit)
    assert domain.contains(value)
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
