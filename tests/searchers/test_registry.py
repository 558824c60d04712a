"""Searchers by name, and the package's public face."""

from importlib import import_module
from importlib.util import find_spec

import pytest

import searchers
from searchers import SEARCHERS, GridSearch, RandomSearch, TPESearch, create_searcher
from searchers.libraries.box import LibrarySearch


@pytest.mark.parametrize("name", SEARCHERS)
def test_every_name_leads_to_a_searcher(name: str) -> None:
    module, class_name = SEARCHERS[name].split(":")
    kind = getattr(import_module(module), class_name)
    if issubclass(kind, LibrarySearch) and find_spec(kind.package) is None:
        pytest.skip(f"{kind.package} is not installed")
    assert type(create_searcher(name)) is kind


def test_arguments_are_passed_on() -> None:
    searcher = create_searcher("random", max_concurrent=3)
    assert isinstance(searcher, RandomSearch)
    assert searcher.max_concurrent == 3
    assert isinstance(create_searcher("grid"), GridSearch)
    assert isinstance(create_searcher("tpe", seed=4), TPESearch)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="there is no searcher 'rndom'; did you mean 'random'"):
        create_searcher("rndom")
    with pytest.raises(ValueError, match="'zzz'; known are random, grid"):
        create_searcher("zzz")
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
