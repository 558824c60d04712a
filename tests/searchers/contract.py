"""What every searcher must keep. A subclass says how to make one and what it searches; pytest runs the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchers import FINISHED, Constraint, SearchContext, Searcher, choice, loguniform, randint, uniform
from searchers.choices import matches

SPACE = {
    "lr": loguniform(1e-5, 1e-1),
    "model": {"depth": randint(1, 9)},
    "optimizer": choice(["adam", "sgd"]),
    "epochs": 3,
}
CONDITIONAL = {
    "momentum": uniform(0, 1),
    "model": choice([{"kind": "forest", "trees": randint(1, 100)}, {"kind": "svm", "C": loguniform(1e-3, 1e3)}, None]),
}
FINITE = {"depth": randint(1, 9), "optimizer": choice(["adam", "sgd"]), "epochs": 3}
"""Of 16 configurations."""

Event = Callable[[Searcher], None]


def loss_of(config: dict[str, Any]) -> float:
    """A loss that depends on the whole configuration."""
    return sum(map(ord, json.dumps(config, sort_keys=True, default=str))) % 97 / 97


def plain(view: Any) -> Any:
    """What a constraint sees, as the configuration that it is."""
    if isinstance(view, Mapping):
        return {key: plain(value) for key, value in view.items()}
    return [plain(item) for item in view] if isinstance(view, list) else view


class History:
    """Drives a searcher and writes down what it was told, so that another one can be told the same."""

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.told: list[Event] = []
        self.running: dict[str, dict[str, Any]] = {}
        self.suggested: list[Any] = []

    def tell(self, event: Event) -> None:
        self.told.append(event)
        event(self.searcher)

    def start(self) -> Any:
        """Ask for the next trial and start it; the suggestion is returned, whatever it is."""
        trial_id = f"t{len(self.suggested)}"
        config = self.searcher.suggest(trial_id)
        if isinstance(config, dict):
            self.suggested.append(config)
            self.running[trial_id] = config
            self.tell(lambda searcher: searcher.on_trial_add(trial_id, config))
        return config

    def report(self, index: int) -> None:
        trial_id = list(self.running)[index % len(self.running)]
        result = {"loss": loss_of(self.running[trial_id]) + 1, "training_iteration": 1}
        self.tell(lambda searcher: searcher.on_trial_result(trial_id, result))

    def end(self, index: int, failed: bool = False) -> None:
        trial_id = list(self.running)[index % len(self.running)]
        config = self.running.pop(trial_id)
        result = None if failed else {"loss": loss_of(config), "training_iteration": 2}
        self.tell(lambda searcher: searcher.on_trial_complete(trial_id, result, failed))

    def retold_to(self, searcher: Searcher) -> History:
        """The same history, told to another searcher, as on resume."""
        other = History(searcher)
        for event in self.told:
            other.tell(event)
        other.suggested, other.running = list(self.suggested), dict(self.running)
        return other


def play(history: History, steps: list[tuple[str, int]]) -> None:
    """Any order of starting, reporting and ending trials."""
    for action, index in steps:
        if action == "start" or not history.running:
            history.start()
        elif action == "report":
            history.report(index)
        else:
            history.end(index, failed=action == "fail")


steps = st.lists(
    st.tuples(st.sampled_from(["start", "start", "report", "end", "fail"]), st.integers(0, 5)), min_size=10, max_size=50
)


class SearcherContract:
    space: ClassVar[dict[str, Any]] = SPACE
    num_samples = 100
    learns = True
    """Whether the thirteenth result, the best of all, changes what is suggested next."""

    def make(self) -> Searcher:
        raise NotImplementedError

    def bound(self, seed: int = 0, num_samples: int | None = None) -> Searcher:
        searcher = self.make()
        count = self.num_samples if num_samples is None else num_samples
        searcher.bind(SearchContext(self.space, ("loss",), ("min",), seed, count))
        return searcher

    def test_suggestions_lie_in_the_space(self) -> None:
        history = History(self.bound())
        play(history, [("start", 0), ("end", 0)] * 20)
        assert len(history.suggested) == 20
        for config in history.suggested:
            assert matches(self.space, config), config

    def test_each_suggestion_is_a_container_of_its_own(self) -> None:
        history = History(self.bound())
        play(history, [("start", 0), ("start", 0)])
        first, second = history.suggested
        assert first is not second
        assert all(first[key] is not second[key] for key in first if isinstance(first[key], dict))

    def test_the_same_seed_gives_the_same_suggestions(self) -> None:
        one, other = History(self.bound(seed=7)), History(self.bound(seed=7))
        for history in (one, other):
            play(history, [("start", 0), ("start", 0), ("end", 0)] * 10)
        assert one.suggested == other.suggested

    def test_another_seed_gives_other_suggestions(self) -> None:
        one, other = History(self.bound(seed=7)), History(self.bound(seed=8))
        for history in (one, other):
            play(history, [("start", 0)] * 5)
        assert one.suggested != other.suggested

    def test_one_told_the_history_goes_on_as_the_first_would_have(self) -> None:
        @settings(max_examples=30)
        @given(steps=steps, cut=st.integers(0, 100))
        def resume_somewhere(steps: list[tuple[str, int]], cut: int) -> None:
            position = cut % (len(steps) + 1)
            original = History(self.bound(seed=1))
            play(original, steps[:position])
            resumed = original.retold_to(self.bound(seed=1))
            for history in (original, resumed):
                play(history, [*steps[position:], ("start", 0), ("start", 0)])
            assert resumed.suggested == original.suggested

        resume_somewhere()

    def test_asking_changes_nothing(self) -> None:
        curious, plain = History(self.bound()), History(self.bound())
        play(curious, [("start", 0), ("end", 0)] * 12)
        play(plain, [("start", 0), ("end", 0)] * 12)
        for number in (40, 41, 40):
            curious.searcher.suggest(f"t{number}")
        for number in (40, 41):
            curious.searcher.on_trial_complete(f"t{number}", None, True)
        assert curious.start() == plain.start()

    def test_a_trial_told_twice_counts_once(self) -> None:
        history = History(self.bound())
        play(history, [("start", 0), ("end", 0)] * 12)
        config = history.start()
        before = history.searcher.suggest("t13")
        history.searcher.on_trial_add("t12", config)
        assert history.searcher.suggest("t13") == before

    def test_a_trial_that_failed_may_be_added_again_and_then_counts(self) -> None:
        def tell(searcher: Searcher, trial_id: str, result: dict[str, Any] | None) -> None:
            searcher.on_trial_add(trial_id, config)
            searcher.on_trial_start(trial_id)
            searcher.on_trial_complete(trial_id, result, result is None)

        best = {"loss": -5.0, "training_iteration": 2}
        history = History(self.bound())
        play(history, [("start", 0), ("end", 0)] * 12)
        config = history.start()
        forgotten, retried, at_once = (history.retold_to(self.bound()).searcher for _ in range(3))
        tell(forgotten, "t12", None)
        tell(retried, "t12", None)
        tell(retried, "t12", best)
        tell(at_once, "t12", best)
        for searcher in (retried, at_once):
            tell(searcher, "t12", best)  # it trains on, and comes to the same
        suggested = [searcher.suggest("t13") for searcher in (forgotten, retried, at_once)]
        assert suggested[1] == suggested[2]
        assert (suggested[0] == suggested[1]) == (self.learns is False)

    def test_a_trial_that_was_never_added_may_end(self) -> None:
        searcher = self.bound()
        searcher.on_trial_complete("t0", {"loss": 1.0})
        searcher.on_trial_complete("t1", None, True)
        assert isinstance(searcher.suggest("t0"), dict)

    def test_points_from_outside_are_welcome(self) -> None:
        searcher = self.bound()
        outside = {"lr": 5.0, "something": "else"}
        searcher.on_trial_add("t0", outside)
        searcher.on_trial_complete("t0", {"loss": 0.5})
        assert matches(self.space, searcher.suggest("t1"))

    def test_finished_stays_finished(self) -> None:
        searcher = self.bound(num_samples=3)
        answers = [searcher.suggest(f"t{number}") for number in range(8)]
        if FINISHED in answers:
            ended = answers.index(FINISHED)
            assert answers[ended:] == [FINISHED] * (len(answers) - ended)

    def test_the_number_of_trials_is_known_or_endless(self) -> None:
        assert self.bound(num_samples=3).total_trials is not None
        assert self.bound(num_samples=-1).total_trials is None

    def test_it_keeps_to_constraints_or_refuses_them(self) -> None:
        searcher = self.make()
        half = Constraint(lambda config: loss_of(plain(config)) < 0.6)
        context = SearchContext(self.space, ("loss",), ("min",), 3, self.num_samples, constraints=(half,))
        if not searcher.takes_constraints:
            with pytest.raises(ValueError, match="does not keep to constraints"):
                searcher.bind(context)
            return
        searcher.bind(context)
        history = History(searcher)
        play(history, [("start", 0), ("start", 0), ("end", 0)] * 6)
        assert len(history.suggested) == 12
        assert all(loss_of(config) < 0.6 for config in history.suggested)

    def test_its_arguments_are_remembered(self) -> None:
        searcher = self.make()
        args, kwargs = searcher.init_arguments
        assert isinstance(type(searcher)(*args, **kwargs), type(searcher))
