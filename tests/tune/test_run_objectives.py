"""Optuna objectives as they are: parameters asked while they run, pruning, attributes, and restarts."""

from __future__ import annotations

import math
import os
import signal
from functools import partial

import optuna
import pytest

import tune
from schedulers import ASHAScheduler
from searchers import BasicVariantGenerator, OptunaSearch
from tests.tune.trainables import iterations


def every_kind(trial):
    """One parameter of each kind, one of them only sometimes."""
    kind = trial.suggest_categorical("kind", ["linear", "deep"])
    value = trial.suggest_float("lr", 1e-5, 1e-1, log=True) + trial.suggest_float("dropout", 0.0, 0.5, step=0.1)
    value += trial.suggest_int("units", 8, 64, step=8) + trial.suggest_int("batch", 1, 1024, log=True)
    value += trial.suggest_float("x", -1, 1) + trial.suggest_int("k", 3, 5)
    if kind == "deep":
        value += trial.suggest_int("layers", 2, 4)
    return value


@pytest.mark.parametrize(
    "search",
    [
        BasicVariantGenerator,
        lambda: OptunaSearch(sampler=optuna.samplers.RandomSampler()),
        lambda: OptunaSearch(sampler=optuna.samplers.TPESampler(n_startup_trials=5)),
    ],
    ids=["random", "optuna-random", "tpe"],
)
def test_every_kind_of_parameter_is_asked_and_kept(run, search):
    results = run(every_kind, search_alg=search(), num_samples=12, seed=2, reuse_actors=True)

    kinds = set()
    for one in results:
        config = one.config
        assert one.state == "TERMINATED"
        assert one.metrics["value"] == pytest.approx(sum(v for v in config.values() if v not in ("linear", "deep")))
        assert 1e-5 <= config["lr"] <= 1e-1
        assert config["dropout"] in [pytest.approx(step / 10) for step in range(6)]
        assert config["units"] in range(8, 65, 8)
        assert 1 <= config["batch"] <= 1024
        assert -1 <= config["x"] <= 1
        assert config["k"] in (3, 4, 5)
        assert ("layers" in config) == (config["kind"] == "deep")
        assert {name: type(config[name]) for name in ("units", "batch", "k")} == dict.fromkeys(
            ("units", "batch", "k"), int
        )
        kinds.add(config["kind"])
    assert kinds == {"linear", "deep"}
    assert len({one.config["x"] for one in results}) == 12


def test_value_is_minimised_unless_something_else_is_said(run):
    def parabola(trial):
        return trial.suggest_int("x", 0, 100) ** 2

    results = run(parabola, num_samples=6, seed=1)

    assert (results.metric, results.mode) == ("value", "min")
    assert results.best_config["x"] == min(one.config["x"] for one in results)


def test_a_metric_and_maximising_are_taken_over(run):
    def objective(trial):
        return trial.suggest_int("x", 0, 100)

    results = run(objective, metric="accuracy", mode="max", num_samples=6, seed=1)

    assert results.best_result["accuracy"] == max(one.config["x"] for one in results)
    assert "value" not in results.best_result


def test_maximising_alone_maximises_the_value(run):
    def objective(trial):
        return trial.suggest_int("x", 0, 100)

    results = run(objective, mode="max", num_samples=6, seed=1)

    assert results.best_result["value"] == max(one.config["x"] for one in results)


@pytest.mark.parametrize("pruned", [tune.TrialPruned, optuna.TrialPruned, optuna.exceptions.TrialPruned])
def test_an_objective_is_pruned_by_the_scheduler(run, pruned):
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        for step in range(9):
            trial.report(x + 1 / (step + 1), step)
            if trial.should_prune():
                raise pruned
        return x

    results = run(
        objective, scheduler=ASHAScheduler(max_t=9, reduction_factor=3), num_samples=9, seed=4, max_concurrent_trials=1
    )

    lengths = {len(iterations(one)) for one in results}
    assert [one.state for one in results] == ["TERMINATED"] * 9
    assert min(lengths) == 1
    assert max(lengths) >= 9


def test_an_objective_may_prune_itself(run):
    def objective(trial):
        trial.report(3.0, 0)
        raise optuna.TrialPruned

    result = run(objective)[0]

    assert result.state == "TERMINATED"
    assert result.error is None
    assert iterations(result) == [1]
    assert result.metrics["value"] == 3.0


def test_one_that_never_looks_at_should_prune_runs_to_its_end(run):
    def objective(trial):
        for step in range(4):
            trial.report(step, step)
        return 7.0

    result = run(objective, stop={"training_iteration": 2})[0]

    assert result.state == "TERMINATED"
    assert iterations(result)[:4] == [1, 2, 3, 4]


def test_an_annotation_is_enough_whatever_the_parameter_is_called(run):
    def annotated(t: optuna.Trial) -> float:
        return t.suggest_float("x", 0, 1)

    def as_text(t: "optuna.trial.Trial") -> float:  # noqa: UP037 (quoted although it is deferred already)
        return t.suggest_float("x", 0, 1)

    assert "x" in run(annotated)[0].config
    assert "x" in run(as_text, name="f")[0].config


def test_user_attributes_are_kept_with_the_value(run):
    def objective(trial):
        trial.set_user_attr("size", 12)
        trial.set_user_attr("name", "best")
        return trial.user_attrs["size"] / 2

    metrics = run(objective)[0].metrics

    assert (metrics["value"], metrics["size"], metrics["name"]) == (6.0, 12, "best")


def test_a_trial_knows_its_number_and_its_parameters(run):
    def objective(trial):
        trial.suggest_int("x", 1, 1)
        trial.suggest_int("y", 2, 9)
        assert set(trial.params) == {"x", "y"}
        assert trial.params["x"] == 1
        return trial.number

    assert [one.metrics["value"] for one in run(objective, num_samples=3)] == [0, 1, 2]


def test_the_same_name_is_asked_once_and_answered_alike(run):
    def objective(trial):
        first = trial.suggest_float("x", 0, 1)
        assert trial.suggest_float("x", 0, 1) == first
        return first

    assert run(objective)[0].state == "TERMINATED"


def test_parameters_are_answered_alike_when_the_trial_runs_again(run, tmp_path):
    def objective(trial):
        seen = [trial.suggest_float("x", 0, 1), trial.suggest_categorical("c", ["a", "b", "c", "d"])]
        with (tmp_path / str(trial.number)).open("a") as file:
            file.write(f"{seen}\n")
        if tune.get_context().get_attempt() < 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return seen[0] + trial.suggest_float("y", 0, 1)

    results = run(objective, num_samples=2, max_failures=2)

    for at, one in enumerate(results):
        lines = (tmp_path / str(at)).read_text().splitlines()
        assert len(lines) == 3
        assert len(set(lines)) == 1
        assert list(one.config) == ["x", "c", "y"]


def test_a_configuration_fixes_parameters_that_are_asked_for(run):
    def objective(trial):
        return trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1)

    result = run(objective, config={"x": 0.25})[0]

    assert result.config["x"] == 0.25
    assert result.metrics["value"] == 0.25 + result.config["y"]


@pytest.mark.parametrize(("value", "said"), [(None, "NoneType"), ("good", "'good'"), ((1, 2), r"\(1, 2\)")])
def test_an_objective_that_returns_no_number_fails_saying_so(run, value, said):
    def objective(trial):
        return value

    with pytest.raises(tune.TrialFailedError, match=said):
        run(objective)


def test_nan_is_kept_and_never_best(run):
    def objective(trial):
        x = trial.suggest_categorical("x", [0, 1])
        return math.nan if x == 0 else float(x)

    results = run(objective, search_alg=OptunaSearch(), num_samples=10, seed=1)

    values = [one.metrics["value"] for one in results]
    assert [one.state for one in results] == ["TERMINATED"] * 10
    assert any(math.isnan(value) for value in values)
    assert results.best_result["value"] == 1.0


def test_several_objectives_are_returned_as_a_tuple(run):
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        return x, 1 - x

    result = run(objective, metric=["cost", "gain"], mode=["min", "max"], search_alg=OptunaSearch())[0]

    assert result.metrics["cost"] + result.metrics["gain"] == pytest.approx(1)


def test_an_intermediate_value_of_several_objectives_is_refused_as_optuna_does(run):
    def objective(trial):
        trial.report(1.0, 0)
        return 1, 2

    with pytest.raises(tune.TrialFailedError, match="NotImplementedError.*several"):
        run(objective, metric=["cost", "gain"], mode=["min", "max"])


def test_attributes_set_before_a_report_are_kept_when_the_trial_is_pruned(run):
    def objective(trial):
        trial.set_user_attr("size", 12)
        trial.report(1.0, 0)
        raise optuna.TrialPruned

    assert run(objective)[0].metrics["size"] == 12


class Objective:
    """An objective with data of its own, as Optuna's documentation recommends."""

    def __init__(self, data):
        self.data = data

    def __call__(self, trial):
        return trial.suggest_int("x", 1, 3) + sum(self.data)


def shifted(trial, shift):
    return trial.suggest_int("x", 1, 3) + shift


@pytest.mark.parametrize(
    "objective",
    [Objective([1, 2]), partial(shifted, shift=3), lambda trial: shifted(trial, 3)],
    ids=["object", "partial", "lambda"],
)
def test_objectives_with_data_come_in_any_form(run, objective):
    result = run(objective)[0]

    assert result.metrics["value"] == result.config["x"] + 3


def test_impossible_parameters_are_refused_where_they_are_asked(run):
    def objective(trial):
        return trial.suggest_float("x", 1e-3, 1, step=0.1, log=True)

    def backwards(trial):
        return trial.suggest_float("x", 1, 0)

    with pytest.raises(tune.TrialFailedError, match="step and log=True"):
        run(objective)
    with pytest.raises(tune.TrialFailedError, match="ValueError"):
        run(backwards, name="f")


def test_tpe_learns_from_what_objectives_return(run):
    def objective(trial):
        return (trial.suggest_float("x", -10, 10) - 2) ** 2

    results = run(
        objective, search_alg=OptunaSearch(), num_samples=40, seed=1, reuse_actors=True, max_concurrent_trials=1
    )

    late = [abs(one.config["x"] - 2) for one in results[25:]]
    early = [abs(one.config["x"] - 2) for one in results[:10]]
    assert sum(late) / len(late) < sum(early) / len(early) / 2
