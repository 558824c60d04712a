"""What the run itself makes trials wait for is not charged to them; hung trials are asked where they stand together."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import numpy as np
import pytest

import tune
from schedulers.base import Continue, TrialScheduler
from searchers.variants import RandomSearch
from tests.tune.bench import Bench, make_plan
from tests.tune.trainables import iterations
from tune.machine.events import Begun, HeldUp
from tune.size import MOST_CONFIGURED, weight
from tune.storage import journal

QUIET = {"metric": "score", "mode": "max", "raise_on_failed_trial": False}


def steady(config):
    """Report three times, each with an answer; what was told to end would not come to the next."""
    for step in range(1, 4):
        tune.report({"score": step})
        time.sleep(0.4)


class Asked(TrialScheduler):
    """Promises nothing, so that trials wait for the answer to each report."""

    def on_trial_result(self, trial, result):
        return Continue()


def test_a_timeout_does_not_go_on_while_trials_could_only_wait_for_us() -> None:
    bench = Bench(make_plan(report_timeout_s=10.0, trial_timeout_s=100.0))
    bench.start()
    bench.happen(Begun("t0", 1))
    bench.now = 9.0
    bench.happen(HeldUp(7.0))
    assert bench.experiment.next_deadline == 17.0
    assert bench.experiment.due(16.0) == []
    (timed_out,) = bench.experiment.due(17.0)
    assert "report_timeout_s" in timed_out.why


def test_nobody_is_given_more_time_than_has_passed_since_it_was_heard() -> None:
    bench = Bench(make_plan(report_timeout_s=10.0))
    bench.now = 5.0
    bench.start()
    bench.happen(Begun("t0", 1))
    bench.now = 6.0
    bench.happen(HeldUp(7.0))
    assert bench.experiment.next_deadline == 16.0


@pytest.mark.fault("F5", "F33")
def test_a_slow_search_is_not_charged_to_a_trial_that_waits_for_its_answer(run):
    class Slow(RandomSearch):
        """Has something for the second trial once the first has reported, and thinks long about it."""

        reported = False

        def suggest(self, trial_id):
            if trial_id == "t1" and not self.reported:
                return None
            if trial_id == "t1":
                time.sleep(2.7)
            return super().suggest(trial_id)

        def on_trial_result(self, trial_id, result):
            self.reported = True

    space = {"x": tune.uniform(0, 1)}
    results = run(steady, config=space, search_alg=Slow(), num_samples=2, report_timeout_s=2.0, **QUIET)
    assert [(one.state, iterations(one)) for one in results] == [("TERMINATED", [1, 2, 3])] * 2


@pytest.mark.fault("F5", "F33")
def test_a_slow_scheduler_is_not_charged_to_trials_either(run):
    class Slow(Asked):
        def on_trial_result(self, trial, result):
            if trial.trial_id == "t0" and result["score"] == 1:
                time.sleep(2.7)
            return super().on_trial_result(trial, result)

    results = run(steady, scheduler=Slow(), num_samples=2, report_timeout_s=2.0, **QUIET)
    assert [(one.state, iterations(one)) for one in results] == [("TERMINATED", [1, 2, 3])] * 2


@pytest.mark.fault("F5", "F23")
def test_a_disk_that_does_not_answer_is_not_charged_to_trials(run, tmp_path):
    class Stall(tune.Callback):
        """Holds the journal's file for itself for a while."""

        def on_trial_result(self, *, result, **rest):
            if result["score"] == 1:
                database = tmp_path / "e" / journal.DATABASE
                with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
                    connection.execute("PRAGMA busy_timeout = 10000")
                    connection.execute("BEGIN IMMEDIATE")
                    time.sleep(2.7)
                    connection.execute("ROLLBACK")

    results = run(steady, scheduler=Asked(), callbacks=[Stall()], report_timeout_s=2.0, **QUIET)
    assert [(one.state, iterations(one)) for one in results] == [("TERMINATED", [1, 2, 3])]


@pytest.mark.fault("F5")
@pytest.mark.parametrize("reuse_actors", [False, True])
def test_trials_that_hang_together_are_asked_together_and_each_says_where_it_stands(run, reuse_actors):
    def hang(config):
        tune.report({"score": 1})
        if config["hangs"]:
            time.sleep(1000)

    space = {"hangs": tune.grid_search([True, True, True, True, False])}
    limits = {"resources_per_trial": {"cpu": 0.25}, "report_timeout_s": 2.0, "reuse_actors": reuse_actors}
    results = run(hang, config=space, **limits, **QUIET)
    assert [one.state for one in results] == ["ERROR"] * 4 + ["TERMINATED"]
    assert ["in hang" in str(one.error) for one in results[:4]] == [True] * 4


@pytest.mark.fault("F21")
@pytest.mark.parametrize("way", ["returned", "stepped", "nested"])
def test_a_large_result_is_refused_whichever_way_it_comes(run, way):
    large = {"score": 1, "weights": {"layer": ["x" * (1 << 20)] * 100} if way == "nested" else "x" * (100 << 20)}

    class Stepping(tune.Trainable):
        def step(self):
            return large

    def train(config):
        return large if way == "returned" else tune.report(large)

    (result,) = run(Stepping if way == "stepped" else train, max_failures=3, **QUIET)
    assert (result.state, result.attempts) == ("ERROR", 1)
    assert "the largest part of it as 'weights'" in str(result.error)


@pytest.mark.fault("F21")
def test_a_configuration_that_is_too_large_is_refused_before_anything_starts(run, tmp_path):
    mistake = r"config holds 32 MiB, most of it under 'data', and a configuration may have 16: .*with_parameters"
    with pytest.raises(tune.InvalidArgumentError, match=mistake):
        run(steady, config={"data": np.zeros(4 << 20), "x": tune.uniform(0, 1)})
    assert not (tmp_path / "e").exists()


@pytest.mark.fault("F21")
def test_a_suggestion_that_is_too_large_ends_the_search_with_a_sentence(run):
    class Hoarding(RandomSearch):
        def suggest(self, trial_id):
            return {"x": "y" * (MOST_CONFIGURED + 1)} if trial_id == "t1" else {"x": "y"}

    with pytest.raises(
        tune.SearcherError, match="what was suggested for t1 holds 16 MiB, most of it under 'x'"
    ) as raised:
        run(steady, search_alg=Hoarding(), num_samples=3, metric="score", mode="max")
    assert [one.state for one in raised.value.results] == ["TERMINATED"]


@pytest.mark.parametrize(
    ("value", "least"),
    [("x" * 100, 100), ([1.0] * 10, 80), ({"a": {"b": "x" * 50}}, 50), (b"x" * 70, 70), (object(), 1)],
)
def test_whatever_a_value_is_has_a_weight(value, least):
    assert least <= weight(value) <= least + 40
