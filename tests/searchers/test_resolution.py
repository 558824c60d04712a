"""From a space to a configuration."""

from collections import namedtuple
from random import Random
from typing import Any

import pytest

from searchers import choice, grid_search, randint, resolve, sample_from, uniform
from searchers.choices import matches


def test_containers_are_new_and_leaves_are_kept() -> None:
    leaf = object()
    space = {"a": {"b": [leaf, uniform(0, 1)]}, "c": (leaf, {"d": 1}), "options": choice([leaf])}
    config = resolve(space, Random(0))
    assert config["a"] is not space["a"]
    assert config["c"][1] is not space["c"][1]  # type: ignore[index]
    assert config["a"]["b"][0] is config["c"][0] is config["options"] is leaf
    assert matches(space, config)


def test_keys_keep_their_order() -> None:
    assert list(resolve({"z": uniform(0, 1), "a": 1, "m": {"y": 1, "b": 2}}, Random(0))) == ["z", "a", "m"]


def test_the_order_in_which_a_space_is_written_does_not_matter() -> None:
    one = resolve({"a": uniform(0, 1), "b": {"c": uniform(0, 1), "d": randint(0, 99)}}, Random(0))
    other = resolve({"b": {"d": randint(0, 99), "c": uniform(0, 1)}, "a": uniform(0, 1)}, Random(0))
    assert one == other


def test_a_function_is_a_value_and_is_not_called() -> None:
    def activation(x: float) -> float:
        raise AssertionError

    assert resolve({"activation": activation}, Random(0)) == {"activation": activation}


def test_a_named_tuple_stays_one() -> None:
    pair = namedtuple("pair", "x y")  # noqa: PYI024 - the untyped kind is what is tested
    config = resolve({"p": pair(uniform(0, 1), 2)}, Random(0))
    assert type(config["p"]) is pair
    assert config["p"].y == 2


def test_domains_within_options_are_resolved() -> None:
    space = {"m": choice([{"kind": "a", "x": uniform(0, 1)}, [uniform(5, 6), choice([uniform(7, 8)])]])}
    for seed in range(20):
        config = resolve(space, Random(seed))
        assert matches(space, config), config


def test_given_values_are_kept_nested_or_by_path() -> None:
    space = {
        "x": uniform(0, 1),
        "n": {"k": randint(0, 9), "l": [uniform(0, 1), uniform(2, 3)]},
        "m": choice([{"kind": "a", "C": uniform(0, 1)}, {"kind": "b", "in": {"n": randint(0, 9), "o": randint(0, 9)}}]),
    }
    nested = resolve(space, Random(0), {"n": {"k": 4.0}, "m": {"kind": "b", "in": {"n": 3}}})
    assert (nested["n"]["k"], nested["m"]["kind"], nested["m"]["in"]["n"]) == (4, "b", 3)
    assert matches(space, nested)
    by_path = resolve(space, Random(0), {"n/k": 4, "n/l/1": 2.5, "m/kind": "b", "m/in/n": 3})
    assert (by_path["n"]["k"], by_path["n"]["l"][1], by_path["m"]["in"]["n"]) == (4, 2.5, 3)
    assert matches(space, by_path)


def test_a_grid_axis_alone_is_drawn_like_a_choice() -> None:
    assert {resolve({"g": grid_search([1, 2])}, Random(seed))["g"] for seed in range(20)} == {1, 2}


def test_sample_from_sees_the_configuration_in_every_form() -> None:
    space = {
        "x": randint(1, 5),
        "n": {"k": 2, "list": [1, {"deep": 7}]},
        "item": sample_from(lambda config: config["x"] * 10),
        "attribute": sample_from(lambda config: config.n.k + config.n.list[1].deep),
        "old": sample_from(lambda spec: spec.config.x * 10),
        "nothing": sample_from(lambda: "constant"),
        "default": sample_from(lambda config, factor=2: config.get("missing", 21) * factor),
        "unpacked": sample_from(lambda config: sorted(config.n)),
    }
    config = resolve(space, Random(0))
    assert config["item"] == config["old"] == config["x"] * 10
    assert (config["attribute"], config["nothing"], config["default"]) == (9, "constant", 42)
    assert config["unpacked"] == ["k", "list"]


def test_sample_from_functions_find_each_other_in_any_order() -> None:
    space = {
        "a": sample_from(lambda c: c.b + 1),
        "b": sample_from(lambda c: c.c + 1),
        "c": sample_from(lambda c: c.d[0] + 1),
        "d": (sample_from(lambda: 1), 5),
    }
    assert resolve(space, Random(0)) == {"a": 4, "b": 3, "c": 2, "d": (1, 5)}


def test_sample_from_may_return_a_domain_or_a_part_of_the_configuration() -> None:
    inner = {"p": [1, 2]}
    space = {
        "high": randint(5, 9),
        "low": sample_from(lambda c: {"value": randint(0, c.high), "of": sample_from(lambda c: c.high)}),
        "inner": inner,
        "copy": sample_from(lambda c: c.inner),
    }
    config = resolve(space, Random(1))
    assert config["low"]["value"] < config["high"] == config["low"]["of"]
    assert type(config["copy"]) is dict
    assert config["copy"] == inner


def test_a_circle_of_sample_from_names_its_paths() -> None:
    space = {"a": sample_from(lambda c: c.n.b), "n": {"b": sample_from(lambda c: c.a)}, "x": uniform(0, 1)}
    with pytest.raises(ValueError, match=r"a needs n/b, n/b needs a"):
        resolve(space, Random(0))


def test_an_error_within_sample_from_names_its_place() -> None:
    with pytest.raises(AttributeError, match="no 'rate' here; it has lr, k") as raised:
        resolve({"lr": 1, "k": sample_from(lambda c: c.rate)}, Random(0))
    assert raised.value.__notes__ == ["raised by the sample_from function of 'k'"]


def test_sample_from_that_is_given_is_not_called() -> None:
    def never() -> Any:
        raise AssertionError

    assert resolve({"a": sample_from(never)}, Random(0), {"a": 3}) == {"a": 3}
