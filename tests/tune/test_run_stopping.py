"""What ends a trial or the whole run before it ends by itself."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

import tune
from tests.tune.trainables import counting, iterations


def sliding(config):
    for step in range(1, 20):
        tune.report(step=step, loss=config["x"] / step, deep={"er": step})


def lengths(results):
    return [len(iterations(one)) for one in results]


def test_a_threshold_ends_a_trial_when_its_value_is_reached(run):
    result = run(sliding, config={"x": 1}, stop={"step": 3, "training_iteration": 9})[0]

    assert iterations(result) == [1, 2, 3]
    assert result.state == "TERMINATED"
    assert "step reached 3" in result.reason


def test_the_metric_itself_is_reached_from_above_when_less_is_better(run):
    results = run(sliding, config={"x": tune.grid_search([1, 2])}, metric="loss", mode="min", stop={"loss": 0.25})

    assert lengths(results) == [4, 8]


def test_other_values_are_reached_from_below_whatever_the_mode(run):
    results = run(sliding, config={"x": 1}, metric="loss", mode="min", stop={"step": 5})

    assert lengths(results) == [5]


def test_a_nested_value_is_named_by_its_path(run):
    assert lengths(run(sliding, config={"x": 1}, stop={"deep/er": 2})) == [2]


def test_a_function_ends_trials(run):
    def enough(trial_id, result):
        return result["step"] >= (2 if trial_id == "t0" else 4)

    results = run(sliding, config={"x": 1}, num_samples=2, stop=enough)

    assert lengths(results) == [2, 4]
    assert "enough said so" in results[0].reason


class AtMost(tune.Stopper):
    """Ends trials after some steps, and the run after some results."""

    def __init__(self, steps, results=10**9):
        self.steps, self.results, self.seen = steps, results, 0

    def __call__(self, trial_id, result):
        self.seen += 1
        return result["step"] >= self.steps

    def stop_all(self):
        return self.seen >= self.results


def test_a_stopper_ends_trials(run):
    assert lengths(run(sliding, config={"x": 1}, num_samples=2, stop=AtMost(3))) == [3, 3]


def test_a_stopper_ends_the_run(run):
    results = run(sliding, config={"x": 1}, num_samples=10, stop=AtMost(5, 12), max_concurrent_trials=1)

    assert [one.state for one in results] == ["TERMINATED"] * 3
    assert lengths(results)[:2] == [5, 5]
    assert len(iterations(results[2])) < 5


def test_of_a_list_any_ends_the_trial(run):
    results = run(
        sliding,
        config={"x": 1},
        num_samples=2,
        stop=[{"step": 7}, tune.MaximumIterationStopper(5), lambda trial_id, result: trial_id == "t1"],
    )

    assert lengths(results) == [5, 1]


def test_what_is_no_criterion_is_refused_before_anything_starts(run, tmp_path):
    for wrong in (3, {"step": "many"}, ["step"]):
        with pytest.raises(tune.InvalidArgumentError, match="stop"):
            run(sliding, stop=wrong)
    assert not (tmp_path / "e").exists()


def test_a_criterion_that_raises_ends_nothing(run, caplog):
    def broken(trial_id, result):
        raise ValueError("broken criterion")

    assert lengths(run(counting, stop=broken)) == [6]
    assert "broken criterion" in caplog.text


@pytest.mark.parametrize("budget", [0.6, timedelta(seconds=0.6)], ids=["number", "timedelta"])
def test_when_the_time_is_spent_running_trials_end_and_their_results_are_kept(run, tmp_path, budget):
    def train(_config):
        try:
            while True:
                tune.report(a=1)
                time.sleep(0.005)
        finally:
            (tmp_path / f"tidied-{tune.get_context().get_trial_id()}").touch()

    began = time.monotonic()
    results = run(train, num_samples=3, max_concurrent_trials=2, time_budget_s=budget)

    assert 0.6 <= time.monotonic() - began < 6
    assert [one.state for one in results] == ["TERMINATED"] * 2
    assert all(one.metrics["a"] == 1 for one in results)
    assert "time budget" in results[0].reason
    assert len(list(tmp_path.glob("tidied-*"))) == 2


def test_a_budget_that_suffices_changes_nothing(run):
    assert lengths(run(counting, num_samples=2, time_budget_s=3600)) == [6, 6]


def test_without_end_samples_are_drawn_until_something_ends_the_run(run):
    class Ten(tune.Stopper):
        seen = 0

        def __call__(self, trial_id, result):
            self.seen += 1
            return False

        def stop_all(self):
            return self.seen >= 10

    results = run(lambda config: tune.report(step=1), num_samples=-1, stop=Ten(), reuse_actors=True)

    assert 10 <= len(results) <= 12
