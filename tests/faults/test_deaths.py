"""What the death of a trial costs, and trials that hang: with real processes."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

import tune
from tests.tune.trainables import HARMS, iterations, saving, steps_done

pytestmark = pytest.mark.usefixtures("run")
ONE = {"metric": "score", "mode": "max", "raise_on_failed_trial": False}


def counting(harm, at=3, attempts=1):
    """A trainable that counts to five, and comes to harm at a step in its first attempts."""

    def train(config):
        for step in range(steps_done() + 1, 6):
            if step == at and tune.get_context().get_attempt() <= attempts:
                harm()
            tune.report({"score": step}, checkpoint=saving(step))

    return train


def hold_the_lock():
    """Match in C for years, and let no other thread run meanwhile."""
    re.match("(a+)+$", "a" * 60 + "b")


@pytest.mark.fault("F1", "F2", "F3")
@pytest.mark.parametrize("harm", ["raise", "exit", "os._exit", "segfault", "abort"])
def test_what_a_trial_does_to_itself_is_charged_to_it(run, harm):
    none_left = run(counting(HARMS[harm]), **ONE)
    assert (none_left[0].state, none_left[0].attempts, iterations(none_left[0])) == ("ERROR", 1, [1, 2])
    one_left = run(counting(HARMS[harm]), **ONE, max_failures=1, name="again")
    assert (one_left[0].state, one_left[0].attempts) == ("TERMINATED", 2)
    assert iterations(one_left[0]) == [1, 2, 3, 4, 5]


@pytest.mark.fault("F3")
def test_an_exit_with_zero_before_the_function_returned_is_no_success(run):
    (result,) = run(counting(lambda: os._exit(0)), **ONE)
    assert result.state == "ERROR"
    assert "exited with code 0 before the function returned" in str(result.error)


@pytest.mark.fault("F8")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_a_process_that_is_killed_from_outside_is_not_charged_to_its_trial(run, number):
    (result,) = run(counting(lambda: os.kill(os.getpid(), number)), **ONE)
    assert (result.state, result.attempts, iterations(result)) == ("TERMINATED", 2, [1, 2, 3, 4, 5])


@pytest.mark.fault("F8")
def test_the_infrastructures_own_budget_is_one_too(run):
    def train(config):
        for step in range(steps_done() + 1, 9):
            tune.report({"score": step}, checkpoint=saving(step))
            os.kill(os.getpid(), signal.SIGKILL)

    (result,) = run(train, **ONE, max_infra_failures=1)
    assert (result.state, result.attempts) == ("ERROR", 2)
    assert "SIGKILL" in str(result.error)


@pytest.mark.fault("F8")
def test_a_trial_that_kills_its_workers_again_and_again_is_given_up_with_every_cause(run):
    (result,) = run(counting(HARMS["kill"], attempts=99), **ONE, max_failures=-1)
    assert (result.state, result.attempts) == ("ERROR", 3)
    told = str(result.error)
    assert "died 3 times with nothing new reported or saved in between: 1. the process was ended by SIGKILL; 2." in told


@pytest.mark.fault("F5")
def test_a_trial_that_reports_nothing_is_ended_with_its_stacks_and_goes_on_from_its_checkpoint(run):
    def hang_forever():
        time.sleep(1000)

    began = time.monotonic()
    (failed,) = run(counting(hang_forever), **ONE, report_timeout_s=0.5)
    assert (failed.state, iterations(failed)) == ("ERROR", [1, 2])
    assert "it reported nothing for 0.5 s (report_timeout_s)" in str(failed.error)
    assert "in hang_forever" in str(failed.error)
    assert time.monotonic() - began < 20
    (again,) = run(counting(hang_forever), **ONE, report_timeout_s=0.5, max_failures=1, name="again")
    assert (again.state, iterations(again)) == ("TERMINATED", [1, 2, 3, 4, 5])


@pytest.mark.fault("F6")
def test_a_trial_that_holds_the_interpreters_lock_is_ended_all_the_same(run):
    (result,) = run(counting(hold_the_lock), **ONE, report_timeout_s=0.5)
    assert result.state == "ERROR"
    assert "in hold_the_lock" in str(result.error)


@pytest.mark.fault("F5")
def test_a_trial_that_was_stopped_by_a_signal_is_ended_and_says_that_no_stack_came(run):
    (result,) = run(counting(lambda: os.kill(os.getpid(), signal.SIGSTOP)), **ONE, report_timeout_s=0.5)
    assert result.state == "ERROR"
    assert "report_timeout_s" in str(result.error)


@pytest.mark.fault("F5")
def test_a_trial_may_run_for_so_long_in_all_its_attempts(run):
    def train(config):
        for step in range(steps_done() + 1, 10**9):
            time.sleep(0.01)
            tune.report({"score": step}, checkpoint=saving(step))

    (result,) = run(train, **ONE, trial_timeout_s=0.6, max_failures=5)
    assert (result.state, result.attempts) == ("ERROR", 1)
    assert len(iterations(result)) > 3
    assert "it ran for 0.6 s in all its attempts (trial_timeout_s)" in str(result.error)


@pytest.mark.fault("F5")
def test_a_start_that_takes_too_long_is_ended(run):
    class Slow(tune.Trainable):
        def setup(self, config):
            time.sleep(1000)

        def step(self):
            return {"score": 1}

    (result,) = run(Slow, **ONE, report_timeout_s=0.5)
    assert (result.state, "reported nothing" in str(result.error)) == ("ERROR", True)


def test_a_start_timeout_ends_once_the_function_is_called(run):
    def train(config):
        time.sleep(1.5)
        return {"score": 1}

    (result,) = run(train, **ONE, start_timeout_s=1.2)
    assert result.state == "TERMINATED"


@pytest.mark.fault("F20")
def test_what_cannot_be_kept_is_refused_at_the_users_line_and_not_tried_again(run):
    def train(config):
        tune.report({"score": 1})
        tune.report({"score": object()})

    (result,) = run(train, **ONE, max_failures=5)
    assert (result.state, result.attempts, iterations(result)) == ("ERROR", 1, [1])
    assert 'tune.report({"score": object()})' in str(result.error)
    assert "NotReportableError" in str(result.error)


@pytest.mark.fault("F21")
def test_a_report_of_100_megabytes_is_refused_with_what_to_use_instead(run):
    def train(config):
        tune.report({"score": 1, "weights": "x" * (100 << 20)})

    (result,) = run(train, **ONE, max_failures=5)
    assert (result.state, result.attempts) == ("ERROR", 1)
    assert "the largest part of it as 'weights': save what is large in a checkpoint" in str(result.error)


@pytest.mark.fault("F4")
def test_a_trial_that_uses_more_memory_than_it_asked_for_is_charged_for_it(run, tmp_path):
    def train(config):
        hoard = []
        while True:
            hoard.append(bytearray(10 << 20))
            Path(tmp_path, "hoard").write_text(str(len(hoard)))

    (result,) = run(train, **ONE, resources_per_trial={"cpu": 1, "memory": 200 << 20}, max_failures=1)
    assert (result.state, result.attempts) == ("ERROR", 2)
    assert "memory" in str(result.error)
