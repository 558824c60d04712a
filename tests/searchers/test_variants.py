"""Random and grid search: counting, order and presets."""

from typing import Any

import pytest

from searchers import (
    FINISHED,
    BasicVariantGenerator,
    GridSearch,
    RandomSearch,
    SearchContext,
    Searcher,
    choice,
    grid_search,
    uniform,
)

SPACE = {"a": grid_search([1, 2]), "b": {"c": grid_search("x y z".split())}, "r": uniform(0, 1)}


def bound(searcher: Searcher, space: dict[str, Any] = SPACE, num_samples: int = 1, seed: int = 0) -> Searcher:
    searcher.bind(SearchContext(space, seed=seed, num_samples=num_samples))
    return searcher


def configs(searcher: Searcher, count: int) -> list[Any]:
    return [searcher.suggest(f"t{number}") for number in range(count)]


def test_the_first_axis_varies_fastest() -> None:
    searcher = bound(BasicVariantGenerator())
    assert searcher.total_trials == 6
    assert [(config["a"], config["b"]["c"]) for config in configs(searcher, 6)] == [
        *((1, "x"), (2, "x"), (1, "y"), (2, "y"), (1, "z"), (2, "z"))
    ]
    assert searcher.suggest("t6") is FINISHED


def test_random_parameters_are_drawn_anew_for_each_cell() -> None:
    drawn = [config["r"] for config in configs(bound(BasicVariantGenerator(), num_samples=2), 12)]
    assert len(set(drawn)) == 12


def test_a_constant_grid_search_draws_once_for_the_whole_grid() -> None:
    searcher = bound(BasicVariantGenerator(constant_grid_search=True), num_samples=2)
    drawn = [config["r"] for config in configs(searcher, 12)]
    assert len(set(drawn[:6])) == len(set(drawn[6:])) == 1
    assert drawn[0] != drawn[6]


def test_a_preset_takes_one_sample_and_removes_the_axes_it_sets() -> None:
    points: list[dict[str, Any]] = [{"a": 2, "r": 0.5}, {"r": 0.25}, {"a": 1, "b/c": "z"}]
    searcher = bound(BasicVariantGenerator(points), num_samples=4)
    assert searcher.total_trials == 3 + 6 + 1 + 6
    found = configs(searcher, 17)
    assert [(config["a"], config["b"]["c"], config["r"]) for config in found[:3]] == [
        *((2, "x", 0.5), (2, "y", 0.5), (2, "z", 0.5))
    ]
    assert {config["r"] for config in found[3:9]} == {0.25}
    assert (found[9]["a"], found[9]["b"]["c"]) == (1, "z")
    assert found[16] is FINISHED


def test_every_preset_runs_even_when_they_are_more_than_the_samples() -> None:
    searcher = bound(BasicVariantGenerator([{"x": 0.1}, {"x": 0.2}]), {"x": uniform(0, 1)}, num_samples=1)
    assert configs(searcher, 3) == [{"x": 0.1}, {"x": 0.2}, FINISHED]


def test_an_endless_grid_repeats() -> None:
    searcher = bound(BasicVariantGenerator(), num_samples=-1)
    assert searcher.total_trials is None
    assert searcher.suggest("t6000002") == {**searcher.suggest("t6000002"), "a": 1, "b": {"c": "y"}}  # type: ignore[dict-item]


def test_a_huge_grid_is_not_laid_out() -> None:
    space = {f"axis{number:02}": grid_search([0, 1, 2, 3]) for number in range(40)}
    searcher = bound(GridSearch(), space)
    assert searcher.total_trials == 4**40
    config = searcher.suggest(f"t{4**40 - 1}")
    assert isinstance(config, dict)
    assert set(config.values()) == {3}


def test_a_suggestion_depends_on_the_trial_and_not_on_the_order_of_asking() -> None:
    forwards, backwards = bound(RandomSearch(), {"x": uniform(0, 1)}, 9), bound(RandomSearch(), {"x": uniform(0, 1)}, 9)
    assert configs(forwards, 9) == [backwards.suggest(f"t{number}") for number in reversed(range(9))][::-1]


def test_the_searchers_own_seed_takes_precedence() -> None:
    one = bound(RandomSearch(random_state=5), {"x": uniform(0, 1)}, seed=1)
    other = bound(RandomSearch(random_state=5), {"x": uniform(0, 1)}, seed=2)
    assert one.suggest("t0") == other.suggest("t0")


def test_no_more_trials_run_than_allowed() -> None:
    searcher = bound(BasicVariantGenerator(max_concurrent=2), num_samples=3)
    for trial_id in ("t0", "t1"):
        config = searcher.suggest(trial_id)
        assert isinstance(config, dict)
        searcher.on_trial_add(trial_id, config)
    assert searcher.suggest("t2") is None
    searcher.on_trial_complete("t0", {"loss": 1})
    assert isinstance(searcher.suggest("t2"), dict)


def test_grid_values_may_hold_domains() -> None:
    found = configs(bound(GridSearch(), {"a": grid_search([{"x": uniform(0, 1)}, None])}), 2)
    assert 0 <= found[0]["a"]["x"] <= 1
    assert found[1] == {"a": None}


@pytest.mark.parametrize(
    ("searcher", "space", "message"),
    [
        (RandomSearch(), SPACE, "a, b/c is a grid_search: use choice there, or BasicVariantGenerator"),
        (GridSearch(), {"x": uniform(0, 1)}, "needs at least one grid_search"),
        (BasicVariantGenerator(), {"x": {"grid_search": 3}}, "x: grid_search needs a list"),
        (BasicVariantGenerator([{"y": 1}]), {"x": 1}, r"points_to_evaluate\[0\]: the search space has no 'y'"),
    ],
)
def test_a_space_that_does_not_suit_is_refused(searcher: Searcher, space: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bound(searcher, space)


def test_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="max_concurrent must be 0"):
        BasicVariantGenerator(max_concurrent=-1)
    with pytest.raises(ValueError, match="random_state must be a whole number"):
        BasicVariantGenerator(random_state="now")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must end in its number"):
        bound(BasicVariantGenerator()).suggest("first")


def test_a_grid_may_be_larger_than_any_memory() -> None:
    space = {f"a{number:02}": grid_search(range(10)) for number in range(40)}
    searcher = BasicVariantGenerator([{"a00": 3}])
    searcher.bind(SearchContext(space, num_samples=2))
    assert searcher.total_trials == 10**39 + 10**40
    config = searcher.suggest(f"t{10**39 + 10**40 - 1}")
    assert config == dict.fromkeys(space, 9)


CHOICES = {"a": choice(["p", "q"]), "b": choice([1, 2, 3])}


def told(searcher: Searcher, count: int, start: int = 0) -> list[Any]:
    """Suggestions, each told before the next."""
    found = []
    for number in range(start, start + count):
        config = searcher.suggest(f"t{number}")
        found.append(config)
        if isinstance(config, dict):
            searcher.on_trial_add(f"t{number}", config)
    return found


@pytest.mark.parametrize("searcher", [BasicVariantGenerator, RandomSearch])
def test_a_finite_space_is_gone_through_once_and_then_the_search_ends(searcher: type[Searcher]) -> None:
    found = told(bound(searcher(), CHOICES, num_samples=10), 8)
    assert found[6:] == [FINISHED, FINISHED]
    assert len({(config["a"], config["b"]) for config in found[:6]}) == 6


def test_duplicates_come_to_those_who_ask() -> None:
    searcher = bound(RandomSearch(skip_duplicate=False), CHOICES, num_samples=10)
    assert all(isinstance(config, dict) for config in told(searcher, 10))
    point = {"a": "p", "b": 1}
    found = told(bound(RandomSearch([point, point]), CHOICES, num_samples=10), 8)
    assert found[:2] == [point, point]
    assert found[7] is FINISHED


@pytest.mark.parametrize("space", [{"epochs": 3}, {"epochs": 3, "x": grid_search([1, 2]), "b": choice([1, 2])}])
def test_what_is_repeated_on_purpose_is_repeated(space: dict[str, Any]) -> None:
    searcher = bound(BasicVariantGenerator(), space, num_samples=4)
    assert all(isinstance(config, dict) for config in told(searcher, searcher.total_trials or 0))


def test_a_search_of_a_larger_space_goes_on_beside_what_was_tried() -> None:
    before = told(bound(RandomSearch(), CHOICES, num_samples=10), 6)
    after = bound(RandomSearch(), {"a": choice(["p", "q"]), "b": choice([1, 2, 3, 4])}, num_samples=10)
    for number, config in enumerate(before):
        after.on_trial_add(f"t{number}", config)
    assert {config["b"] for config in told(after, 2, start=6)} == {4}
    assert after.suggest("t8") is FINISHED
