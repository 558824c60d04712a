"""Constraints on outcomes: their texts, what breaks them and by how much, and what the models are told."""

from __future__ import annotations

import math
from typing import Any

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from searchers import OptunaSearch, SearchContext, uniform
from searchers.outcomes import OutcomeConstraint, read_constraints, violation


@pytest.mark.parametrize(
    ("text", "metric", "relation", "bound"),
    [
        ("latency_ms <= 20", "latency_ms", "<=", 20.0),
        ("memory<8e9", "memory", "<", 8e9),
        ("  eval/top-1 acc  >=  .5 ", "eval/top-1 acc", ">=", 0.5),
        ("gain > -1", "gain", ">", -1.0),
    ],
)
def test_a_text_says_metric_relation_and_bound(text: str, metric: str, relation: str, bound: float) -> None:
    assert read_constraints(text) == (OutcomeConstraint(metric, relation, bound),)
    assert read_constraints(str(read_constraints(text)[0])) == read_constraints(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("latency", "'latency' is not a metric, then <=, <, >= or >, then a number"),
        ("latency == 20", "'latency == 20' is not a metric"),
        ("10 <= latency <= 20", "is not a metric, then"),
        ("<= 20", "'<= 20' is not a metric, then"),
        ("", "'' is not a metric, then"),
        ("20 >= latency", "the metric stands at the left"),
        ("latency <= 20ms", "'20ms' is no finite number; write it without a unit"),
        ("latency <= nan", "'nan' is no finite number"),
        ("latency <= inf", "'inf' is no finite number"),
        (3, "3 is no text such as"),
    ],
)
def test_what_is_no_constraint_is_refused_by_its_text(text: Any, words: str) -> None:
    with pytest.raises(ValueError, match="outcome_constraints: ") as raised:
        read_constraints(["fine <= 1", text])
    assert words in str(raised.value)


def test_all_mistakes_are_named_at_once_and_a_constraint_given_twice_counts_once() -> None:
    with pytest.raises(ValueError, match="'one' is not .*; 'two' is not "):
        read_constraints(["one", "two"])
    with pytest.raises(ValueError, match="must be a list of texts"):
        read_constraints({"latency": 20})  # type: ignore[arg-type]
    assert len(read_constraints(["a <= 1", "a<=1.0"])) == 1
    assert read_constraints(None) == ()


@pytest.mark.parametrize(
    ("text", "value", "excess"),
    [
        ("x <= 20", 15, -0.25),
        ("x <= 20", 20, 0),
        ("x <= 20", 30, 0.5),
        ("x >= 20", 15, 0.25),
        ("x >= -2", -3, 0.5),
        ("x <= 0", 3, 3),
        ("x <= 20", None, None),
        ("x <= 20", math.nan, None),
        ("x <= 20", -math.inf, None),
        ("x <= 20", "low", None),
        ("x <= 20", True, None),
    ],
)
def test_an_excess_is_counted_in_units_of_the_bound(text: str, value: Any, excess: float | None) -> None:
    assert read_constraints(text)[0].excess({"x": value}) == excess


def test_the_bound_itself_breaks_a_strict_constraint() -> None:
    for text in ("x < 20", "x > 20"):
        assert (read_constraints(text)[0].excess({"x": 20}) or 0) > 0


def test_a_result_is_judged_by_all_constraints_together() -> None:
    constraints = read_constraints(["x <= 20", "y >= 4"])
    assert violation(constraints, {"x": 1, "y": 5}) == 0
    assert violation(constraints, {"x": 30, "y": 2}) == 0.5 + 0.5
    assert violation(constraints, {"x": 1}) == math.inf
    assert violation((), {}) == 0


class CmaEsSampler(RandomSampler):
    """Goes by the name of the one that needs a package of its own."""


def bound(sampler: Any, **more: Any) -> OptunaSearch:
    searcher = OptunaSearch(sampler=sampler)
    constraints = read_constraints(["x >= 0.5"])
    context = {"metrics": ("loss",), "modes": ("min",), "outcome_constraints": constraints, **more}
    searcher.bind(SearchContext({"x": uniform(0, 1)}, **context))
    return searcher


def test_a_model_learns_to_keep_a_constraint() -> None:
    searcher = bound("tpe")
    late = []
    for number in range(50):
        config = searcher.suggest(f"t{number}")
        assert isinstance(config, dict)
        searcher.on_trial_add(f"t{number}", config)
        searcher.on_trial_complete(f"t{number}", {"loss": config["x"], "x": config["x"]})
        late.append(config["x"])
    assert sum(x >= 0.5 for x in late[-20:]) >= 12
    assert min(x for x in late[-20:] if x >= 0.5) < 0.6


def test_optuna_is_told_how_far_a_trial_broke_which_constraint() -> None:
    searcher = bound("tpe")
    for number, result in enumerate([{"loss": 1.0, "x": 0.25}, {"loss": 1.0, "x": 1.0}, {"loss": 1.0}, None]):
        searcher.on_trial_add(f"t{number}", {"x": 0.5})
        searcher.on_trial_complete(f"t{number}", result)
    told = [(trial.state, trial.constraints) for trial in searcher._history.trials]
    assert told == [
        (TrialState.COMPLETE, {"x >= 0.5": 0.5}),
        (TrialState.COMPLETE, {"x >= 0.5": -1.0}),
        (TrialState.FAIL, {}),
        (TrialState.FAIL, {}),
    ]


def test_a_sampler_that_knows_neither_several_metrics_nor_constraints_refuses_them() -> None:
    with pytest.raises(ValueError, match=r"CMA-ES knows no constraints on outcomes, and there are x >= 0\.5"):
        bound(CmaEsSampler())
    with pytest.raises(ValueError, match="CMA-ES follows one metric, not loss, size"):
        bound(CmaEsSampler(), metrics=("loss", "size"), modes=("min", "min"), outcome_constraints=())
