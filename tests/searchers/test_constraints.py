"""Constraints between parameters: what is tried, what is left out, and what is said when nothing is left."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import pytest

from searchers import (
    FINISHED,
    BasicVariantGenerator,
    ConcurrencyLimiter,
    Constraint,
    GridSearch,
    OptunaSearch,
    RandomSearch,
    SearchContext,
    Searcher,
    choice,
    constrained,
    grid_search,
    ordinal,
    randint,
    read_definition,
    sample_from,
    uniform,
)
from searchers.definition import validate
from tests.searchers.contract import History, SearcherContract, play

ORDERED = (Constraint("a <= b"),)
SQUARE = {"a": uniform(0, 1), "b": uniform(0, 1)}


def bound(
    searcher: Searcher, space: dict[str, Any], *constraints: Any, num_samples: int = 100, seed: int = 0
) -> Searcher:
    searcher.bind(
        SearchContext(space, ("loss",), ("min",), seed, num_samples, constraints=tuple(map(Constraint, constraints)))
    )
    return searcher


def suggestions(searcher: Searcher, most: int = 100) -> list[Any]:
    configs = []
    while len(configs) < most and (config := searcher.suggest(f"t{len(configs)}")) is not FINISHED:
        assert isinstance(config, dict)
        searcher.on_trial_add(f"t{len(configs)}", config)
        searcher.on_trial_complete(f"t{len(configs)}", {"loss": config.get("a", 0.0)})
        configs.append(config)
    return configs


class TestRandomSearchUnderConstraints(SearcherContract):
    learns = False

    def make(self) -> Searcher:
        return RandomSearch()

    def bound(self, seed: int = 0, num_samples: int | None = None) -> Searcher:
        count = self.num_samples if num_samples is None else num_samples
        return bound(self.make(), self.space, "model.depth < 5 or lr < 1e-3", num_samples=count, seed=seed)


@pytest.mark.parametrize("searcher", [RandomSearch, OptunaSearch, lambda: ConcurrencyLimiter(RandomSearch(), 200)])
@pytest.mark.parametrize("condition", ["a <= b", lambda c: c["a"] <= c.b], ids=["text", "function"])
def test_only_what_is_allowed_is_suggested(searcher: Any, condition: Any) -> None:
    configs = suggestions(bound(searcher(), SQUARE, condition), 40)
    assert len(configs) == 40
    assert all(config["a"] <= config["b"] for config in configs)


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii"])
def test_one_told_the_history_refuses_as_the_first_did(sampler: str) -> None:
    first = History(bound(OptunaSearch(sampler=sampler), SQUARE, "a <= b"))
    play(first, [("start", 0), ("start", 0), ("end", 0)] * 6)
    other = first.retold_to(bound(OptunaSearch(sampler=sampler), SQUARE, "a <= b"))
    for history in (first, other):
        play(history, [("start", 0)] * 2)
    assert other.suggested == first.suggested


def test_refusals_leave_the_other_suggestions_as_they_were() -> None:
    free, held = (suggestions(bound(RandomSearch(), SQUARE, *some)) for some in ((), ("a <= b",)))
    assert all(one == other for one, other in zip(free, held, strict=True) if one["a"] <= one["b"])


def test_what_is_allowed_keeps_its_likelihood() -> None:
    space = {"a": randint(0, 3), "b": randint(0, 3)}
    searcher = bound(RandomSearch(skip_duplicate=False), space, "a < b", num_samples=1500)
    drawn = Counter((config["a"], config["b"]) for config in suggestions(searcher, 1500))
    assert sorted(drawn) == [(0, 1), (0, 2), (1, 2)]
    assert all(430 < count < 570 for count in drawn.values())


def test_a_value_of_sample_from_may_be_constrained() -> None:
    space = {"a": randint(1, 9), "double": sample_from(lambda c: 2 * c.a)}
    assert {config["double"] for config in suggestions(bound(RandomSearch(), space, "double > 10"))} == {12, 14, 16}


def test_a_constraint_on_an_inactive_parameter_asks_nothing() -> None:
    space = {"m": choice([{"kind": "svm", "C": uniform(0, 1)}, {"kind": "tree", "depth": randint(1, 9)}, None])}
    configs = suggestions(bound(RandomSearch(), space, "m.C > 0.5", "m.depth > 4"))
    assert {config["m"] and config["m"]["kind"] for config in configs} == {"svm", "tree", None}
    assert all(config["m"]["C"] > 0.5 for config in configs if config["m"] and "C" in config["m"])
    assert all(config["m"]["depth"] > 4 for config in configs if config["m"] and "depth" in config["m"])


def test_cells_of_a_grid_that_break_a_constraint_are_left_out() -> None:
    space = {"a": grid_search([1, 2, 3]), "b": grid_search([1, 2, 3])}
    searcher = bound(GridSearch(), space, "a <= b", num_samples=2)
    assert searcher.total_trials == 12
    allowed = [{"a": a, "b": b} for b, a in product((1, 2, 3), repeat=2) if a <= b]
    assert suggestions(searcher) == [*allowed, *allowed]


def test_in_the_cells_that_are_left_the_rest_is_drawn_until_it_is_allowed() -> None:
    space = {"a": grid_search([1, 2, 3, 9]), "x": uniform(0, 4), "m": choice([{"y": uniform(0, 1)}, 3])}
    searcher = bound(BasicVariantGenerator(), space, "a < 5", lambda c: c.x >= c.a, num_samples=3)
    configs = suggestions(searcher)
    assert searcher.total_trials == len(configs) == 9
    assert all(config["x"] >= config["a"] for config in configs)


def test_one_draw_serves_the_whole_grid_where_it_may() -> None:
    space = {"a": grid_search([0, 0.5]), "x": uniform(0, 1)}
    searcher = bound(BasicVariantGenerator(constant_grid_search=True), space, "x >= a", num_samples=20)
    pairs = [(low["x"], high["x"]) for low, high in zip(*[iter(suggestions(searcher))] * 2, strict=True)]
    assert all(low == high for low, high in pairs if low >= 0.5)
    assert all(high >= 0.5 for _, high in pairs)


def test_the_grid_of_a_point_is_cut_as_well() -> None:
    space = {"a": grid_search([1, 2, 3]), "b": grid_search([1, 2, 3])}
    searcher = bound(BasicVariantGenerator([{"a": 2}]), space, "a <= b", num_samples=2)
    assert searcher.total_trials == 2 + 6
    assert suggestions(searcher)[:3] == [{"a": 2, "b": 2}, {"a": 2, "b": 3}, {"a": 1, "b": 1}]


@pytest.mark.parametrize("searcher", [RandomSearch, OptunaSearch])
def test_a_point_that_breaks_a_constraint_is_refused(searcher: Any) -> None:
    points = [{"a": 0.1, "b": 0.2}, {"a": 0.9}, {"a": 0.5, "b": 0.4}]
    with pytest.raises(ValueError, match=r"points_to_evaluate\[2\] breaks the constraint 'a <= b'"):
        bound(searcher(points_to_evaluate=points), SQUARE, "a <= b")
    configs = suggestions(bound(searcher(points_to_evaluate=points[:2]), SQUARE, "a <= b"), 2)
    assert configs[0] == points[0]
    assert configs[1]["b"] >= configs[1]["a"] == 0.9


def test_a_space_of_which_nothing_is_allowed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("searchers.constraints.MAX_DRAWS", 300)
    searcher = bound(RandomSearch(), SQUARE, "a <= b", lambda c: c.a > 2)
    with pytest.raises(ValueError, match=r"300 draws in a row were refused, \d+ by .*'a <= b' and \d+ by .*<lambda>"):
        searcher.suggest("t0")
    with pytest.raises(ValueError, match="no configuration is allowed: 4 by the constraint 'a > b' of 4 in the grid"):
        bound(GridSearch(), {"a": grid_search([1, 2]), "b": grid_search([3, 4])}, "a > b")
    with pytest.raises(ValueError, match="a grid of 200000 cells is too large"):
        bound(GridSearch(), {"a": grid_search(range(200_000))}, "a > 3")


def test_where_the_sampler_finds_nothing_allowed_a_draw_does() -> None:
    space = {"a": uniform(0, 1), "b": uniform(0, 1)}
    configs = suggestions(bound(OptunaSearch(), space, "a < 0.01"), 3)
    assert len(configs) == 3
    assert all(config["a"] < 0.01 for config in configs)


def test_a_searcher_that_knows_no_constraints_refuses_them() -> None:
    class Fixed(Searcher):
        def suggest(self, trial_id: str) -> Any:
            return {"a": 1, "b": 0}

    with pytest.raises(ValueError, match=r"Fixed does not keep to constraints \('a <= b'\); random search does"):
        bound(Fixed(), SQUARE, "a <= b")
    with pytest.raises(ValueError, match="Fixed does not keep"):
        bound(ConcurrencyLimiter(Fixed(), 2), SQUARE, "a <= b")


def test_what_a_constraint_raises_names_it() -> None:
    def reads_what_is_not_there(config: Any) -> bool:
        return bool(config["c"] > 1)

    with pytest.raises(KeyError) as raised:
        bound(RandomSearch(), {"x": uniform(0, 1)}, reads_what_is_not_there)
    assert raised.value.__notes__ == ["raised by the constraint reads_what_is_not_there"]


def test_a_space_and_its_constraints_are_read_apart() -> None:
    space = constrained(constrained(SQUARE, "a <= b"), "a > 0")
    definition = read_definition(space)
    assert definition.tree == SQUARE
    assert list(map(str, definition.constraints)) == ["'a <= b'", "'a > 0'"]
    with pytest.raises(ValueError, match="is no condition"):
        constrained(SQUARE, "a")
    with pytest.raises(TypeError, match="a constraint is a text such as 'a <= b' or a function, not 3"):
        constrained(SQUARE, 3)  # type: ignore[arg-type]


def test_a_name_that_no_configuration_has_is_refused() -> None:
    space = {
        "batch": randint(1, 9),
        "model": choice([{"kind": "svm", "C": uniform(0, 1)}, {"layers": [{"width": ordinal([1, 2])}]}, None]),
        "any": sample_from(lambda: {"deep": 1}),
    }
    space["axis"] = grid_search([{"deep": 1}, 2])
    known = [
        "axis.deep < 2",
        "batch < 3",
        "model.C < 1",
        "model.layers[0].width < 3",
        "any.deep == 1",
        "config['batch'] > 0",
    ]
    assert validate(constrained(space, *known)) == []
    assert validate(constrained(space, "bach < 3", "model.gamma < 1", "model.layers[1] == 1")) == [
        "constraint 'bach < 3': no configuration has a 'bach'; did you mean 'batch'?",
        "constraint 'model.gamma < 1': no configuration has a 'model.gamma'; it has batch, model, any, axis",
        "constraint 'model.layers[1] == 1': no configuration has a 'model.layers.1'; it has batch, model, any, axis",
    ]
