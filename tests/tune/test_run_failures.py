"""Trials that fail: what is tried again, what is kept, what is said, and what goes on undisturbed."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

import tune
from tests.tune.trainables import HARMS, counting, iterations, saving, steps_done
from tune.conduct import conduct
from tune.job import Job
from tune.machine.plan import Plan
from tune.settings import FailureConfig, RunConfig, TuneConfig


@pytest.mark.parametrize("harm", HARMS)
def test_a_trial_that_failed_goes_on_from_its_last_checkpoint_with_every_iteration_once(run, harm):
    result = run(counting, config={"harm": harm, "at": 4}, max_failures=1)[0]

    assert result.state == "TERMINATED"
    assert result.attempts == 2
    assert result.error is None
    assert iterations(result) == [1, 2, 3, 4, 5, 6]
    assert list(result.metrics_dataframe["step"]) == [1, 2, 3, 4, 5, 6]
    assert result.metrics["iterations_since_restore"] == 3


def test_a_trial_without_a_checkpoint_starts_again_from_the_beginning(run):
    def forgetful(_config):
        for step in range(1, 5):
            if step == 3 and tune.get_context().get_attempt() == 1:
                raise ValueError
            tune.report(step=step)

    result = run(forgetful, max_failures=1)[0]

    assert iterations(result) == [1, 2, 3, 4]
    assert result.metrics["iterations_since_restore"] == 4


@pytest.mark.fault("F28")
def test_iterations_reported_after_the_last_checkpoint_are_repeated_and_count_once(run):
    def sparing(_config):
        for step in range(steps_done() + 1, 8):
            if step == 6 and tune.get_context().get_attempt() == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            tune.report({"step": step, "attempt": tune.get_context().get_attempt()}, checkpoint=saving(step))

    keep = tune.CheckpointConfig(checkpoint_frequency=3)
    result = run(sparing, max_failures=1, checkpoint_config=keep)[0]

    assert iterations(result) == [1, 2, 3, 4, 5, 6, 7]
    assert list(result.metrics_dataframe["attempt"]) == [1, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("raise", "ValueError: a bad day"),
        ("exit", "exited with code 3"),
        ("os._exit", "exited with code 4"),
        ("segfault", "SIGSEGV"),
        ("abort", "SIGABRT"),
    ],
)
def test_the_error_names_how_the_trial_ended(run, harm, said):
    with pytest.raises(tune.TrialFailedError, match=said) as raised:
        run(counting, config={"harm": harm, "at": 2, "x": 7})

    assert "t0 failed" in str(raised.value)
    assert "'x': 7" in str(raised.value)
    results = raised.value.results
    assert results[0].state == "ERROR"
    assert said in str(results[0].error)
    assert iterations(results[0]) == [1]


def test_the_error_has_the_users_own_frames_only(run):
    def inner(config):
        tune.report({"unkeepable": object()})

    def train(config):
        inner(config)

    with pytest.raises(tune.TrialFailedError) as raised:
        run(train)

    told = str(raised.value)
    assert "in train" in told
    assert "in inner" in told
    assert "metric 'unkeepable' is" in told
    assert told.count('File "') == 2
    assert all(f"/{package}/" not in told for package in ("tune/worker", "executor"))


def test_a_cause_and_what_it_led_to_are_both_told(run):
    def train(config):
        try:
            config["missing"]
        except KeyError as error:
            raise RuntimeError("no such key") from error

    with pytest.raises(tune.TrialFailedError, match="(?s)KeyError.*direct cause.*RuntimeError: no such key"):
        run(train)


def test_minus_one_allows_any_number_of_failures(run):
    result = run(counting, config={"harm": "raise", "at": 2, "failures": 12}, max_failures=-1)[0]

    assert result.attempts == 13
    assert iterations(result) == [1, 2, 3, 4, 5, 6]


def test_a_trial_whose_failures_are_used_up_has_failed(run):
    results = run(
        counting, config={"harm": "raise", "at": 2, "failures": 12}, max_failures=2, raise_on_failed_trial=False
    )

    assert results[0].state == "ERROR"
    assert results[0].attempts == 3
    assert results.num_errors == 1
    assert "ValueError: a bad day" in str(results.errors[0])


def test_a_failing_trial_leaves_the_others_alone(run):
    with pytest.raises(tune.TrialFailedError, match="2 trials failed") as raised:
        run(
            counting,
            config={"harm": tune.grid_search(["none", "segfault", "none", "os._exit"]), "at": 3, "failures": 0}
            | {"failures": tune.sample_from(lambda config: 0 if config["harm"] == "none" else 1)},
        )

    assert [one.state for one in raised.value.results] == ["TERMINATED", "ERROR", "TERMINATED", "ERROR"]
    assert [len(iterations(one)) for one in raised.value.results] == [6, 2, 6, 2]


def test_failed_trials_raise_nothing_when_that_is_not_wanted(run, tmp_path):
    assert run(counting, config={"harm": "raise", "at": 1}, raise_on_failed_trial=False).num_errors == 1
    tuner = tune.Tuner(
        counting,
        param_space={"harm": "raise", "at": 1},
        run_config=tune.RunConfig(name="f", storage_path=tmp_path, verbose=0),
    )
    assert tuner.fit().num_errors == 1


@pytest.mark.parametrize("fail_fast", [True, "raise"])
def test_fail_fast_ends_the_run_at_the_first_failure(tmp_path, fail_fast):
    tuner = tune.Tuner(
        counting,
        param_space={"harm": "raise", "at": tune.grid_search([9, 2, 9, 9, 9])},
        tune_config=tune.TuneConfig(max_concurrent_trials=1),
        run_config=RunConfig(
            name="e", storage_path=tmp_path, verbose=0, failure_config=FailureConfig(fail_fast=fail_fast)
        ),
    )
    if fail_fast == "raise":
        with pytest.raises(tune.TrialFailedError) as raised:
            tuner.fit()
        results = raised.value.results
    else:
        results = tuner.fit()

    assert [one.state for one in results] == ["TERMINATED", "ERROR"]


def test_fail_fast_ends_trials_that_run(run, tmp_path):
    def train(config):
        if config["fails"]:
            while not (tmp_path / "runs").exists():
                time.sleep(0.005)
            raise ValueError
        try:
            tune.report(a=1)
            (tmp_path / "runs").touch()
            while True:
                tune.report(a=1)
                time.sleep(0.005)
        finally:
            (tmp_path / "tidied").touch()

    results = run(train, config={"fails": tune.grid_search([False, True])}, fail_fast=True, raise_on_failed_trial=False)

    assert [one.state for one in results] == ["TERMINATED", "ERROR"]
    assert (tmp_path / "tidied").exists()
    assert "fail_fast" in results[0].reason


class HurriedJob(Job):
    """A job whose trials have half a second to end after they were told to."""

    def plan(self) -> Plan:
        return replace(super().plan(), grace_s=0.5)


def test_a_trial_that_swallows_what_ends_it_meets_it_again_and_is_killed_in_the_end(tmp_path):
    met = tmp_path / "met"

    def stubborn(_config):
        while True:
            try:
                tune.report(a=1)
            except BaseException as leaving:
                with met.open("a") as file:
                    file.write(type(leaving).__name__ + "\n")
                time.sleep(0.01)

    job = HurriedJob(
        stubborn,
        tune=TuneConfig(),
        run=RunConfig(name="e", storage_path=tmp_path, verbose=0, stop={"training_iteration": 3}),
    )
    result = conduct(job)[0]

    assert result.state == "TERMINATED"
    assert result.error is None
    names = met.read_text().split()
    assert len(names) > 2
    assert set(names) == {"TrialLeave"}
    assert iterations(result)[:3] == [1, 2, 3]


def test_a_trial_that_hangs_on_its_way_out_is_killed(tmp_path):
    def hanging(_config):
        try:
            while True:
                tune.report(a=1)
        finally:
            time.sleep(100)

    job = HurriedJob(hanging, run=RunConfig(name="e", storage_path=tmp_path, verbose=0, stop={"training_iteration": 2}))
    began = time.monotonic()
    result = conduct(job)[0]

    assert result.state == "TERMINATED"
    assert iterations(result) == [1, 2]
    assert time.monotonic() - began < 10


def test_a_trainable_that_is_stopped_runs_its_finally_blocks_and_no_except_exception(run, tmp_path):
    def train(_config):
        try:
            while True:
                tune.report(a=1)
        except Exception:
            (tmp_path / "wrong").touch()
        finally:
            (tmp_path / "tidied").touch()

    assert iterations(run(train, stop={"training_iteration": 2})[0]) == [1, 2]
    assert (tmp_path / "tidied").exists()
    assert not (tmp_path / "wrong").exists()


def test_an_exception_that_cannot_be_pickled_or_printed_is_told_all_the_same(run):
    class OddError(Exception):
        def __init__(self, lock):
            self.lock = lock

        def __str__(self):
            raise ValueError("not even its message")

    def train(_config):
        import threading

        raise OddError(threading.Lock())

    with pytest.raises(tune.TrialFailedError, match="OddError"):
        run(train)


def test_what_a_dying_trial_printed_last_is_in_its_error(run):
    def train(_config):
        print("about to fall")
        os._exit(1)

    with pytest.raises(tune.TrialFailedError, match="about to fall") as raised:
        run(train)
    assert "about to fall" in str(raised.value.results[0].error)


@pytest.mark.fault("F19")
def test_a_trial_that_cannot_be_sent_away_names_the_variable(run, tmp_path):
    file = (tmp_path / "open").open("w")

    def train(_config):
        file.write("x")

    with pytest.raises(Exception, match="`file`"):
        run(train)
    file.close()
    assert not Path(tmp_path, "e").exists()
