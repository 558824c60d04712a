"""Searchers by name, and the package's public face."""

from importlib import import_module

import pytest

import searchers
from searchers import SEARCHERS, GridSearch, RandomSearch, Searcher, TPESearch, create_searcher


@pytest.mark.parametrize("name", SEARCHERS)
def test_every_name_leads_to_a_searcher(name: str) -> None:
    assert isinstance(create_searcher(name), Searcher)


def test_arguments_are_passed_on() -> None:
    searcher = create_searcher("random", max_concurrent=3)
    assert isinstance(searcher, RandomSearch)
    assert searcher.max_concurrent == 3
    assert isinstance(create_searcher("grid"), GridSearch)
    assert isinstance(create_searcher("tpe", seed=4), TPESearch)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="there is no searcher 'rndom'; did you mean 'random'"):
        create_searcher("rndom")
    with pytest.raises(ValueError, match="'hyperopt'; known are random, grid"):
        create_searcher("hyperopt")
    with pytest.raises(
        ValueError, match="RandomSearch takes no argument 'max_concurent'; did you mean 'max_concurrent'"
    ):
        create_searcher("random", max_concurent=1)


def test_every_public_name_can_be_had() -> None:
    for name in searchers.__all__:
        value = getattr(searchers, name)
        assert not isinstance(value, type(searchers)), f"{name} is a module"
    assert searchers.__all__
    assert set(dir(searchers)) == set(searchers.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = searchers.nothing


def test_no_module_hides_a_public_name() -> None:
    for name in ("choices", "domain", "limiter", "optuna", "points", "registry", "resolution", "space", "variants"):
        import_module(f"searchers.{name}")
        assert name not in searchers.__all__
