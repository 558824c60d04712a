"""Stoppers by Ray's names, alone and joined: worked by hand, and within the machine."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedulers.base import NEVER
from tests.tune.arena import Arena, bound
from tune.machine.events import Closing, Reported
from tune.machine.improving import deviation
from tune.machine.plan import Plan
from tune.machine.stopping import as_stopper
from tune.stopper import (
    AllStopper,
    CombinedStopper,
    ExperimentPlateauStopper,
    MaximumIterationStopper,
    NoImprovementStopper,
    NoopStopper,
    Stopper,
    TargetStopper,
    ThresholdStopper,
    TimeoutStopper,
    TrialPlateauStopper,
)

MODES = {"loss": "min"}


def ready(stop: Any) -> Stopper:
    stopper = as_stopper(stop, modes=MODES)
    assert stopper is not None
    return stopper


def told(stopper: Stopper, *losses: float, trial_id: str = "t0") -> list[bool]:
    return [stopper(trial_id, {"training_iteration": at, "loss": loss}) for at, loss in enumerate(losses, 1)]


def test_a_trial_that_stays_where_it_is_ends() -> None:
    stopper = ready(TrialPlateauStopper("loss", std=0.1, num_results=3, grace_period=4))
    assert told(stopper, 1.0, 0.5, 0.5, 0.5) == [False, False, False, True]
    assert told(stopper, 1.0, 0.5, 0.5, 0.9, trial_id="t1") == [False] * 4
    why = stopper.why("t0", {"training_iteration": 5, "loss": 0.5})
    assert why == "its last 3 loss deviate by 0, less than 0.1"


def test_a_plateau_counts_only_where_the_metric_is_good_enough() -> None:
    stopper = ready(TrialPlateauStopper("loss", num_results=2, grace_period=0, metric_threshold=0.4))
    assert told(stopper, 0.5, 0.5, 0.4, 0.4) == [False, False, False, True]


def test_values_that_are_no_numbers_do_not_count() -> None:
    stopper = ready(TrialPlateauStopper(num_results=2, grace_period=0))
    assert told(stopper, 0.5, math.nan, math.inf, 0.5) == [False, False, False, True]


def test_an_experiment_whose_best_results_are_all_alike_ends() -> None:
    stopper = ready(ExperimentPlateauStopper("loss", std=0.01, top=3, patience=1))
    assert told(stopper, 0.5, 0.9, 0.5, 0.5, 0.9) == [False, False, False, False, True]
    assert stopper.stop_all()
    assert stopper.why_all() == "the best 3 loss deviate by no more than 0.01"
    assert told(stopper, 0.1) == [False]
    assert not stopper.stop_all()


def test_the_best_are_the_largest_when_the_mode_says_so() -> None:
    stopper = ready(ExperimentPlateauStopper("accuracy", std=0.01, top=2, mode="max"))
    results = [{"accuracy": value} for value in (0.9, 0.1, 0.5, 0.9)]
    assert [stopper("t0", result) for result in results] == [False, False, False, True]


def test_without_improvement_for_so_many_results_the_experiment_ends() -> None:
    stopper = ready(NoImprovementStopper(results=2, min_delta=0.1))
    assert told(stopper, 0.5, 0.3, 0.25, 0.3) == [False, False, False, True]
    assert stopper.stop_all()
    assert stopper.why_all() == "the best loss, 0.3, has not improved for 2 results"


def test_without_improvement_for_so_many_trials_the_experiment_ends() -> None:
    stopper = ready(NoImprovementStopper("loss", "min", trials=2))
    assert told(stopper, 0.5, 0.5, 0.5, trial_id="t0") == [False] * 3
    assert told(stopper, 0.6, 0.6, trial_id="t1") == [False] * 2
    assert told(stopper, 0.4, trial_id="t2") == [False]
    assert told(stopper, 0.5, trial_id="t3") == [False]
    assert told(stopper, math.nan, trial_id="t4") == [True]
    assert stopper.why_all() == "the best loss, 0.4, has not improved for 2 trials"


def test_a_target_ends_the_experiment() -> None:
    stopper = ready(TargetStopper(0.1))
    assert told(stopper, 0.2, 0.1) == [False, True]
    assert stopper.stop_all()
    assert stopper.why_all() == "t0 reached the target, loss 0.1"


def test_any_of_several() -> None:
    stopper = ready({"loss": 0.1} | MaximumIterationStopper(2) | (lambda trial_id, result: trial_id == "t9"))
    assert isinstance(stopper, CombinedStopper)
    assert told(stopper, 0.05, 0.5) == [True, True]
    assert told(stopper, 0.5, trial_id="t9") == [True]
    assert told(stopper, 0.5) == [False]


def test_all_of_several_at_the_same_result() -> None:
    stopper = ready(MaximumIterationStopper(2) & {"loss": 0.1})
    assert isinstance(stopper, AllStopper)
    assert told(stopper, 0.05, 0.5, 0.1) == [False, False, True]
    assert stopper.why("t0", {"training_iteration": 3, "loss": 0.1}) == "it reached max_iter (2) and loss reached 0.1"
    assert not stopper.stop_all()


def test_one_that_wants_the_experiment_to_end_wants_each_trial_to() -> None:
    stopper = ready(TimeoutStopper(60) & MaximumIterationStopper(2))
    assert told(stopper, 0.5, 0.5, 0.5) == [False] * 3
    stopper.on_time(60.0)
    assert told(stopper, 0.5, 0.5) == [False, True]
    assert not stopper.stop_all()
    assert not stopper.time_is_up()


def test_all_that_want_the_experiment_to_end_end_it_when_time_comes_last() -> None:
    stopper = ready(TargetStopper(0.1) & TimeoutStopper(60))
    told(stopper, 0.05)
    assert not stopper.stop_all()
    assert stopper.deadline_s == 60
    stopper.on_time(61.0)
    assert stopper.deadline_s is None
    assert stopper.time_is_up()
    assert stopper.why_all() == "t0 reached the target, loss 0.05, the timeout of 60 s is over"


def test_joined_stoppers_nest() -> None:
    stopper = ready((MaximumIterationStopper(3) & {"loss": 0.1}) | NoopStopper() | [{"other": 1}][0])
    assert told(stopper, 0.1, 0.5, 0.1) == [False, False, True]


@pytest.mark.parametrize(
    ("stop", "free"),
    [
        (MaximumIterationStopper(5), 5),
        ({"training_iteration": 4.5}, 5),
        ({"training_iteration": 5, "loss": 0.1}, 0),
        (NoopStopper(), NEVER),
        (TimeoutStopper(1), NEVER),
        ([MaximumIterationStopper(5), TimeoutStopper(1)], 5),
        (MaximumIterationStopper(5) & TimeoutStopper(1), 0),
        (TrialPlateauStopper(), 0),
    ],
)
def test_a_stopper_says_until_when_it_ends_nothing(stop: Any, free: int) -> None:
    assert ready(stop).free_until("t0", 0) == free


def test_metric_and_mode_are_the_runs_unless_given() -> None:
    with pytest.raises(ValueError, match="TargetStopper: it has no metric and no mode"):
        as_stopper(TargetStopper(1.0))
    with pytest.raises(ValueError, match="ExperimentPlateauStopper: it has no mode"):
        as_stopper([ExperimentPlateauStopper("other")], modes=MODES)
    as_stopper(TrialPlateauStopper("other"))
    with pytest.raises(ValueError, match="TrialPlateauStopper: it has no mode"):
        as_stopper(TrialPlateauStopper("other", metric_threshold=1), modes=MODES)


@pytest.mark.parametrize(
    ("make", "complaints"),
    [
        (lambda: TrialPlateauStopper(std=-1, num_results=1, mode="up"), ["std is -1", "num_results is 1", "'up'"]),
        (lambda: ExperimentPlateauStopper(top=1, patience=-1), ["top is 1", "patience is -1"]),
        (NoImprovementStopper, ["give results=, trials= or both"]),
        (lambda: NoImprovementStopper(results=0), ["results is 0: it must be a number, at least 1"]),
        (lambda: TargetStopper(math.nan), ["target is nan: give a finite number"]),
        (lambda: TimeoutStopper(0), ["timeout must be a number of seconds above 0, got 0"]),
        (lambda: MaximumIterationStopper(0), ["max_iter must be at least 1"]),
    ],
)
def test_mistakes_are_said_where_they_are_made(make: Any, complaints: list[str]) -> None:
    with pytest.raises(ValueError, match=re.escape(complaints[0])) as caught:
        make()
    assert all(one in str(caught.value) for one in complaints)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_the_deviation_is_numpys(values: list[float]) -> None:
    assert deviation(values) == pytest.approx(numpy.std(values), abs=1e-6)


def test_what_a_trial_left_behind_is_forgotten() -> None:
    stopper = TrialPlateauStopper("loss", num_results=2, grace_period=2)
    combined = ready([stopper, MaximumIterationStopper(100)])
    assert told(combined, 0.5, 0.5) == [False, True]
    combined.on_trial_end("t0")
    assert told(combined, 0.5) == [False]


# Within the machine.


def slow(config: dict[str, Any]):
    for epoch in range(1, 10):
        yield {"loss": 1 / epoch, "time_this_iter_s": 25.0}


def run(directory: Path, stop: Any, trials: int = 3, **options: Any) -> tuple[Arena, Any]:
    plan = Plan(("loss",), ("min",), 7, grace_s=5.0)
    arena = Arena(directory, slow, lambda: bound({}, trials, stop=stop()), plan)
    return arena, arena.run(**options)


def closings(arena: Arena) -> list[tuple[float, str]]:
    return [(entry.time, entry.event.reason) for entry in arena.entries() if isinstance(entry.event, Closing)]


def test_a_timeout_does_not_wait_for_a_long_iteration(tmp_path: Path) -> None:
    arena, experiment = run(tmp_path, lambda: TimeoutStopper(timedelta(seconds=60)))
    assert closings(arena) == [(60.0, "the timeout of 60 s is over")]
    assert experiment.time == 65.0
    assert len([entry for entry in arena.entries() if isinstance(entry.event, Reported)]) == 2
    assert [trial.state for trial in experiment.trials.values()] == ["TERMINATED"]


def test_a_timeout_that_was_over_stays_over_after_a_resume(tmp_path: Path) -> None:
    arena, _ = run(tmp_path, lambda: [TimeoutStopper(60), {"loss": 0.01}])
    again = arena.run()
    assert len(closings(arena)) == 1
    assert len(again.trials) == 1
    assert again.time == 65.0


def test_a_timeout_joined_by_and_ends_the_run_only_with_the_other(tmp_path: Path) -> None:
    arena, experiment = run(tmp_path, lambda: TimeoutStopper(60) & NoImprovementStopper(results=9), trials=2)
    assert closings(arena) == [
        (450.0, "the timeout of 60 s is over, the best loss, 0.111111, has not improved for 9 results")
    ]
    assert len(experiment.trials) == 2


def test_a_plateau_ends_the_run_and_says_why(tmp_path: Path) -> None:
    arena, experiment = run(tmp_path, lambda: ExperimentPlateauStopper("loss", std=0.02, top=3))
    assert closings(arena)[0][1] == "the best 3 loss deviate by no more than 0.02"
    assert "the best 3 loss" in experiment.trials["t0"].reason


def test_iterations_are_not_waited_for_until_the_last(tmp_path: Path) -> None:
    arena, experiment = run(tmp_path, lambda: ThresholdStopper({"training_iteration": 4}), trials=2)
    waited = [entry.event.seq > 0 for entry in arena.entries() if isinstance(entry.event, Reported)]
    assert [trial.totals.iteration for trial in experiment.trials.values()] == [4, 4]
    assert waited == [True, False, False, True, False, False, False, True]
