"""Spaces as vectors: every value has a place in [0, 1], and every place a value."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from searchers import (
    Encoding,
    Ordered,
    choice,
    finrange,
    grid_search,
    logfinrange,
    lognormal,
    loguniform,
    ordinal,
    randint,
    randn,
    resolve,
    sample_from,
    uniform,
)
from searchers.stepped import Stepped
from tests.searchers.strategies import ordered_domains

units = st.floats(0, 1)


@settings(max_examples=250)
@given(domain=ordered_domains(), unit=units)
def test_the_value_at_a_place_comes_back_from_its_own_place(domain: Ordered, unit: float) -> None:
    value = domain.from_unit(unit)
    assert domain.contains(value)
    place = domain.to_unit(value)
    assert 0 <= place <= 1
    assert domain.from_unit(place) == value
    assert type(domain.from_unit(place)) is type(value)
    assert domain.to_unit(domain.from_unit(place)) == place


@settings(max_examples=100)
@given(domain=ordered_domains(), seed=st.integers())
def test_what_is_drawn_comes_back(domain: Ordered, seed: int) -> None:
    value = domain.sample(Random(seed))
    assert domain.from_unit(domain.to_unit(value)) == value


@given(domain=ordered_domains(), one=units, other=units)
def test_a_larger_place_has_no_smaller_value(domain: Ordered, one: float, other: float) -> None:
    first, second = domain.from_unit(min(one, other)), domain.from_unit(max(one, other))
    assert domain.to_unit(first) <= domain.to_unit(second)


@given(low=st.floats(-1e9, 1e9), width=st.floats(1e-9, 1e9), part=units)
def test_a_number_written_by_hand_comes_back_to_the_last_digits(low: float, width: float, part: float) -> None:
    assume(low < low + width)
    domain = uniform(low, low + width)
    value = min(low + part * width / 3, low + width)
    assert abs(domain.from_unit(domain.to_unit(value)) - value) <= 2e-16 * (domain.high - domain.low)


@pytest.mark.parametrize(
    ("domain", "ends", "half"),
    [
        (uniform(-2, 4), (-2, 4), 1),
        (loguniform(1e-4, 1), (1e-4, 1), 0.01),
        (randint(0, 5), (0, 4), 2),
        (finrange(0, 1, 11), (0, 1), 0.5),
        (logfinrange(1, 100, 3), (1, 100), 10),
        (ordinal(["s", "m", "l"]), ("s", "l"), "m"),
        (Stepped(1, 9, 4), (1, 9), 5),
        (randn(3, 2), (3 - 2 * 8.2095, 3 + 2 * 8.2095), 3),
        (lognormal(0, 1), (math.exp(-8.2095), math.exp(8.2095)), 1),
    ],
    ids=repr,
)
def test_the_ends_and_the_middle_of_a_domain(domain: Ordered, ends: tuple[Any, Any], half: Any) -> None:
    found = domain.from_unit(0), domain.from_unit(1), domain.from_unit(0.5)
    for one, other in zip(found, (*ends, half), strict=True):
        assert one == (other if isinstance(other, str) else pytest.approx(other, rel=1e-4))


def test_few_values_have_their_places_in_the_middles_of_cells() -> None:
    assert [randint(3, 7).to_unit(value) for value in (3, 4, 5, 6)] == [0.125, 0.375, 0.625, 0.875]
    assert [ordinal("abcd".split("b")).to_unit(value) for value in ("a", "cd")] == [0.25, 0.75]


NESTED = {
    "epochs": 3,
    "lr": loguniform(1e-5, 1e-1),
    "layers": [{"width": randint(1, 9)}, choice([None, {"p": uniform(0, 1)}])],
    "model": choice(
        [
            {"kind": "tree", "n": randint(1, 5)},
            {"kind": "net", "n": uniform(0, 1), "inner": choice([{"a": choice([1, {"b": ordinal([1, 2])}])}, "plain"])},
        ]
    ),
    "axis": grid_search(["x", "y"]),
    "twice": sample_from(lambda c: 2 * c.layers[0].width),
}


@given(seed=st.integers(0, 10**6), one_hot=st.booleans())
def test_a_configuration_comes_back_from_its_vector(seed: int, one_hot: bool) -> None:
    encoding = Encoding(NESTED, one_hot=one_hot)
    config = resolve(NESTED, Random(seed))
    vector = encoding.encode(config)
    assert vector.shape == (encoding.dimension,)
    assert encoding.decode(vector) == config


@given(data=st.data(), one_hot=st.booleans())
def test_every_vector_of_the_box_is_a_configuration(data: st.DataObject, one_hot: bool) -> None:
    encoding = Encoding(NESTED, one_hot=one_hot)
    vector = np.array(data.draw(st.lists(units, min_size=encoding.dimension, max_size=encoding.dimension)))
    config = encoding.decode(vector)
    again = encoding.encode(config)
    assert encoding.decode(again) == config
    assert np.array_equal(encoding.encode(encoding.decode(again)), again, equal_nan=True)


def test_columns_say_what_they_are_and_when_they_exist() -> None:
    encoding = Encoding(NESTED)
    said = {column.name: (column.kind, column.size, column.condition) for column in encoding.columns}
    assert said["lr"] == ("real", None, None)
    assert said["layers/0/width"] == ("ordered", 8, None)
    assert said["model"] == ("unordered", 2, None)
    assert said["axis"] == ("unordered", 2, None)
    deepest = "model[1]/inner[0]/a[1]/b"
    assert said[deepest][:2] == ("ordered", 2)
    condition = said[deepest][2]
    assert condition is not None
    assert (condition.name, condition.option) == ("model[1]/inner[0]/a", 1)
    assert "twice" not in said
    assert [column.start for column in encoding.columns] == list(range(encoding.dimension))


def test_an_inactive_parameter_is_nan() -> None:
    encoding = Encoding({"m": choice([{"n": randint(0, 2)}, {"n": uniform(0, 4)}])})
    assert np.array_equal(encoding.encode({"m": {"n": 1.5}}), [0.75, np.nan, 0.375], equal_nan=True)
    assert encoding.decode(np.array([0.9, np.nan, 0.5])) == {"m": {"n": 2.0}}


def test_one_column_for_each_option_when_wanted() -> None:
    encoding = Encoding({"x": uniform(0, 1), "opt": choice(["a", "b", "c"])}, one_hot=True)
    assert encoding.encode({"x": 0.5, "opt": "b"}).tolist() == [0.5, 0, 1, 0]
    assert encoding.decode(np.array([0.25, 0.2, 0.1, 0.9])) == {"x": 0.25, "opt": "c"}
    assert [(column.start, column.width) for column in encoding.columns] == [(0, 1), (1, 3)]


def test_what_does_not_fit_is_said() -> None:
    encoding = Encoding({"x": uniform(0, 1), "m": choice([{"n": randint(0, 2)}, None])})
    with pytest.raises(ValueError, match="x = 2 is not in uniform"):
        encoding.encode({"x": 2, "m": None})
    with pytest.raises(ValueError, match="it has no m"):
        encoding.encode({"x": 0.5})
    with pytest.raises(ValueError, match="has 3 numbers, not 1"):
        encoding.decode(np.array([0.5]))
    with pytest.raises(ValueError, match=r"m\[0\]/n has a value here, but the vector has NaN"):
        encoding.decode(np.array([0.5, 0.1, np.nan]))
