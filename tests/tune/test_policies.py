"""Scheduler, searcher and stopper behind one door: who is told what, and in which order."""

from __future__ import annotations

import math
from typing import Any

import pytest

from schedulers.base import Continue, Decision, Pause, Stop, TrialScheduler
from searchers.base import Searcher
from searchers.domain import Float
from tests.tune.arena import bound
from tune.machine.events import ParameterGiven
from tune.machine.trial import Trial

LOG: list[str] = []


class Listening(Searcher):
    def suggest(self, trial_id):
        return {}

    def on_trial_result(self, trial_id, result) -> None:
        LOG.append(f"searcher {result.get('loss')}")

    def on_trial_complete(self, trial_id, result=None, error=False) -> None:
        LOG.append(f"complete {result and result.get('loss')} {error}")

    def on_parameter(self, trial_id, name, domain, value) -> None:
        LOG.append(f"parameter {trial_id} {name} {value}")


class Pausing(TrialScheduler):
    def on_trial_result(self, trial, result) -> Decision:
        LOG.append(f"scheduler {result.get('loss')}")
        return Pause("mine")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    LOG.clear()


def policies(stop: Any = None, metric: str | None = "loss") -> Any:
    return bound({}, 3, searcher=Listening(), scheduler=Pausing(), stop=stop, metric=metric)


def trial(**more: Any) -> Trial:
    return Trial(0, "t0", {}, **more)


def test_the_searcher_is_told_before_the_scheduler_is_asked() -> None:
    assert policies().judge(trial(), {"loss": 1.0}) == (Pause("mine"), {})
    assert LOG == ["searcher 1.0", "scheduler 1.0"]


def test_a_stop_criterion_comes_before_the_scheduler() -> None:
    decision, _ = policies(stop={"loss": 1.5}).judge(trial(), {"loss": 1.0})
    assert isinstance(decision, Stop)
    assert decision.reason == "loss reached 1.5"
    assert LOG == ["searcher 1.0"]


def test_done_ends_the_trial() -> None:
    decision, _ = policies().judge(trial(), {"loss": 1.0, "done": True})
    assert isinstance(decision, Stop)
    assert decision.reason == "it reported done"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_for_the_scheduler_alone(value: float) -> None:
    policies().judge(trial(), {"loss": value})
    assert [f"scheduler {value}"] == LOG


def test_a_result_without_the_metric_is_for_nobody() -> None:
    assert policies().judge(trial(), {"other": 1.0}) == (Continue(), {})
    assert LOG == []


def test_without_metrics_all_are_told_everything() -> None:
    policies(metric=None).judge(trial(), {"other": 1.0})
    assert LOG == ["searcher None", "scheduler None"]


def test_a_trial_completes_with_its_last_result_if_that_can_be_learned_from() -> None:
    ours = policies()
    ours.completed(trial(last_result={"loss": 1.0}))
    ours.completed(trial(last_result={"loss": math.nan}))
    ours.completed(trial())
    ours.failed(trial(last_result={"loss": 1.0}))
    assert LOG == ["complete 1.0 False", "complete None False", "complete None False", "complete None True"]


def test_a_parameter_given_is_told() -> None:
    policies().given(ParameterGiven("t0", 1, 1, "x", Float(0.0, 1.0), 0.5))
    assert LOG == ["parameter t0 x 0.5"]


class Candidates:
    def __init__(self, waiting=(), paused=()) -> None:
        self.waiting, self.paused = dict.fromkeys(waiting), dict.fromkeys(paused)


def test_nobody_is_asked_to_choose_among_none() -> None:
    assert policies().choose(Candidates()) is None


def test_the_choice_is_the_schedulers() -> None:
    assert policies().choose(Candidates(["t1"], ["t0"])) == "t1"
    assert policies().choose(Candidates([], ["t0"])) == "t0"


class Grudging(TrialScheduler):
    """Raises so often before it chooses."""

    def __init__(self, times: float) -> None:
        self.left = times

    def choose_trial_to_run(self, trials):
        self.left -= 1
        if self.left >= 0:
            raise ZeroDivisionError("no choice")
        return "t1"


@pytest.mark.parametrize(("times", "chosen"), [(1, "t1"), (2, "t1"), (math.inf, "t0")])
def test_a_scheduler_that_raises_when_it_is_to_choose_is_asked_again_or_no_more(times: float, chosen: str) -> None:
    ours = bound({}, 3, searcher=Listening(), scheduler=Grudging(times))
    assert ours.choose(Candidates([], ["t0", "t1"])) == chosen


@pytest.mark.parametrize(
    ("metric", "time_attr", "reported", "words"),
    [
        ("loss", None, {"loss": 1.0}, []),
        ("loss", "epoch", {"loss": 1.0, "epoch": 1}, []),
        ("loss", "training_iteration", {"loss": 1.0, "training_iteration": 1}, []),
        ("loss", None, {"lose": 1.0}, ["metric 'loss'", "t0", "lose", "did you mean 'lose'?"]),
        ("loss", "epoch", {"loss": 1.0, "epochs": 1}, ["time_attr 'epoch'", "did you mean 'epochs'?"]),
        ("loss", None, {"training_iteration": 1}, ["reported nothing"]),
    ],
)
def test_missing_names_are_said_with_the_nearest(metric, time_attr, reported, words) -> None:
    ours = policies(metric=metric)
    ours.time_attr = time_attr
    missing = ours.missing("t0", reported)
    assert bool(missing) is bool(words)
    for word in words:
        assert word in missing
