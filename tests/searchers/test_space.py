"""Spaces as a whole: their paths, grid axes and mistakes."""

from typing import Any

from searchers import choice, domains, grid_axes, grid_search, loguniform, uniform, validate_space


def test_domains_are_found_by_path_in_dicts_lists_and_tuples() -> None:
    space = {"lr": loguniform(1e-5, 1), "layers": [{"units": choice([1])}, (uniform(0, 1), 3)], "f": lambda: 1, "n": 3}
    assert domains(space) == {
        "lr": loguniform(1e-5, 1),
        "layers/0/units": choice([1]),
        "layers/1/0": uniform(0, 1),
    }


def test_grid_axes_are_sorted_by_path_and_may_be_literal() -> None:
    space = {"b": grid_search([1, 2]), "a": {"z": {"grid_search": (3,)}, "c": [grid_search(range(2))]}}
    assert list(grid_axes(space).items()) == [("a/c/0", [0, 1]), ("a/z", [3]), ("b", [1, 2])]


def test_a_good_space_has_no_mistakes() -> None:
    space = {"a": grid_search([1, uniform(0, 1)]), "b": {"c": choice([{"d": uniform(0, 1)}])}, "e": {}, "f": []}
    assert validate_space(space) == []
    assert validate_space({}) == []


def test_all_mistakes_are_told_at_once() -> None:
    space: dict[str, Any] = {
        "a/b": uniform(0, 1),
        "a": {"b": uniform(0, 1)},
        "number": {"grid_search": 3},
        "empty": {"grid_search": []},
        "more": {"grid_search": [1], "default": 1},
        "inner": choice([{"x": grid_search([1])}]),
        "twice": grid_search([grid_search([1])]),
        "set": {uniform(0, 1)},
    }
    mistakes = validate_space(space)
    assert len(mistakes) == 7
    for part in ("'a/b'", "number: ", "empty: ", "more: ", "inner: ", "twice: ", "set: "):
        assert sum(part in mistake for mistake in mistakes) == 1, part
