"""Searchers, schedulers and callbacks that raise: the trials run on, and nothing that they reported is lost."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import psutil
import pytest

import tune
from schedulers.base import Pause, TrialScheduler
from searchers.variants import RandomSearch
from tests.tune.trainables import DEADLINE_S, counting, iterations, wait_for
from tune.cli.showing import Wanted, show_experiment
from tune.machine.events import SwitchedOff
from tune.machine.guard import MOST_STOPPER_ERRORS
from tune.notices import MOST_ERRORS

SPACE = {"config": {"x": tune.uniform(0, 1)}, "metric": "score", "mode": "max", "num_samples": 4, "seed": 2}


class Failing(RandomSearch):
    """Raises so many times when it is asked for trial ``t2``."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.left = times

    def suggest(self, trial_id):
        if trial_id == "t2" and self.left:
            self.left -= 1
            raise ZeroDivisionError("no idea")
        return super().suggest(trial_id)


class Broken(TrialScheduler):
    """Pauses every trial at its second result, and raises at every one after that."""

    def on_trial_result(self, trial, result):
        if result["training_iteration"] > 2:
            raise ZeroDivisionError("no decision")
        return Pause("wait") if result["training_iteration"] == 2 else super().on_trial_result(trial, result)

    def choose_trial_to_run(self, trials):
        return next(iter(trials.waiting), None) or (next(iter(trials.paused)) if len(trials.paused) > 3 else None)


class Noisy(tune.Callback):
    def __init__(self, told):
        self.told = told

    def on_trial_result(self, *, result, **rest):
        self.told.append(result["training_iteration"])
        raise ZeroDivisionError("no matter")


@pytest.mark.fault("F29")
def test_a_searcher_that_raises_once_is_asked_again_and_nothing_changes(run, caplog):
    plain = run(counting, **SPACE, name="plain")
    results = run(counting, **SPACE, search_alg=Failing())
    assert [one.config for one in results] == [one.config for one in plain]
    assert "t2: the search algorithm raised; it is asked once more" in caplog.text


@pytest.mark.fault("F29")
def test_a_searcher_that_goes_on_raising_ends_the_search_and_the_run_can_be_resumed(run, tmp_path):
    with pytest.raises(tune.SearcherError, match="no idea") as raised:
        run(counting, **SPACE, search_alg=Failing(times=2))
    assert [iterations(one) for one in raised.value.results] == [[1, 2, 3, 4, 5, 6]] * 2
    results = tune.resume(tmp_path / "e", search_alg=RandomSearch(), verbose=0)
    assert [iterations(one) for one in results] == [[1, 2, 3, 4, 5, 6]] * 4


@pytest.mark.fault("F30")
def test_a_scheduler_that_raises_again_and_again_is_asked_no_more_and_paused_trials_run_on(run, caplog):
    results = run(counting, **SPACE, scheduler=Broken())
    assert [(one.state, iterations(one)) for one in results] == [("TERMINATED", [1, 2, 3, 4, 5, 6])] * 4
    assert caplog.text.count("\nZeroDivisionError: no decision") == 3
    assert "the scheduler Broken raised 3 times in a row in on_trial_result and is not asked any more" in caplog.text


class Undecided(TrialScheduler):
    """Pauses every trial at its second result, and raises whenever it is to choose who goes on."""

    def on_trial_result(self, trial, result):
        return Pause("wait") if result["training_iteration"] == 2 else super().on_trial_result(trial, result)

    def choose_trial_to_run(self, trials):
        raise ZeroDivisionError("no choice")


@pytest.mark.fault("F30")
def test_a_scheduler_that_can_never_choose_keeps_no_trial_from_running_on(run, caplog):
    results = run(counting, **SPACE, scheduler=Undecided())
    assert [(one.state, iterations(one)) for one in results] == [("TERMINATED", [1, 2, 3, 4, 5, 6])] * 4
    assert caplog.text.count("\nZeroDivisionError: no choice") == 3


@pytest.mark.fault("F30")
def test_a_stopper_that_raises_again_and_again_is_left_out_and_another_beside_it_is_not(run, caplog):
    def unsure(trial_id, result):
        raise ZeroDivisionError("no idea")

    results = run(counting, config={"steps": 20}, stop=[{"training_iteration": 15}, unsure])
    assert iterations(results[0]) == list(range(1, 16))
    assert caplog.text.count("\nZeroDivisionError: no idea") == MOST_STOPPER_ERRORS


@pytest.mark.fault("F29", "F30")
def test_what_was_switched_off_is_kept_and_shown_until_the_run_goes_on(run, tmp_path, capsys):
    results = run(counting, **SPACE, scheduler=Broken(), verbose=1)
    told = "scheduler Broken was switched off: it raised ZeroDivisionError: no decision"
    assert results.switched_off == [SwitchedOff("scheduler", "Broken", "ZeroDivisionError: no decision")]
    assert told in repr(results)
    assert f"<p>{told}</p>" in results._repr_html_()
    assert re.search(rf"^\d\d:\d\d:\d\d {told}$", printed := capsys.readouterr().out, re.MULTILINE)
    assert f"without   {told}" in printed
    show_experiment(str(tmp_path / "e"), None, Wanted(), as_json=False)
    assert told in capsys.readouterr().out

    with pytest.raises(tune.SearcherError) as raised:
        run(counting, **SPACE, search_alg=Failing(times=2), name="f")
    assert raised.value.results.switched_off == [SwitchedOff("searcher", "", "ZeroDivisionError: no idea")]
    assert tune.resume(tmp_path / "f", search_alg=RandomSearch(), verbose=0).switched_off == []


@pytest.mark.fault("F31")
def test_a_callback_that_raises_ends_nothing_and_is_given_up_in_the_end(run, caplog):
    told = []
    results = run(counting, **SPACE, callbacks=[Noisy(told)])
    assert results.switched_off == [SwitchedOff("callback", "Noisy", "ZeroDivisionError: no matter")]
    assert [one.state for one in results] == ["TERMINATED"] * 4
    assert len(told) == MOST_ERRORS
    assert "callback Noisy raised for the 10th time and is told nothing more" in caplog.text


class Blocked(tune.Callback):
    """Comes back from its first hook when `until` does."""

    def __init__(self, until):
        self.until = until
        self.told = []

    def on_trial_start(self, *, trial, **rest):
        self.until()
        self.told.append((trial.state, trial.last_result))

    def on_trial_complete(self, *, trial, trials, **rest):
        self.told.append((trial.state, trial.last_result["step"], [one.state for one in trials]))

    def on_trial_error(self, *, trial, **rest):
        self.told.append((trial.state, trial.last_result["step"]))


@pytest.mark.fault("F31")
def test_a_callback_that_blocks_holds_up_no_trial_and_hears_of_each_event_as_it_was(run, tmp_path):
    blocked = Blocked(lambda: wait_for(tmp_path / "over"))

    def train(config):
        for step in range(3):
            tune.report({"step": step})
        Path(tmp_path, "over").touch()

    run(train, callbacks=[blocked])
    assert blocked.told == [("RUNNING", None), ("TERMINATED", 2, ["TERMINATED"])]


@pytest.mark.fault("F31")
def test_a_callback_that_blocks_holds_up_no_timer(run, tmp_path):
    def gone():
        wait_for(tmp_path / "pid")
        process = int((tmp_path / "pid").read_text())
        until = time.monotonic() + DEADLINE_S
        while psutil.pid_exists(process):
            assert time.monotonic() < until
            time.sleep(0.01)

    def train(config):
        tune.report({"step": 0})
        Path(tmp_path, "new").write_text(str(os.getpid()))
        Path(tmp_path, "new").rename(tmp_path / "pid")
        time.sleep(1000)

    blocked = Blocked(gone)
    run(train, callbacks=[blocked], report_timeout_s=1.0, raise_on_failed_trial=False)
    assert blocked.told == [("RUNNING", None), ("ERROR", 0)]
