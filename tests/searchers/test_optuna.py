"""Optuna's samplers behind our interface."""

import logging
import math
import subprocess
import sys
from collections.abc import Callable
from random import Random
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial, TrialState

from searchers import (
    FINISHED,
    Domain,
    OptunaSearch,
    Ordered,
    SearchContext,
    choice,
    grid_search,
    logfinrange,
    lognormal,
    lograndint,
    loguniform,
    ordinal,
    qlograndint,
    qloguniform,
    qrandint,
    quniform,
    randint,
    randn,
    reverseloguniform,
    sample_from,
    uniform,
)
from searchers.optuna import SAMPLERS
from searchers.optuna_space import distribution_of, parameters_of_value, suggest
from searchers.stepped import Stepped
from tests.searchers.strategies import ordered_domains

LINE = {"x": uniform(-1, 1)}


def bound(space: dict[str, Any], searcher: OptunaSearch | None = None, seed: int = 0, **context: Any) -> OptunaSearch:
    searcher = searcher or OptunaSearch()
    searcher.bind(SearchContext(space, **{"metrics": ("loss",), "modes": ("min",), "seed": seed, **context}))
    return searcher


def run(searcher: OptunaSearch, loss: Callable[[dict[str, Any]], float], trials: int, start: int = 0) -> list[Any]:
    """Trials one after the other."""
    configs = []
    for number in range(start, start + trials):
        config = searcher.suggest(f"t{number}")
        assert isinstance(config, dict)
        searcher.on_trial_add(f"t{number}", config)
        searcher.on_trial_complete(f"t{number}", {"loss": loss(config)})
        configs.append(config)
    return configs


def states(searcher: OptunaSearch) -> list[TrialState]:
    return [trial.state for trial in searcher._history.trials]


def test_tpe_closes_in_on_the_minimum() -> None:
    configs = run(bound({"x": uniform(-1, 1), "y": loguniform(1e-4, 1)}), lambda c: (c["x"] - 0.3) ** 2, 60)
    early, late = configs[:10], configs[-10:]
    assert sum(abs(c["x"] - 0.3) for c in late) < sum(abs(c["x"] - 0.3) for c in early) / 2


def test_tpe_closes_in_on_the_maximum_when_told_so() -> None:
    configs = run(bound(LINE, modes=("max",)), lambda c: -((c["x"] - 0.3) ** 2), 60)
    assert sum(abs(c["x"] - 0.3) for c in configs[-10:]) < sum(abs(c["x"] - 0.3) for c in configs[:10]) / 2


def test_tpe_learns_which_branch_is_good() -> None:
    space = {
        "m": choice([{"kind": "good", "x": uniform(0, 1)}, {"kind": "bad", "x": uniform(5, 6), "y": randint(0, 9)}])
    }
    configs = run(bound(space), lambda c: c["m"]["x"], 50)
    assert sum(c["m"]["kind"] == "good" for c in configs[-20:]) >= 14


@pytest.mark.parametrize(
    "domain",
    [
        uniform(-1, 1),
        loguniform(1e-5, 1),
        quniform(-0.3, 0.3, 0.1),
        qloguniform(1e-3, 1, 1e-3),
        randint(3, 4),
        randint(-5, 5),
        lograndint(1, 1000),
        qrandint(2, 11, 3),
        qlograndint(3, 300, 3),
        choice([None, (1, 2), len, True, 1]),
        choice([uniform(0, 1), uniform(2, 3)]),
        randn(0, 2),
        Stepped(0.05, 1.0, 0.25),
        Stepped(1, 12, 5),
        lognormal(0, 1),
        reverseloguniform(0.5, 0.999),
        logfinrange(1, 64, 7, cast_int=True),
        ordinal(["small", None, ("large",)]),
    ],
    ids=repr,
)
def test_every_domain_is_suggested_within_itself(domain: Domain) -> None:
    searcher = bound({"p": domain, "n": [{"q": domain}]}, OptunaSearch(skip_duplicate=False))
    configs = run(searcher, lambda c: len(repr(c)), 25)
    assert all(domain.contains(config["p"]) and domain.contains(config["n"][0]["q"]) for config in configs)
    assert states(searcher) == [TrialState.COMPLETE] * 25


@given(domain=ordered_domains(), seed=st.integers())
def test_a_value_comes_back_from_what_optuna_is_told(domain: Ordered, seed: int) -> None:
    value = domain.sample(Random(seed))
    (told,) = parameters_of_value("p", domain, value)
    distribution = distribution_of(domain)
    assert distribution == told.distribution
    assert distribution._contains(distribution.to_internal_repr(told.value))
    assert suggest(FixedTrial({"p": told.value}), "p", domain, distribution) == value  # type: ignore[arg-type]


def test_tpe_learns_which_of_ordered_categories_is_good() -> None:
    space = {"size": ordinal(list("abcdefghij")), "noise": randn(0, 3)}
    configs = run(bound(space), lambda c: abs("abcdefghij".index(c["size"]) - 7) + abs(c["noise"]), 60)
    assert sum(config["size"] in "ghi" and abs(config["noise"]) < 1.5 for config in configs[-20:]) >= 12


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsgaii", "qmc"])
def test_no_configuration_of_a_finite_space_comes_twice_and_then_the_search_ends(sampler: str) -> None:
    space = {
        "a": choice(["p", "q"]),
        "b": choice([{"kind": "x", "n": randint(0, 3)}, {"kind": "y"}]),
        "c": quniform(0, 1, 1),
    }
    searcher = bound(space, OptunaSearch(sampler=sampler), num_samples=99)
    configs = run(searcher, lambda c: len(repr(c)) + c["c"], 2 * 4 * 2)
    assert len({repr(config) for config in configs}) == len(configs)
    assert searcher.suggest("t16") is FINISHED


def test_what_was_asked_for_is_tried_twice() -> None:
    points = [{"a": 1}, {"a": 1}]
    configs = run(bound({"a": randint(0, 3)}, OptunaSearch(points_to_evaluate=points)), lambda c: 0.0, 4)
    assert [config["a"] for config in configs[:2]] == [1, 1]
    assert sorted(config["a"] for config in configs[1:]) == [0, 1, 2]


def test_options_of_a_choice_are_the_very_objects() -> None:
    options = [object(), [64, 64]]
    configs = run(bound({"p": choice(options), "x": uniform(0, 1)}), lambda c: 0.0, 20)
    assert {id(config["p"]) for config in configs} == set(map(id, options))


def test_sample_from_sees_what_the_sampler_suggested() -> None:
    space = {
        "x": uniform(0, 1),
        "double": sample_from(lambda c: c.x * 2),
        "within": sample_from(lambda c: uniform(0, c.x)),
    }
    for config in run(bound(space), lambda c: c["x"], 15):
        assert config["double"] == config["x"] * 2
        assert 0 <= config["within"] <= config["x"]


def test_a_failed_trial_neither_attracts_nor_repels() -> None:
    untouched, burnt = bound(LINE), bound(LINE)
    for searcher in (untouched, burnt):
        run(searcher, lambda c: c["x"] ** 2, 20)
    endings: list[tuple[Any, bool]] = [(None, True), (None, False), ({"loss": 0.0}, True), ({"loss": math.nan}, False)]
    endings += [({"loss": math.inf}, False), ({"loss": "low"}, False), ({}, False)]
    for number, (result, error) in enumerate(endings, start=30):
        burnt.on_trial_add(f"t{number}", {"x": 0.001})
        burnt.on_trial_complete(f"t{number}", result, error)
    assert states(burnt)[20:] == [TrialState.FAIL] * len(endings)
    assert burnt.suggest("t99") == untouched.suggest("t99")


def test_running_trials_repel() -> None:
    """A crowd of running trials around the best point makes TPE look elsewhere."""
    alone, crowded = bound(LINE), bound(LINE)
    for searcher in (alone, crowded):
        run(searcher, lambda c: (c["x"] - 0.3) ** 2, 30)
    for number in range(100, 130):
        crowded.on_trial_add(f"t{number}", {"x": 0.3})
    suggestions = [(alone.suggest(f"t{number}"), crowded.suggest(f"t{number}")) for number in range(40, 60)]
    distances = [[abs(config["x"] - 0.3) for config in pair if isinstance(config, dict)] for pair in suggestions]
    assert sum(near for near, _ in distances) < sum(far for _, far in distances)


def test_a_trial_stopped_early_counts_with_its_last_value() -> None:
    searcher = bound(LINE)
    searcher.on_trial_add("t0", {"x": 0.5})
    searcher.on_trial_result("t0", {"loss": 3.0})
    searcher.on_trial_complete("t0", {"loss": 2.0})
    searcher.on_trial_complete("t0", {"loss": 1.0})
    assert searcher._history.trials[0].values == [2.0]


def test_a_trial_outside_the_space_is_overlooked_and_said(caplog: pytest.LogCaptureFixture) -> None:
    searcher = bound({"x": uniform(0, 1), "n": {"k": randint(0, 3)}})
    searcher.on_trial_add("t0", {"x": 2.0, "n": {"k": 1}})
    searcher.on_trial_add("t1", {"x": 0.5})
    searcher.on_trial_complete("t0", {"loss": 1.0})
    assert states(searcher) == []
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "x = 2.0 is not in uniform(0.0, 1.0)",
        "it has no n",
    ]


def test_points_come_first_and_partial_ones_are_completed() -> None:
    space = {"x": uniform(-1, 1), "m": choice([{"kind": "a"}, {"kind": "b", "C": uniform(0, 1)}])}
    searcher = bound(
        space, OptunaSearch(points_to_evaluate=[{"x": 0.25}, {"m/kind": "b", "x": 1}, {"m": {"kind": "a"}}])
    )
    first, second, third, fourth = run(searcher, lambda c: c["x"], 4)
    assert first["x"] == 0.25
    assert second["m"]["kind"] == "b"
    assert 0 <= second["m"]["C"] <= 1
    assert second["x"] == 1.0
    assert third["m"] == {"kind": "a"}
    assert fourth["x"] not in (0.25, 1.0)


def test_evaluated_points_are_learned_from_and_not_tried() -> None:
    searcher = bound(LINE, OptunaSearch(points_to_evaluate=[{"x": 0.5}, {"x": -0.5}], evaluated_rewards=[1, 2.0]))
    assert [trial.values for trial in searcher._history.trials] == [[1.0], [2.0]]
    assert searcher.suggest("t0") != {"x": 0.5}


def test_several_objectives_are_told_together() -> None:
    space = {"x": uniform(-1, 1), "m": choice([{"a": uniform(0, 1)}, {"b": uniform(0, 1)}])}
    searcher = bound(space, OptunaSearch(metric=["loss", "seconds"], mode=["min", "min"]), metrics=(), modes=())
    for number in range(20):
        config = searcher.suggest(f"t{number}")
        assert isinstance(config, dict)
        searcher.on_trial_add(f"t{number}", config)
        searcher.on_trial_complete(f"t{number}", {"loss": config["x"], "seconds": 1 - config["x"]})
    assert states(searcher) == [TrialState.COMPLETE] * 20
    assert len(searcher._history.trials[0].values) == 2


def test_a_define_by_run_function_may_return_constants() -> None:
    def define(trial: optuna.Trial) -> dict[str, Any]:
        if trial.suggest_categorical("kind", ["line", "curve"]) == "curve":
            trial.suggest_int("degree", 2, 5)
        return {"epochs": 3, "base": "overridden"}

    searcher = bound(
        {"base": "given", "n": 1}, OptunaSearch(define, points_to_evaluate=[{"kind": "curve", "degree": 4}])
    )
    configs = run(searcher, lambda c: c.get("degree", 9), 30)
    assert configs[0] == {"base": "overridden", "n": 1, "epochs": 3, "kind": "curve", "degree": 4}
    assert sum(config["kind"] == "curve" for config in configs[-10:]) >= 7
    assert states(searcher) == [TrialState.COMPLETE] * 30


def test_a_space_of_its_own_is_joined_with_the_runs_constants() -> None:
    searcher = bound({"epochs": 3}, OptunaSearch(LINE))
    config = searcher.suggest("t0")
    assert isinstance(config, dict)
    assert config.keys() == {"epochs", "x"}


def test_optuna_says_nothing_and_its_settings_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("optuna")
    before = (logger.level, list(logger.handlers), logger.propagate, list(logger.filters))
    optuna.logging.enable_propagation()
    try:
        run(bound({"m": choice([{"a": uniform(0, 1)}, {"b": uniform(0, 1)}])}), lambda c: 0.0, 20)
    finally:
        optuna.logging.disable_propagation()
    assert not [record for record in caplog.records if record.name.startswith("optuna")]
    assert (logger.level, list(logger.handlers), logger.propagate, list(logger.filters)) == before


def test_optuna_is_imported_when_a_searcher_is_bound_and_not_before() -> None:
    program = "import sys; from searchers import OptunaSearch; OptunaSearch(); sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_the_users_sampler_is_not_touched() -> None:
    sampler = optuna.samplers.TPESampler(seed=1)
    before = sampler._rng.rng.get_state()[1].tolist()  # type: ignore[index]
    run(bound(LINE, OptunaSearch(sampler=sampler)), lambda c: c["x"], 15)
    assert sampler._rng.rng.get_state()[1].tolist() == before  # type: ignore[index]


REFUSED: dict[str, Callable[[], Any]] = {
    "a is a grid_search; use choice": lambda: bound({"a": grid_search([1])}),
    "grid_search within choice": lambda: bound({"a": choice([grid_search([1])])}),
    "the searcher has metric loss and the run has accuracy": lambda: bound(
        LINE, OptunaSearch(metric="loss", mode="min"), metrics=("accuracy",)
    ),
    "the searcher has mode max and the run has min": lambda: bound(LINE, OptunaSearch(mode="max")),
    "no metric to optimise": lambda: bound(LINE, metrics=(), modes=()),
    "is a small loss better, or a large one": lambda: bound(LINE, OptunaSearch(metric="loss"), metrics=(), modes=()),
    "mode must be 'min' or 'max', not 'minimum'": lambda: bound(LINE, modes=("minimum",)),
    "each metric needs a mode of its own: 2 metrics, 1 modes": lambda: bound(LINE, metrics=("a", "b")),
    "a metric is named twice in a, a": lambda: bound(LINE, metrics=("a", "a"), modes=("min", "max")),
    "was given to OptunaSearch and to the run": lambda: bound(LINE, OptunaSearch({"y": uniform(0, 1)})),
    "space must be a dict with domains or a function": lambda: bound({}, OptunaSearch(3)),  # type: ignore[arg-type]
    "no sampler 'tpee'; did you mean 'tpe'?": lambda: OptunaSearch(sampler="tpee"),
    "GridSampler ends a study by itself": lambda: OptunaSearch(sampler=optuna.samplers.GridSampler({"x": [1]})),
    "one value for each of points_to_evaluate, not 1 for 0": lambda: OptunaSearch(evaluated_rewards=[1]),
    "points_to_evaluate[0]: x = 3 is not in uniform(-1.0, 1.0)": lambda: bound(
        LINE, OptunaSearch(points_to_evaluate=[{"x": 3}])
    ),
    "evaluated_rewards[0] must be a finite number for each metric, not nan": lambda: bound(
        LINE, OptunaSearch(points_to_evaluate=[{"x": 0}], evaluated_rewards=[math.nan])
    ),
    "points_to_evaluate[0] was evaluated, so it must be complete: it has no x": lambda: bound(
        LINE, OptunaSearch(points_to_evaluate=[{}], evaluated_rewards=[1])
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_makes_no_sense_is_refused(message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the message is compared below
        REFUSED[message]()
    assert message in str(raised.value)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_that_optuna_ships_is_had_by_its_name(name: str) -> None:
    for package in {"gp": ["torch"], "cmaes": ["cmaes"]}.get(name, []):
        pytest.importorskip(package)
    configs = run(bound({"x": uniform(0, 1), "y": uniform(0, 1)}, OptunaSearch(sampler=name)), lambda c: c["x"], 12)
    assert len({(config["x"], config["y"]) for config in configs}) == 12  # a model may come to one edge twice


@pytest.mark.parametrize("name", ["tpe", "random", "nsgaii", "nsgaiii", "qmc"])
def test_these_samplers_take_several_objectives(name: str) -> None:
    searcher = OptunaSearch(sampler=name)
    searcher.bind(SearchContext({"x": uniform(0, 1)}, ("a", "b"), ("min", "max"), 0, 20))
    for number in range(12):
        config = searcher.suggest(f"t{number}")
        assert isinstance(config, dict)
        searcher.on_trial_add(f"t{number}", config)
        searcher.on_trial_complete(f"t{number}", {"a": config["x"], "b": config["x"] ** 2})


def test_parameters_may_be_fixed() -> None:
    space = {"x": uniform(0, 1), "net": {"depth": randint(1, 9), "kind": choice(["a", "b"])}}
    searcher = bound(space, OptunaSearch(fixed={"net": {"depth": 3}}, points_to_evaluate=[{"net/kind": "b"}]))
    configs = [searcher.suggest(f"t{number}") for number in range(8)]
    assert {config["net"]["depth"] for config in configs} == {3}
    assert configs[0]["net"] == {"depth": 3, "kind": "b"}
    assert len({config["x"] for config in configs}) == 8
    with pytest.raises(ValueError, match="fixed: net/depth = 12 is not in randint"):
        bound(space, OptunaSearch(fixed={"net": {"depth": 12}}))


def test_optunas_partial_fixed_sampler_works_as_an_object() -> None:
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        sampler = optuna.samplers.PartialFixedSampler({"net/depth": 3}, optuna.samplers.TPESampler(n_startup_trials=2))
    searcher = bound({"x": uniform(0, 1), "net": {"depth": randint(1, 9)}}, OptunaSearch(sampler=sampler))
    configs = run(searcher, lambda config: config["x"], 8)
    assert {config["net"]["depth"] for config in configs} == {3}
