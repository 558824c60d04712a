"""Domains: what they draw, cast and contain, and what they refuse."""

import math
import pickle
from collections import Counter
from dataclasses import fields
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchers import (
    DISTRIBUTIONS,
    Domain,
    choice,
    finrange,
    grid_search,
    logfinrange,
    lognormal,
    lograndint,
    loguniform,
    normal,
    ordinal,
    qlognormal,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    reverseloguniform,
    sample_from,
    uniform,
)
from searchers.stepped import Stepped
from tests.searchers.strategies import domains


@given(domain=domains(), seed=st.integers())
def test_what_is_drawn_is_contained_and_cast_to_itself(domain: Domain, seed: int) -> None:
    value = domain.sample(Random(seed))
    assert domain.contains(value)
    assert domain.cast(value) == value


@given(domain=domains(), value=st.floats(-1e9, 1e9) | st.integers(-(10**9), 10**9))
def test_casting_twice_is_casting_once(domain: Domain, value: float) -> None:
    try:
        once = domain.cast(value)
    except ValueError:
        return
    assert domain.cast(once) == once
    assert type(domain.cast(once)) is type(once)


@given(domain=domains())
def test_a_domain_is_rebuilt_from_its_fields(domain: Domain) -> None:
    values = {field.name: getattr(domain, field.name) for field in fields(domain)}  # type: ignore[arg-type]
    assert type(domain)(**values) == domain
    assert pickle.loads(pickle.dumps(domain)) == domain


@given(domain=domains())
def test_a_domain_shows_the_call_that_makes_it(domain: Domain) -> None:
    assert eval(repr(domain), {**DISTRIBUTIONS, "nan": math.nan, "Stepped": Stepped}) == domain


@given(domain=domains())
def test_a_small_domain_has_as_many_values_as_it_says(domain: Domain) -> None:
    if domain.size is None or domain.size > 30:
        return
    rng = Random(1)
    assert len({domain.sample(rng) for _ in range(100 * domain.size)}) <= domain.size


def test_quantised_values_are_multiples_as_a_person_writes_them() -> None:
    domain, rng = quniform(0, 0.5, 0.1), Random(0)
    drawn = Counter(domain.sample(rng) for _ in range(6000))
    assert sorted(drawn) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert min(drawn.values()) > 800
    assert domain.size == 6


def test_quantised_logarithmic_values_are_multiples_too() -> None:
    domain, rng = qloguniform(1e-4, 1e-1, 5e-5), Random(0)
    values = [domain.sample(rng) for _ in range(2000)]
    assert all(math.isclose(value / 5e-5, round(value / 5e-5)) for value in values)
    assert min(values) == 1e-4


@pytest.mark.parametrize("domain", [loguniform(1e-4, 1), lograndint(1, 10_000)])
def test_on_a_logarithmic_scale_each_order_of_magnitude_is_as_likely(domain: Domain) -> None:
    rng = Random(3)
    low = 1e-4 if domain.contains(0.5) else 1
    orders = Counter(int(math.log10(domain.sample(rng) / low)) for _ in range(8000))
    assert sorted(orders) == [0, 1, 2, 3]
    assert all(1700 < count < 2300 for count in orders.values())


def test_whole_numbers_exclude_the_upper_end_unless_quantised() -> None:
    rng = Random(0)
    assert {randint(1, 4).sample(rng) for _ in range(100)} == {1, 2, 3}
    assert {lograndint(1, 4).sample(rng) for _ in range(100)} == {1, 2, 3}
    assert {qrandint(2, 11, 3).sample(rng) for _ in range(100)} == {3, 6, 9}
    assert {qrandint(0, 6, 3).sample(rng) for _ in range(100)} == {0, 3, 6}
    assert {qlograndint(3, 9, 3).sample(rng) for _ in range(100)} == {3, 6, 9}
    assert qrandint(1, 4) == qrandint(1, 4, q=1) == randint(1, 4)


def test_normal_values_have_their_mean_and_spread() -> None:
    rng = Random(0)
    values = [randn(5, 2).sample(rng) for _ in range(4000)]
    assert np.mean(values) == pytest.approx(5, abs=0.1)
    assert np.std(values) == pytest.approx(2, abs=0.1)
    assert all(value % 0.5 == 0 for value in (qrandn(0, 1, 0.5).sample(rng) for _ in range(50)))


def test_lognormal_values_are_those_whose_logarithm_is_normal() -> None:
    rng = Random(0)
    logs = [math.log(lognormal(2, 0.5).sample(rng)) for _ in range(4000)]
    assert np.mean(logs) == pytest.approx(2, abs=0.05)
    assert np.std(logs) == pytest.approx(0.5, abs=0.05)
    assert all(value % 0.25 == 0 for value in (qlognormal(0, 1, 0.25).sample(rng) for _ in range(50)))
    assert qlognormal(0, 1, 0.25).contains(0.0)
    assert not lognormal(0, 1).contains(0.0)
    assert normal(1, 2) == randn(1, 2)


def test_on_the_reverse_logarithmic_scale_each_further_nine_is_as_likely() -> None:
    rng = Random(3)
    nines = Counter(int(-math.log10(1 - reverseloguniform(0, 0.9999).sample(rng))) for _ in range(8000))
    assert sorted(nines) == [0, 1, 2, 3]
    assert all(1800 < count < 2200 for count in nines.values())


def test_a_finite_range_has_the_numbers_that_a_person_would_write() -> None:
    assert finrange(0.1, 0.5, 5).values == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert logfinrange(1e-4, 1e-1, 4).values == (1e-4, 1e-3, 1e-2, 1e-1)
    assert logfinrange(8, 512, 7, cast_int=True).values == (8, 16, 32, 64, 128, 256, 512)
    assert finrange(0, 10, 4, cast_int=True).values == (0, 3, 7, 10)
    assert {type(value) for value in finrange(0, 10, 4, cast_int=True).values} == {int}


def test_each_value_of_a_ladder_is_as_likely() -> None:
    rng = Random(0)
    for domain, values in ((logfinrange(1, 8, 4), [1, 2, 4, 8]), (ordinal(["low", "mid", "high", "top"]), None)):
        drawn = Counter(domain.sample(rng) for _ in range(4000))
        assert all(900 < count < 1100 for count in drawn.values())
        assert sorted(drawn) == (values or sorted(["low", "mid", "high", "top"]))


def test_a_finite_range_casts_to_the_nearest_of_its_numbers() -> None:
    domain = logfinrange(1, 1000, 4)
    assert [domain.cast(value) for value in (0, 4, 60, 600, 5000)] == [1, 1, 100, 1000, 1000]
    assert domain.contains(10)
    assert not domain.contains(11)


def test_a_choice_gives_the_very_object() -> None:
    options = [object(), [1, 2], {"a": 1}, np.arange(3), max]
    rng = Random(0)
    drawn = [choice(options).sample(rng) for _ in range(100)]
    assert {id(value) for value in drawn} == {id(option) for option in options}
    assert choice(options).cast([1, 2]) is options[1]


def test_a_choice_tells_true_from_one() -> None:
    assert [choice([1, True, 1.0]).index_of(value) for value in (1, True, 1.0)] == [0, 1, 2]
    assert not choice([1, 2]).contains(True)


def test_a_choice_knows_an_option_again_that_went_through_json() -> None:
    options = choice([(64, 64), (32, (1, 2))])
    assert options.cast([32, [1, 2]]) is options.options[1]
    with pytest.raises(ValueError, match="none of the options"):
        options.cast([1])


def test_a_choice_of_domains_contains_what_they_contain() -> None:
    nested = choice([uniform(0, 1), {"kind": "x", "n": [randint(5, 9)]}])
    assert nested.contains(0.5)
    assert nested.contains({"kind": "x", "n": [7]})
    assert not nested.contains({"kind": "x", "n": [9]})
    assert not nested.contains({"kind": "x"})
    assert nested.cast({"kind": "x", "n": [7.0]}) == {"kind": "x", "n": [7]}
    assert not nested.is_finite
    assert choice("a b c".split()).size == 3


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (uniform(0, 1), 1.5),
        (uniform(0, 1), "0.5"),
        (uniform(0, 1), True),
        (uniform(0, 1), math.nan),
        (quniform(0, 1, 0.5), 0.3),
        (quniform(0, 1, 0.5), 1.5),
        (randint(0, 5), 5),
        (randint(0, 5), 2.5),
        (qrandint(0, 6, 3), 4),
        (reverseloguniform(0, 0.9), 0.95),
        (finrange(0, 1, 11), 0.15),
        (ordinal(["a", "b"]), "c"),
        (randn(), math.inf),
        (choice([1, 2]), "1"),
    ],
)
def test_a_domain_does_not_contain_what_it_cannot_draw(domain: Domain, value: Any) -> None:
    assert not domain.contains(value)


def test_numbers_of_numpy_are_numbers() -> None:
    low, high, five = np.float32(0.0), np.int64(1), np.int32(5)
    domain = uniform(low, high)  # type: ignore[arg-type]
    assert domain == uniform(0, 1)
    assert domain.contains(np.float32(0.5))
    assert randint(high, five) == randint(1, 5)  # type: ignore[arg-type]
    assert randint(1, 5).contains(np.int64(3))
    assert type(randint(1, 5).cast(np.int64(3))) is int


MISTAKES = {
    "uniform(1.0, 0.0): lower must be below upper": lambda: uniform(1, 0),
    "uniform(nan, 1): lower must be a finite number": lambda: uniform(math.nan, 1),
    "YAML reads 1e-5 as text, write 1.0e-5": lambda: loguniform("1e-5", 1),  # type: ignore[arg-type]
    "loguniform(0.0, 1.0): a logarithmic scale needs lower above 0": lambda: loguniform(0, 1),
    "quniform(0.0, 1.0, 0.3): 1.0 is not a multiple of q=0.3; the nearest one is 0.9": lambda: quniform(0, 1, 0.3),
    "quniform(0.0, 1.0, -0.1): q must be above 0": lambda: quniform(0, 1, -0.1),
    "randint(5, 5): lower must be below upper (upper itself is never drawn)": lambda: randint(5, 5),
    "randint(1, 5): upper must be a whole number, not '5'": lambda: randint(1, "5"),  # type: ignore[arg-type]
    "lower must be a whole number, not 0.5": lambda: randint(0.5, 2),  # type: ignore[arg-type]
    "lograndint(0, 4): a logarithmic scale": lambda: lograndint(0, 4),
    "qrandint(1, 2, 5): no multiple of 5 lies in 1 to 2": lambda: qrandint(1, 2, 5),
    "q must be 1 or more": lambda: qrandint(1, 9, 0),
    "randn(0.0, 0.0): sd must be above 0": lambda: randn(0, 0),
    "uniform(-1e+308, 1e+308): upper - lower is no float": lambda: uniform(-1e308, 1e308),
    "reverseloguniform(0.9, 1.5): lower and upper must lie in [0, 1)": lambda: reverseloguniform(0.9, 1.5),
    "lognormal(1000.0, 1.0): exp(mean + 9 sd) is no float": lambda: lognormal(1000, 1),
    "finrange(0.0, 1.0, 1): size must be 2 or more, not 1": lambda: finrange(0, 1, 1),
    "finrange(0.0, 3.0, 9, cast_int=True): two of its 9 numbers are one": lambda: finrange(0, 3, 9, cast_int=True),
    "logfinrange(0.0, 1.0, 3): a logarithmic scale": lambda: logfinrange(0, 1, 3),
    "finrange(0.0, 1.0, 2.5): size must be a whole number, not 2.5": lambda: finrange(0, 1, 2.5),  # type: ignore[arg-type]
    "finrange(0, 1, 3): upper must be a finite number, not '1'": lambda: finrange(0, "1", 3),  # type: ignore[arg-type]
    "ordinal([]): there is nothing to choose from": lambda: ordinal([]),
    "ordinal('abc'): give a list": lambda: ordinal("abc"),
    "a domain has no place in an order of categories": lambda: ordinal([uniform(0, 1)]),
    "choice([]): there is nothing to choose from": lambda: choice([]),
    "choice('adam'): give a list": lambda: choice("adam"),
    "choice(3): give a list": lambda: choice(3),  # type: ignore[arg-type]
    "grid_search([]): there is nothing to try": lambda: grid_search([]),
    "grid_search(3): give a list": lambda: grid_search(3),  # type: ignore[arg-type]
    "sample_from(3): give a function": lambda: sample_from(3),  # type: ignore[arg-type]
    "sample_from(<lambda>): the function must take nothing or the configuration, not 2 arguments": lambda: sample_from(
        lambda a, b: a
    ),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_is_told_where_it_is_made(message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the message is compared whole below
        MISTAKES[message]()
    assert message in str(raised.value)


def test_configuration_files_know_every_constructor() -> None:
    assert DISTRIBUTIONS["loguniform"](1e-5, 0.1) == loguniform(1e-05, 0.1)
    assert DISTRIBUTIONS["choice"](categories=["a"]) == choice(["a"])
    assert DISTRIBUTIONS["logfinrange"](1, 100, 3) == logfinrange(1, 100, 3)
    assert len(DISTRIBUTIONS) == 19


def test_drawing_depends_on_nothing_but_the_generator() -> None:
    assert all(a != b for a, b in pairwise(uniform(0, 1).sample(Random(seed)) for seed in range(5)))
    assert uniform(0, 1).sample(Random(4)) == uniform(0, 1).sample(Random(4))
