"""The median stopping rule: examples worked by hand after section 3.2.2 of the Vizier paper."""

from __future__ import annotations

import math
import re
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedulers import Continue, MedianStoppingRule, Pause, Stop
from schedulers import means as means_module
from schedulers.means import Mark, RunningMeans, mark_of, marks_between
from tests.schedulers.driver import Standing, StubTrial, bound, report


def rule(count: int, **arguments: Any) -> Any:
    scheduler = bound(MedianStoppingRule("training_iteration", **{"grace_period": 1, **arguments}))
    for number in range(count):
        scheduler.on_trial_add(StubTrial(f"t{number}"))
        scheduler.on_trial_start(StubTrial(f"t{number}"))
    return scheduler


def told(scheduler: Any, name: str, *scores: float, first: int = 1) -> list[Any]:
    return [report(scheduler, StubTrial(name), t, score) for t, score in enumerate(scores, first)]


def test_a_trial_whose_best_is_worse_than_the_median_of_means_stops() -> None:
    scheduler = rule(4)
    assert told(scheduler, "t0", 0.2, 0.6) == [Continue()] * 2  # mean 0.4
    assert told(scheduler, "t1", 0.4, 0.6) == [Continue()] * 2  # mean 0.5
    assert told(scheduler, "t2", 0.6, 0.8) == [Continue()] * 2  # mean 0.7
    assert told(scheduler, "t3", 0.4, 0.45) == [
        Continue(),  # the others' first results are 0.2, 0.4, 0.6: it is as good as their median
        Stop("its best accuracy, 0.45, is worse than 0.5, the median of the means of 3 others at training_iteration 2"),
    ]


def test_the_best_result_counts_and_not_the_last() -> None:
    scheduler = rule(4)
    for number in range(3):
        told(scheduler, f"t{number}", 0.5, 0.5, 0.5)
    assert told(scheduler, "t3", 0.6, 0.1, 0.1) == [Continue()] * 3


def test_of_an_even_number_the_median_lies_between_the_middle_two() -> None:
    scheduler = rule(5)
    for number, score in enumerate((0.1, 0.2, 0.4, 0.9)):
        told(scheduler, f"t{number}", score)
    (decision,) = told(scheduler, "t4", 0.29)
    assert "worse than 0.3, the median of the means of 4 others" in decision.reason


def test_with_too_few_others_nobody_is_judged() -> None:
    scheduler = rule(4)
    for number in range(2):
        told(scheduler, f"t{number}", 0.9, 0.9)
    assert told(scheduler, "t2", 0.1, 0.1) == [Continue()] * 2
    assert isinstance(told(scheduler, "t3", 0.1)[0], Stop)


def test_only_those_that_came_as_far_are_compared_with() -> None:
    scheduler = rule(5)
    for number in range(4):
        told(scheduler, f"t{number}", 0.9)
    told(scheduler, "t0", 0.2, first=2)
    told(scheduler, "t1", 0.2, first=2)
    assert told(scheduler, "t4", 0.95, 0.1) == [Continue()] * 2


def test_before_the_grace_period_results_are_not_looked_at() -> None:
    scheduler = rule(4, grace_period=3)
    for number in range(3):
        told(scheduler, f"t{number}", 0.9, 0.9, 0.3)
    assert told(scheduler, "t3", 0.1, 0.1, 0.4) == [Continue()] * 3
    assert scheduler.free_until(StubTrial("t3"), 0) == 3
    assert bound(MedianStoppingRule(), seed=1).time_attr == "time_total_s"


def test_one_that_ended_still_counts() -> None:
    scheduler = rule(4)
    for number in range(3):
        told(scheduler, f"t{number}", 0.9)
        scheduler.on_trial_complete(StubTrial(f"t{number}"), None)
    assert isinstance(told(scheduler, "t3", 0.1)[0], Stop)


def test_nan_counts_in_no_mean_and_a_trial_of_nothing_else_stops() -> None:
    scheduler = rule(5)
    for number in range(3):
        told(scheduler, f"t{number}", 0.5, math.nan)
    assert isinstance(told(scheduler, "t3", math.nan)[0], Stop)
    assert told(scheduler, "t4", 0.5, 0.5) == [Continue()] * 2


def test_small_values_are_better_when_the_run_says_so_and_are_shown_as_they_are() -> None:
    scheduler = MedianStoppingRule("training_iteration", grace_period=1)
    bound(scheduler, metric="loss", mode="min")
    for number, loss in enumerate((0.1, 0.2, 0.3, 0.4)):
        trial = StubTrial(f"t{number}")
        scheduler.on_trial_add(trial)
        scheduler.on_trial_start(trial)
        decision = scheduler.on_trial_result(trial, {"training_iteration": 1, "loss": loss})
    assert isinstance(decision, Stop)
    assert decision.reason.startswith("its best loss, 0.4, is worse than 0.2,")


def test_a_soft_stop_pauses_and_lets_go_on_when_nothing_else_is_left() -> None:
    scheduler = rule(4, hard_stop=False)
    for number in range(3):
        told(scheduler, f"t{number}", 0.9)
    (decision,) = told(scheduler, "t3", 0.1)
    assert isinstance(decision, Pause)
    assert told(scheduler, "t3", 0.1, first=2) == [decision]
    trial = StubTrial("t3")
    assert scheduler.choose_trial_to_run(Standing({}, {"t3": trial}, search_open=True)) is None
    assert scheduler.choose_trial_to_run(Standing({"t0": trial}, {"t3": trial}, search_open=False)) == "t0"
    assert scheduler.choose_trial_to_run(Standing({}, {"t3": trial}, search_open=False)) == "t3"
    scheduler.on_trial_start(trial)
    assert told(scheduler, "t3", 0.1, 0.1, first=3) == [Continue()] * 2


def test_a_trial_that_cannot_be_judged_gives_way_once_its_slice_is_used_up() -> None:
    scheduler = rule(4, min_time_slice=2)
    assert told(scheduler, "t0", 0.5, 0.5) == [
        Continue(),
        Pause("waits at training_iteration 2 for others to come as far: 0 of the 3 that it takes to judge it"),
    ]
    paused = {"t0": StubTrial("t0")}
    assert scheduler.choose_trial_to_run(Standing({}, paused, search_open=True)) is None
    for number in range(1, 4):
        told(scheduler, f"t{number}", 0.5, 0.5)
    assert scheduler.choose_trial_to_run(Standing({}, paused, search_open=True)) == "t0"
    scheduler.on_trial_start(paused["t0"])
    assert told(scheduler, "t0", 0.5, first=3) == [Continue()]


def test_an_attempt_that_follows_a_death_goes_on_with_the_slice_of_the_one_before() -> None:
    scheduler = rule(4, min_time_slice=2)
    told(scheduler, "t0", 0.5)
    scheduler.on_trial_start(StubTrial("t0"))
    (pause,) = told(scheduler, "t0", 0.5, first=2)
    assert isinstance(pause, Pause)


def test_who_gave_way_goes_on_when_nobody_else_can_come() -> None:
    scheduler = rule(1, min_time_slice=1)
    told(scheduler, "t0", 0.5)
    assert scheduler.choose_trial_to_run(Standing({}, {"t0": StubTrial("t0")}, search_open=False)) == "t0"


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(ValueError, match=re.escape("grace_period is -1: it must not be negative")) as caught:
        MedianStoppingRule(grace_period=-1, min_samples_required=0, mode="up")
    assert "min_samples_required is 0: it must be a whole number, at least 1" in str(caught.value)
    assert "mode is 'up'" in str(caught.value)


# Marks of time, and the means there.


def test_whole_numbers_up_to_64_are_marks_and_other_marks_lie_close() -> None:
    assert all(mark_of(t) == t for t in range(65))
    assert (mark_of(65), mark_of(1001.5), mark_of(31.7)) == (64, 992, 31.5)
    assert list(marks_between(63, 69)) == list(marks_between(63, 69, least_step=1)) == [64, 66, 68]
    assert list(marks_between(1.03, 1.07)) == [1.03125, 1.0625]
    assert list(marks_between(5, 6)) == [5 + part / 8 for part in range(1, 8)]
    assert list(marks_between(5, 8, least_step=1)) == [6, 7]


@given(st.floats(1e-3, 1e9), st.floats(0.5, 1))
def test_marks_between_two_times_are_all_marks_between_them(before: float, fraction: float) -> None:
    after = before * fraction
    between = list(marks_between(after, before))
    assert len(between) <= 32
    assert all(mark_of(mark) == mark and after < mark < before for mark in between)
    assert mark_of(before) in (*between, before, mark_of(after))
    assert list(marks_between(after, before, least_step=1)) == [one for one in between if one == int(one)]


@given(st.lists(st.lists(st.tuples(st.integers(1, 3), st.sampled_from([0.1, 0.5, 0.9, math.nan])), max_size=6)))
def test_means_at_marks_are_those_of_the_results_up_to_there(courses: list[list[tuple[int, float]]]) -> None:
    means = RunningMeans()
    histories: dict[str, list[tuple[int, float]]] = {}
    for number, steps in enumerate(courses):
        t, history = 2, []
        for step, score in steps:
            t += step
            history.append((t, score))
            means.take(f"t{number}", t, -math.inf if math.isnan(score) else score)
        histories[f"t{number}"] = history
    for t in range(1, 20):
        expected = [
            _mean(history, t) for history in histories.values() if history and history[0][0] <= t <= history[-1][0]
        ]
        mark = means.at(t)
        assert mark.others("nobody") == len(expected)
        if expected:
            assert mark.median("nobody") == pytest.approx(median(expected))


def _mean(history: list[tuple[int, float]], t: int) -> float:
    values = [score for at, score in history if at <= t and not math.isnan(score)]
    return sum(values) / len(values) if values else -math.inf


@given(st.lists(st.integers(0, 5), min_size=2, max_size=40))
def test_the_median_of_a_mark_is_of_the_latest_others(values: list[int]) -> None:
    most, means_module._MOST = means_module._MOST, 8
    try:
        mark = Mark()
        for number, value in enumerate(values):
            mark.add(f"t{number}", value)
        kept = dict(list(enumerate(values))[-8:])
        for number in (0, len(values) - 1):
            others = [value for other, value in kept.items() if other != number]
            assert mark.others(f"t{number}") == len(others)
            assert mark.median(f"t{number}") == median(others)
    finally:
        means_module._MOST = most
