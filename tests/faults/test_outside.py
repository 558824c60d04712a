"""Runs that are ended from outside, or disturbed by it."""

from __future__ import annotations

import signal
import time

import pytest

import tune
from tests.tune.driver import Driver
from tests.tune.trainables import DEADLINE_S, iterations


@pytest.mark.fault("F13")
def test_the_third_ctrl_c_ends_whatever_the_run_waits_for_and_a_resume_goes_on(tmp_path):
    driver = Driver(tmp_path, "stubborn", config={}, num_samples=1)
    driver.wait_for(["t0-waits"])
    until = time.monotonic() + DEADLINE_S
    while driver.process.poll() is None:  # pressed again and again: two that come at once are one
        assert time.monotonic() < until
        driver.send(signal.SIGINT)
        time.sleep(0.02)
    code, _, _ = driver.end()
    assert code in (0, 130, -signal.SIGINT)  # the second may have been enough
    (found,) = tune.ResultGrid(tmp_path / "e")
    assert iterations(found) == [1]


@pytest.mark.fault("F33")
def test_a_driver_that_stands_still_for_a_while_goes_on_and_so_do_its_trials(tmp_path):
    driver = Driver(tmp_path, "patient", config={"at": 3, "waiting": ["t0"]}, num_samples=2, report_timeout_s=5)
    driver.wait_for(["t0-waits"])
    driver.send(signal.SIGSTOP)
    (driver.marks / "event").touch()
    time.sleep(1.5)  # longer than a moment's lateness
    driver.send(signal.SIGCONT)
    code, _, err = driver.end()
    assert (code, err) == (0, "")
    assert [iterations(one) for one in tune.ResultGrid(tmp_path / "e")] == [[1, 2, 3, 4, 5, 6]] * 2
