"""Function trainables: what they may report, return and yield, and what is kept of it."""

from __future__ import annotations

import enum
import math
import os
import threading
from functools import partial

import numpy as np
import pytest

import tune
from tests.tune.trainables import iterations, saving, steps_done, steps_in


def history(result, name):
    return list(result.metrics_dataframe[name])


def test_metrics_are_reported_as_a_dictionary_as_keywords_or_both(run):
    def train(_config):
        tune.report({"a": 1, "b": 1})
        tune.report(a=2, b=2)
        tune.report({"a": 3}, b=3)
        tune.report({"a": 0}, a=4, b=4)
        tune.report({"checkpoint_score": 1, "a": 5, "b": 5})
        tune.report()

    result = run(train)[0]

    assert iterations(result) == [1, 2, 3, 4, 5, 6]
    assert history(result, "a")[:5] == [1, 2, 3, 4, 5]
    assert history(result, "b")[:5] == [1, 2, 3, 4, 5]


def test_what_a_function_returns_is_its_last_report(run):
    def dictionary(_config):
        tune.report(a=1)
        return {"a": 2}

    def number(_config):
        return 7

    def numpy_number(_config):
        return np.float32(0.5)

    def nothing(_config):
        tune.report(a=1)

    assert history(run(dictionary)[0], "a") == [1, 2]
    assert run(number, name="f", metric="loss", mode="min")[0].metrics["loss"] == 7
    assert run(number, name="g")[0].metrics["_metric"] == 7
    assert run(numpy_number, name="i", metric="loss", mode="min")[0].metrics["loss"] == 0.5
    assert iterations(run(nothing, name="h")[0]) == [1]


def test_a_function_that_reports_nothing_at_all_has_an_empty_result(run):
    def silent(_config):
        pass

    result = run(silent)[0]

    assert result.state == "TERMINATED"
    assert result.metrics == {}
    assert iterations(result) == []


def test_a_generator_yields_dictionaries_numbers_and_pairs_with_checkpoints(run, tmp_path):
    def train(_config):
        assert tune.get_checkpoint() is None
        yield {"loss": 3}
        yield 2
        yield {"loss": 1}, saving(3)
        yield 0.5, saving(4)

    result = run(train, metric="loss", mode="min")[0]

    assert history(result, "loss") == [3, 2, 1, 0.5]
    assert steps_in(result.checkpoint) == 4


def test_what_a_generator_returns_is_its_last_result_and_it_may_report_as_well(run):
    def train(_config):
        yield {"a": 1}
        tune.report(a=2)
        yield {"a": 3}
        return {"a": 4}

    assert history(run(train)[0], "a") == [1, 2, 3, 4]


def test_a_generator_that_is_stopped_runs_its_finally_block(run, tmp_path):
    def train(_config):
        try:
            while True:
                yield {"a": 1}
        finally:
            (tmp_path / "tidied").touch()

    assert iterations(run(train, stop={"training_iteration": 3})[0]) == [1, 2, 3]
    assert (tmp_path / "tidied").exists()


def test_a_generator_goes_on_from_its_checkpoint(run):
    def train(_config):
        for step in range(steps_done() + 1, 6):
            if step == 4 and tune.get_context().get_attempt() == 1:
                os._exit(1)
            yield {"step": step}, saving(step)

    assert history(run(train, max_failures=1)[0], "step") == [1, 2, 3, 4, 5]


def test_numpy_scalars_become_plain_numbers(run):
    def train(_config):
        tune.report(
            a=np.float64(1.5), b=np.int32(2), c=np.bool_(True), d=np.array(3.5), e=np.array([4]), f=np.float32("nan")
        )

    metrics = run(train, metric="a", mode="max")[0].metrics

    assert {name: metrics[name] for name in "abcde"} == {"a": 1.5, "b": 2, "c": True, "d": 3.5, "e": 4}
    assert [type(metrics[name]) for name in "abcde"] == [float, int, bool, float, int]
    assert math.isnan(metrics["f"])


def test_any_json_value_is_kept(run):
    class Colour(enum.StrEnum):
        RED = "red"

    kept = {
        "text": "näher\n",
        "nothing": None,
        "list": [1, "two", None, [3.5]],
        "nested": {"deep": {"er": [{"a": 1}]}},
        "flag": False,
        "big": 2**70,
        "infinite": math.inf,
        "empty": {},
    }

    def train(_config):
        tune.report({**kept, "pair": (1, 2), "colour": Colour.RED})

    metrics = run(train)[0].metrics

    assert {name: metrics[name] for name in kept} == kept
    assert metrics["pair"] == [1, 2]
    assert metrics["colour"] == "red"


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"a": np.zeros((2, 3))}, r"'a' is an array of shape \(2, 3\)"),
        ({"a": {"b": object()}}, "'a/b' is <object"),
        ({1: 2}, "names of metrics are strings, got 1"),
        ({"loss": "low"}, "'loss' is used to compare trials and must be a number, got 'low'"),
        ({"loss": True}, "'loss' is used to compare trials and must be a number, got True"),
        ({"loss": None}, "'loss' is used to compare trials and must be a number, got None"),
        ([1], r"needs a dictionary of metrics, got \[1\]"),
    ],
)
def test_what_cannot_be_kept_is_refused_at_the_users_own_line(run, metrics, said):
    def train(_config):
        tune.report(metrics)

    with pytest.raises(tune.TrialFailedError, match=said) as raised:
        run(train, metric="loss", mode="min")
    assert "tune.report(metrics)" in str(raised.value)


def test_the_automatic_metrics_are_in_every_result(run):
    def train(_config):
        for step in range(3):
            tune.report(a=step, timesteps_this_iter=10, episodes_this_iter=2)

    result = run(train)[0]
    metrics = result.metrics

    assert metrics["training_iteration"] == metrics["iterations_since_restore"] == 3
    assert metrics["time_total_s"] == metrics["time_since_restore"] >= metrics["time_this_iter_s"] > 0
    assert metrics["timesteps_total"] == 30
    assert metrics["episodes_total"] == 6
    assert metrics["trial_id"] == "t0"
    assert metrics["timestamp"] > 1.7e9
    assert metrics["date"]
    assert metrics["config"] == {}
    assert metrics["done"] is False or metrics["done"] is True
    columns = set(result.metrics_dataframe.columns)
    assert {"training_iteration", "time_this_iter_s", "time_total_s", "timestamp", "timesteps_total"} <= columns


def test_a_nested_metric_decides_by_its_path(run):
    def train(config):
        for step in range(3):
            tune.report({"eval": {"acc": config["x"] * (step + 1)}})

    results = run(train, config={"x": tune.grid_search([1, 3, 2])}, metric="eval/acc", mode="max", stop={"eval/acc": 6})

    assert results.best_config == {"x": 3}
    assert [len(iterations(one)) for one in results] == [3, 2, 3]
    assert list(results[1].metrics_dataframe["eval/acc"]) == [3, 6]
    assert results[1].metrics["eval"] == {"acc": 6}


def test_a_nested_metric_that_is_no_number_is_refused(run):
    def train(_config):
        tune.report({"eval": {"acc": "high"}})

    with pytest.raises(tune.TrialFailedError, match="'eval/acc' is used to compare trials and must be a number"):
        run(train, metric="eval/acc", mode="max")


def test_a_trial_knows_who_it_is(run, tmp_path):
    def train(config):
        context = tune.get_context()
        where = context.get_trial_dir() if config["x"] else None
        return {
            "id": context.get_trial_id(),
            "name": context.get_trial_name(),
            "dir": where,
            "resources": context.get_trial_resources(),
            "experiment": context.get_experiment_name(),
            "attempt": context.get_attempt(),
        }

    results = run(train, config={"x": tune.grid_search([0, 1])}, resources_per_trial={"cpu": 1, "memory": 10**9})

    first, second = (one.metrics for one in results)
    assert (first["id"], second["id"]) == ("t0", "t1")
    assert (first["name"], second["name"]) == ("e_t0", "e_t1")
    assert first["experiment"] == "e"
    assert first["attempt"] == 1
    assert first["resources"] == {"cpu": 1, "memory": 10**9}
    assert second["dir"] == str(tmp_path / "e" / "artifacts" / "t1")
    assert [path.name for path in (tmp_path / "e" / "artifacts").iterdir()] == ["t1"]


def test_outside_of_a_trial_there_is_nothing_to_report_to():
    for call in (
        partial(tune.report, a=1),
        tune.get_checkpoint,
        tune.get_context,
        tune.should_stop,
    ):
        with pytest.raises(tune.NotInTrialError, match="only inside a trial"):
            call()


def test_a_trial_is_left_behind_when_it_is_over(run):
    def train(_config):
        tune.report(a=1)

    run(train)
    with pytest.raises(tune.NotInTrialError):
        tune.report(a=1)


def test_a_thread_of_the_trainable_may_report(run):
    def train(_config):
        def speak():
            for step in range(3):
                tune.report(a=step)

        thread = threading.Thread(target=speak)
        thread.start()
        thread.join()
        tune.report(a=3)

    assert history(run(train)[0], "a") == [0, 1, 2, 3]


def test_should_stop_tells_frameworks_that_swallow_exceptions(run, tmp_path):
    def train(_config):
        for step in range(100):
            try:
                tune.report(step=step)
            except BaseException:
                (tmp_path / "swallowed").touch()
            if tune.should_stop():
                return {"step": -1}
        return None

    result = run(train, stop={"training_iteration": 3})[0]

    assert result.state == "TERMINATED"
    assert (tmp_path / "swallowed").exists()
    assert iterations(result) == [1, 2, 3]


def test_the_configuration_is_each_trials_own(run):
    def train(config):
        config["list"].append(1)
        config["new"] = 1
        return {"length": len(config["list"])}

    results = run(train, config={"list": [], "x": tune.grid_search([1, 2, 3])})

    assert [one.metrics["length"] for one in results] == [1, 1, 1]
    assert [one.config for one in results] == [{"list": [], "x": x} for x in (1, 2, 3)]


class Callable:
    def __call__(self, config):
        return {"a": config["x"]}


def scaled(config, scale):
    return {"a": config["x"] * scale}


@pytest.mark.parametrize(
    "trainable",
    [Callable(), Callable().__call__, partial(scaled, scale=1), lambda config: {"a": config["x"]}],
    ids=["object", "method", "partial", "lambda"],
)
def test_anything_callable_is_a_trainable(run, trainable):
    assert run(trainable, config={"x": 4})[0].metrics["a"] == 4


def test_nan_and_infinity_are_kept_and_never_best(run):
    def train(config):
        tune.report(loss=config["x"])

    results = run(
        train, config={"x": tune.grid_search([math.nan, -math.inf, 3.0, 2.0, math.inf])}, metric="loss", mode="min"
    )

    losses = [one.metrics["loss"] for one in results]
    assert math.isnan(losses[0])
    assert losses[1:] == [-math.inf, 3.0, 2.0, math.inf]
    assert results.best_config == {"x": 2.0}


def test_nan_is_never_fed_to_a_model(run):
    from searchers import OptunaSearch

    def train(config):
        tune.report(loss=math.nan if config["x"] > 0 else config["x"] ** 2)

    results = run(
        train,
        config={"x": tune.uniform(-10, 10)},
        metric="loss",
        mode="min",
        search_alg=OptunaSearch(),
        num_samples=20,
        seed=1,
        reuse_actors=True,
    )

    assert [one.state for one in results] == ["TERMINATED"] * 20
    assert results.best_config["x"] <= 0


def test_an_infinite_loss_is_no_reason_to_end_a_trial_early(run):
    from schedulers import ASHAScheduler

    def train(config):
        for step in range(9):
            tune.report(loss=config["x"] if step == 0 else 1.0)

    results = run(
        train,
        config={"x": tune.grid_search([math.nan, math.inf, 1.0])},
        metric="loss",
        mode="min",
        scheduler=ASHAScheduler(max_t=9, grace_period=9),
    )

    assert [len(iterations(one)) for one in results] == [9, 9, 9]


def test_done_in_a_result_ends_the_trial(run):
    def train(_config):
        for step in range(1, 10):
            tune.report(step=step, done=step == 3)

    result = run(train)[0]

    assert iterations(result) == [1, 2, 3]
    assert result.metrics["done"] is True
    assert result.state == "TERMINATED"
