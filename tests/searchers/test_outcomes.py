"""Constraints on outcomes: their texts, what breaks them and by how much, and what the models are told."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState
from scipy.optimize import approx_fprime

from searchers import (
    AutoSearch,
    BOHBSearch,
    EvolutionSearch,
    GaussianProcessSearch,
    OptunaSearch,
    SearchContext,
    Searcher,
    SobolSearch,
    TPESearch,
    uniform,
)
from searchers.acquisition import Acquisition, Limit
from searchers.observations import History
from searchers.outcomes import OutcomeConstraint, read_constraints, violation
from searchers.pareto import best_rows
from searchers.regression import GaussianProcess, Hyperparameters


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


@pytest.mark.parametrize(
    "make",
    [
        OptunaSearch,
        AutoSearch,
        GaussianProcessSearch,
        TPESearch,
        lambda: BOHBSearch(random_fraction=0),
        lambda: EvolutionSearch(population_size=10),
    ],
)
def test_a_model_learns_to_keep_a_constraint(make: Callable[[], Searcher]) -> None:
    searcher = make()
    constraints = read_constraints(["x >= 0.5"])
    searcher.bind(SearchContext({"x": uniform(0, 1)}, ("loss",), ("min",), 1, outcome_constraints=constraints))
    tried = []
    for number in range(45):
        config = searcher.suggest(f"t{number}")
        assert isinstance(config, dict)
        searcher.on_trial_add(f"t{number}", config)
        searcher.on_trial_complete(f"t{number}", {"loss": config["x"], "x": config["x"]})
        tried.append(config["x"])
    assert sum(0.5 <= x < 0.6 for x in tried) >= 10  # by chance they were 4 or 5


def test_while_nothing_keeps_the_constraints_a_model_looks_for_what_does() -> None:
    searcher = GaussianProcessSearch(n_startup_trials=5)
    constraints = read_constraints(["far <= 0.02"])
    searcher.bind(
        SearchContext({"x": uniform(0, 1), "y": uniform(0, 1)}, ("loss",), ("min",), outcome_constraints=constraints)
    )
    distances = []
    for number in range(25):
        config = searcher.suggest(f"t{number}")
        assert isinstance(config, dict)
        distances.append(math.hypot(config["x"] - 0.83, config["y"] - 0.21))
        searcher.on_trial_add(f"t{number}", config)
        searcher.on_trial_complete(f"t{number}", {"loss": config["x"], "far": distances[-1]})
    assert min(distances[:5]) > 0.02
    assert min(distances) <= 0.02


def test_what_breaks_a_constraint_comes_after_all_that_keeps_it() -> None:
    losses, excesses = numpy.array([[1.0], [2.0], [0.0], [-1.0]]), numpy.array([[-1.0], [0.0], [0.5], [2.0]])
    history = History(numpy.zeros((4, 1)), losses, excesses)
    assert best_rows(history, 4).tolist() == [0, 1, 2, 3]
    several = history._replace(losses=numpy.hstack([losses, -losses]))
    assert set(best_rows(several, 2)) == {0, 1}
    assert best_rows(several, 4).tolist()[2:] == [2, 3]


@pytest.mark.parametrize("least", [0.4, None])
@pytest.mark.parametrize("limit", [0.3, -20.0, 1e12, -1e12])
def test_the_gradient_of_what_a_point_promises_is_right(least: float | None, limit: float) -> None:
    generator = numpy.random.default_rng(2)
    points = generator.random((8, 2))
    process, other = (
        GaussianProcess(points, generator.standard_normal(8), Hyperparameters(numpy.array([0.4, 0.7]), 1.0, 0.1))
        for _ in range(2)
    )
    acquisition = Acquisition(process, least, [Limit(other, limit)])
    place = numpy.array([0.45, 0.3])
    score, gradient = acquisition.score_with_gradient(place)
    assert score == pytest.approx(acquisition.score(place[None, :])[0], rel=1e-9)
    if abs(limit) < 1e12:
        numeric = approx_fprime(place, lambda x: float(acquisition.score(x[None, :])[0]), 1e-7)
        assert gradient == pytest.approx(numeric, rel=1e-3)
    assert numpy.isfinite(gradient).all()


def test_a_search_that_learns_nothing_takes_constraints_as_well() -> None:
    searcher = SobolSearch()
    searcher.bind(SearchContext({"x": uniform(0, 1)}, outcome_constraints=read_constraints(["x >= 0.5"])))
    assert isinstance(searcher.suggest("t0"), dict)


@pytest.mark.parametrize("kind", [TPESearch, GaussianProcessSearch, OptunaSearch])
def test_rewards_alone_do_not_say_whether_a_constraint_was_kept(kind: Any) -> None:
    searcher = kind(points_to_evaluate=[{"x": 0.5}], evaluated_rewards=[1.0])
    context = SearchContext(
        {"x": uniform(0, 1)}, ("loss",), ("min",), outcome_constraints=read_constraints(["ms <= 20", "mb <= 8"])
    )
    with pytest.raises(ValueError, match=r"does not say what mb, ms came to.*warm_start=\["):
        searcher.bind(context)


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
