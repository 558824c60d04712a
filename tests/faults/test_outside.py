"""Runs that are ended from outside, or disturbed by it."""

from __future__ import annotations

import json
import shutil
import signal
import time

import pytest

import tune
from tests.tune.driver import Driver, holding
from tests.tune.trainables import DEADLINE_S, counting, iterations
from tune.storage import journal


@pytest.mark.fault("F13")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_the_third_signal_ends_whatever_the_run_waits_for_and_a_resume_goes_on(tmp_path, number, code):
    driver = Driver(tmp_path, "stubborn", config={}, num_samples=1)
    driver.wait_for(["t0-waits"])
    with holding(tmp_path / "e"):  # so that neither the first nor the second can be the end
        until = time.monotonic() + DEADLINE_S
        while driver.process.poll() is None:  # again and again: two that come at once are one
            assert time.monotonic() < until
            driver.send(number)
            time.sleep(0.02)
    assert driver.end()[0] == code
    (found,) = tune.ResultGrid(tmp_path / "e")
    assert iterations(found) == [1]
    (found,) = tune.resume(tmp_path / "e", counting, verbose=0)
    assert (found.state, iterations(found)) == ("TERMINATED", [1, 2, 3, 4, 5, 6])


@pytest.mark.fault("F13")
def test_what_the_second_ctrl_c_ends_is_kept_as_that_and_costs_nothing(tmp_path):
    driver = Driver(tmp_path, "stubborn", config={}, num_samples=2, max_concurrent_trials=2)
    driver.wait_for(["t0-waits", "t1-waits"])
    driver.send(signal.SIGINT)
    closed_by(driver, tmp_path / "e")
    driver.send(signal.SIGINT)
    code, _, err = driver.end()
    assert code == 0, err
    assert failures(tmp_path / "e") == [("killed", "it was interrupted twice, by SIGINT")] * 2
    results = tune.resume(tmp_path / "e", harmed, max_failures=1, verbose=0)
    assert [(one.state, one.attempts) for one in results] == [("TERMINATED", 3)] * 2


def closed_by(driver, experiment):
    """Wait until the journal says that the run is to end."""
    until = time.monotonic() + DEADLINE_S
    while not rows(experiment, "closing"):
        assert time.monotonic() < until
        assert driver.process.poll() is None
        time.sleep(0.01)


def rows(experiment, kind):
    with journal.reading(experiment) as connection:
        query = "SELECT data FROM events WHERE kind = ? ORDER BY position"
        return [json.loads(text) for (text,) in connection.execute(query, (kind,))]


def failures(experiment):
    return [(row["failure"]["kind"], row["failure"]["summary"]) for row in rows(experiment, "failed")]


def harmed(config):
    """Count, and raise once in the second attempt."""
    counting({**config, "at": 4, "harm": "raise", "failures": 2})


@pytest.mark.fault("F14")
def test_a_handler_that_is_not_pythons_is_left_alone(run, monkeypatch):
    installed = []
    real = signal.getsignal
    monkeypatch.setattr(signal, "getsignal", lambda number: None if number == signal.SIGTERM else real(number))
    put = signal.signal
    monkeypatch.setattr(signal, "signal", lambda number, handler: installed.append(number) or put(number, handler))
    run(counting)
    assert set(installed) == {signal.SIGINT, signal.SIGHUP}


@pytest.mark.fault("F39")
@pytest.mark.parametrize("harm", ["moved", "removed", "replaced"])
def test_a_journal_that_is_gone_ends_the_run_with_a_sentence(tmp_path, harm):
    driver = Driver(tmp_path, "patient", config={"at": 3, "waiting": ["t0"]}, num_samples=1, report_timeout_s=60)
    driver.wait_for(["t0-waits"])
    experiment, elsewhere = tmp_path / "e", tmp_path / "elsewhere"
    if harm == "removed":
        shutil.rmtree(experiment)
    else:
        experiment.rename(elsewhere)
    if harm == "replaced":
        shutil.copytree(elsewhere, experiment)
    (driver.marks / "event").touch()
    code, _, err = driver.end()
    assert code == 1
    words = "is not the journal of this run any more" if harm == "replaced" else "is gone: it was removed or moved"
    assert f"{experiment / journal.DATABASE} {words}" in err
    assert f"audition resume {experiment}" in err
    assert "sqlite3" not in err
    if harm == "moved":
        (found,) = tune.resume(elsewhere, counting, verbose=0)
        assert iterations(found) == [1, 2, 3, 4, 5, 6]


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
