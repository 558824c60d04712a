"""BOHB's model: which budget it is made of, and what it forgets."""

from __future__ import annotations

from searchers import BOHBSearch, SearchContext, TuneBOHB, choice, uniform
from tests.searchers.trials import bound

SPACE = {"x": uniform(0, 1)}


def report(searcher: BOHBSearch, number: int, budget: int, loss: float) -> None:
    if f"t{number}" not in searcher.observations:
        searcher.on_trial_add(f"t{number}", {"x": number / 100})
    searcher.on_trial_result(f"t{number}", {"loss": loss, "training_iteration": budget})


def test_the_model_is_made_of_the_largest_budget_with_enough_trials() -> None:
    searcher = bound(BOHBSearch(), SPACE)  # one parameter: N_min is 2, so four trials are enough
    for number in range(3):
        report(searcher, number, 1, number)
    assert searcher.model_budget is None
    report(searcher, 3, 1, 3)
    assert searcher.model_budget == 1
    for number in range(4):
        report(searcher, number, 9, number)
        assert searcher.model_budget == (9 if number == 3 else 1)


def test_smaller_budgets_are_forgotten() -> None:
    searcher = bound(BOHBSearch(), SPACE)
    for budget in (1, 3, 9):
        for number in range(4):
            report(searcher, number, budget, number)
    report(searcher, 4, 3, 0)
    assert list(searcher._merits_on) == [9]


def test_a_failed_trial_is_overlooked() -> None:
    searcher = bound(BOHBSearch(), SPACE)
    for number in range(4):
        report(searcher, number, 1, number)
    searcher.on_trial_complete("t2", None, True)
    assert searcher.model_budget is None


def test_a_share_is_random_and_the_rest_lies_near_the_best() -> None:
    searcher = bound(BOHBSearch(), SPACE)
    for number in range(40):
        report(searcher, number, 1, abs(number - 20))
    places = [searcher.suggest(f"t{number}")["x"] for number in range(100, 220)]
    near = sum(abs(x - 0.2) < 0.15 for x in places) / len(places)
    assert 0.6 < near < 0.9  # two thirds by the model, and what random ones fall there


def test_choices_are_learned() -> None:
    searcher = bound(BOHBSearch(random_fraction=0), {"m": choice(["a", "b", "c"]), "x": uniform(0, 1)})
    for number in range(30):
        config = {"m": "abc"[number % 3], "x": number / 30}
        searcher.on_trial_add(f"t{number}", config)
        searcher.on_trial_complete(f"t{number}", {"loss": "bca".index(str(config["m"]))})
    assert sum(searcher.suggest(f"t{number}")["m"] == "b" for number in range(30, 60)) > 20


def test_it_has_rays_name_and_learns_at_the_end_too() -> None:
    assert TuneBOHB is BOHBSearch
    searcher = TuneBOHB(time_attr="epoch", mode="max")
    searcher.bind(SearchContext(SPACE, ("acc",), ("max",), 0, 9))
    for number in range(4):
        searcher.on_trial_add(f"t{number}", {"x": number / 10})
        searcher.on_trial_complete(f"t{number}", {"acc": number, "epoch": 5})
    assert searcher.model_budget == 5
    assert min(searcher._merits_on[5].values()) == (0, -3)
