"""A run that is asked to end: Ctrl-C once and twice, signals, and what a resume makes of it."""

from __future__ import annotations

import json
import signal
import threading
import time

import pytest

import tune
from tests.tune.driver import Driver
from tests.tune.trainables import counting, iterations, saving, steps_in


@pytest.fixture
def waiting(tmp_path):
    """A run whose trials t0 and t1 have reported three times and now wait; more would follow."""
    driver = Driver(
        tmp_path, "patient", config={"at": 4, "waiting": ["t0", "t1"]}, num_samples=4, max_concurrent_trials=2
    )
    driver.wait_for(["t0-waits", "t1-waits"])
    yield driver
    if driver.process.poll() is None:
        driver.kill()


@pytest.mark.fault("F13", "F14")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_the_first_signal_lets_running_trials_save_and_returns_the_results(waiting, tmp_path, number):
    waiting.send(number)
    code, out, err = waiting.end()

    assert code == 0, err
    assert "Traceback" not in err
    assert json.loads(out) == [["t0", "PENDING"], ["t1", "PENDING"]]
    (waiting.marks / "event").touch()
    results = tune.resume(tmp_path / "e", verbose=0)
    assert [one.state for one in results] == ["TERMINATED"] * 4
    assert [iterations(one) for one in results] == [[1, 2, 3, 4, 5, 6]] * 4
    assert results[0].metrics["iterations_since_restore"] == 2


def test_ctrl_c_in_a_terminal_reaches_the_driver_alone(waiting, tmp_path):
    waiting.press_ctrl_c()
    code, out, err = waiting.end()

    assert code == 0, err
    assert "Traceback" not in err
    assert json.loads(out) == [["t0", "PENDING"], ["t1", "PENDING"]]
    assert [iterations(one) for one in tune.ResultGrid(tmp_path / "e")] == [[1, 2, 3, 4]] * 2


def test_trials_save_when_interrupted_although_they_save_nothing_otherwise(run, tmp_path):
    class Interrupt(tune.Callback):
        def on_trial_result(self, *, result, **_information):
            if result["training_iteration"] == 3:
                signal.raise_signal(signal.SIGINT)

    def train(config):
        for step in range(100):
            tune.report({"step": step}, checkpoint=saving(step))

    results = run(train, checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0), callbacks=[Interrupt()])

    assert results[0].state == "PENDING"
    assert steps_in(results[0].checkpoint) == results[0].metrics["step"]


@pytest.mark.fault("F13")
def test_the_second_signal_ends_at_once(tmp_path):
    driver = Driver(tmp_path, "stubborn", config={}, num_samples=2, max_concurrent_trials=2)
    driver.wait_for(["t0-waits", "t1-waits"])
    driver.send(signal.SIGINT)
    with pytest.raises(Exception, match="timed out"):
        driver.process.wait(0.5)
    began = time.monotonic()
    driver.send(signal.SIGINT)
    code, out, err = driver.end()

    assert code == 0, err
    assert time.monotonic() - began < 5
    assert json.loads(out) == [["t0", "PENDING"], ["t1", "PENDING"]]
    assert iterations(tune.ResultGrid(tmp_path / "e")[0]) == [1]


def test_handlers_are_as_they_were_after_a_run(run):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    run(counting)
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_run_on_another_thread_works_and_touches_no_handlers(run):
    found = []
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: found.append((run(counting), signal.getsignal(signal.SIGINT))))
    thread.start()
    thread.join(20)

    results, during = found[0]
    assert iterations(results[0]) == [1, 2, 3, 4, 5, 6]
    assert during is before


def test_two_runs_at_the_same_time_on_two_threads_do_not_disturb_each_other(run):
    found = {}
    threads = [
        threading.Thread(target=lambda name=name: found.update({name: run(counting, name=name, num_samples=3)}))
        for name in ("one", "two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert [[len(iterations(one)) for one in found[name]] for name in ("one", "two")] == [[6, 6, 6]] * 2


def test_an_exception_of_a_callback_that_is_no_exception_ends_the_run_and_a_resume_goes_on(run):
    class Leaving(tune.Callback):
        def on_trial_result(self, *, result, **_information):
            if result["training_iteration"] == 3:
                raise SystemExit(5)

    with pytest.raises(SystemExit):
        run(counting, config={}, callbacks=[Leaving()])

    assert iterations(run(counting, config={}, resume=True)[0]) == [1, 2, 3, 4, 5, 6]
