"""Objectives whose parameters arrive one by one from a running trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import NSGAIISampler, TPESampler

from searchers import Domain, OptunaSearch, RandomSearch, SearchContext, Searcher, choice, loguniform, randint, uniform

Event = Callable[[Searcher], None]

KIND = choice(["line", "curve", {"free": uniform(0, 1)}])
ASKED: list[tuple[str, Domain]] = [
    *(("lr", loguniform(1e-5, 1)), ("kind", KIND), ("width", randint(1, 100)), ("drop", uniform(0, 1)))
]


def bound(searcher: Searcher) -> Searcher:
    searcher.bind(SearchContext({"epochs": 3}, ("loss",), ("min",), seed=5, num_samples=100))
    return searcher


def tpe() -> Searcher:
    return bound(OptunaSearch(sampler=TPESampler(n_startup_trials=2, group=False)))


class Objectives:
    """Trials that ask for their parameters in order, the curves for one less, and what was told about them."""

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.told: list[Event] = []
        self.running: dict[str, dict[str, Any]] = {}
        self.values: list[tuple[str, str, Any]] = []
        self.started = 0

    def tell(self, event: Event) -> None:
        self.told.append(event)
        event(self.searcher)

    def step(self, action: str, index: int) -> None:
        if action == "start" or not self.running:
            self.start()
            return
        trial_id = list(self.running)[index % len(self.running)]
        given = self.running[trial_id]
        left = [(name, domain) for name, domain in ASKED if name not in given]
        if given.get("kind") == "curve":
            left = [(name, domain) for name, domain in left if name != "drop"]
        if action == "ask" and left:
            self.ask(trial_id, *left[0])
        elif action != "ask":
            self.end(trial_id, failed=action == "fail")

    def start(self) -> None:
        trial_id = f"t{self.started}"
        self.started += 1
        config = self.searcher.suggest(trial_id)
        assert config == {"epochs": 3}
        self.running[trial_id] = {}
        self.tell(lambda searcher: searcher.on_trial_add(trial_id, {"epochs": 3}))

    def ask(self, trial_id: str, name: str, domain: Domain) -> None:
        value = self.searcher.suggest_parameter(trial_id, name, domain)
        assert domain.contains(value)
        self.running[trial_id] = {**self.running[trial_id], name: value}
        self.values.append((trial_id, name, value))
        self.tell(lambda searcher: searcher.on_parameter(trial_id, name, domain, value))

    def end(self, trial_id: str, failed: bool) -> None:
        given = self.running.pop(trial_id)
        result = None if failed else {"loss": float(given.get("width", 50)) + given.get("lr", 1)}
        self.tell(lambda searcher: searcher.on_trial_complete(trial_id, result, failed))

    def retold_to(self, searcher: Searcher) -> Objectives:
        other = Objectives(searcher)
        for event in self.told:
            other.tell(event)
        other.running, other.values, other.started = dict(self.running), list(self.values), self.started
        return other


steps = st.lists(
    st.tuples(st.sampled_from(["start", "ask", "ask", "ask", "ask", "end", "fail"]), st.integers(0, 3)),
    min_size=15,
    max_size=60,
)
TAIL = [("start", 0), *[("ask", index) for index in range(4)] * 3]


@pytest.mark.parametrize(
    "make",
    [
        lambda: bound(RandomSearch()),
        lambda: bound(OptunaSearch()),
        lambda: bound(OptunaSearch(sampler="random")),
        lambda: bound(OptunaSearch(sampler=NSGAIISampler(population_size=3))),
        tpe,
    ],
    ids=["random", "tpe", "optuna's random", "nsgaii", "tpe after two trials"],
)
def test_one_told_the_history_answers_as_the_first_would_have(make: Callable[[], Searcher]) -> None:
    @settings(max_examples=40)
    @given(steps=steps, cut=st.integers(0, 100))
    def resume_somewhere(steps: list[tuple[str, int]], cut: int) -> None:
        position = cut % (len(steps) + 1)
        original = Objectives(make())
        for step in steps[:position]:
            original.step(*step)
        resumed = original.retold_to(make())
        for objectives in (original, resumed):
            for step in [*steps[position:], *TAIL]:
                objectives.step(*step)
        assert resumed.values == original.values

    resume_somewhere()


def test_asking_twice_gives_the_same_answer_also_when_others_ended_meanwhile() -> None:
    objectives = Objectives(tpe())
    for step in [("start", 0), *[("ask", 0)] * 4, ("end", 0)] * 6:
        objectives.step(*step)
    objectives.step("start", 0)
    objectives.step("start", 0)
    before = objectives.searcher.suggest_parameter("t6", "width", ASKED[2][1])
    objectives.step("ask", 1)
    objectives.step("end", 1)
    assert objectives.searcher.suggest_parameter("t6", "width", ASKED[2][1]) == before


def test_parameters_of_one_trial_are_independent_before_there_is_a_model() -> None:
    searcher = bound(OptunaSearch())
    searcher.on_trial_add("t0", {"epochs": 3})
    first, second = (searcher.suggest_parameter("t0", name, uniform(0, 1)) for name in "ab")
    assert first != second


def test_tpe_learns_from_parameters_asked_one_by_one() -> None:
    objectives = Objectives(bound(OptunaSearch()))
    for step in [("start", 0), *[("ask", 0)] * 4, ("end", 0)] * 40:
        objectives.step(*step)
    widths = [value for _, name, value in objectives.values if name == "width"]
    assert sum(widths[-10:]) < sum(widths[:10]) / 2


def test_points_given_in_advance_answer_by_name() -> None:
    searcher = bound(OptunaSearch(points_to_evaluate=[{"width": 7}, {"width": 700}]))
    searcher.on_trial_add("t0", {"epochs": 3})
    assert searcher.suggest_parameter("t0", "width", randint(1, 100)) == 7
    assert 0 <= searcher.suggest_parameter("t0", "drop", uniform(0, 1)) <= 1
    with pytest.raises(ValueError, match=r"points_to_evaluate\[1\]: width = 700 is not in randint\(1, 100\)"):
        searcher.suggest_parameter("t1", "width", randint(1, 100))


def test_a_parameter_outside_its_domain_is_overlooked() -> None:
    searcher = bound(OptunaSearch())
    searcher.on_trial_add("t0", {"epochs": 3})
    searcher.on_parameter("t0", "width", randint(1, 100), 700)
    searcher.on_parameter("t9", "width", randint(1, 100), 7)
    searcher.on_trial_complete("t0", {"loss": 1.0})
    assert isinstance(searcher.suggest("t1"), dict)


def test_what_is_known_joins_once_trials_have_asked_for_all_of_its_parameters(caplog: pytest.LogCaptureFixture) -> None:
    points = [{"lr": 0.1, "width": 7}, {"lr": 0.01, "kind": "line"}, {"lr": 2.0}]
    searcher = OptunaSearch(points_to_evaluate=points, evaluated_rewards=[1.0, 2.0, 3.0])
    bound(searcher)
    searcher.on_evaluated("known0", {"epochs": 3, "drop": 0.5}, {"loss": 4.0})
    searcher.on_trial_add("t0", {"epochs": 3})

    def known() -> list[tuple[dict[str, Any], list[float]]]:
        return [(trial.params, trial.values) for trial in searcher._history.trials if trial.state.is_finished()]

    seen = []
    for name, domain in ASKED:
        value = searcher.suggest_parameter("t0", name, domain)
        searcher.on_parameter("t0", name, domain, value)
        seen.append(len(known()))
    assert seen == [0, 1, 2, 3]
    assert [values for _, values in known()] == [[2.0], [1.0], [4.0]]
    assert known()[1][0] == {"lr": 0.1, "width": 7}
    assert "a known result is left out: lr = 2.0" in caplog.text
