"""ASHA that stops: examples worked by hand."""

import math

import pytest

from schedulers import ASHAScheduler, Continue, Decision, Stop
from tests.schedulers.driver import StubTrial, bound, report, trials


def arrivals(scheduler: ASHAScheduler, accuracies: list[float], t: float = 1) -> list[Decision]:
    """What happens to trials that reach `t` one after the other."""
    decisions = []
    for trial, accuracy in zip(trials(len(accuracies)), accuracies, strict=True):
        scheduler.on_trial_add(trial)
        scheduler.on_trial_start(trial)
        decisions.append(report(scheduler, trial, t, accuracy))
    return decisions


def goes_on(decisions: list[Decision]) -> list[bool]:
    return [decision == Continue() for decision in decisions]


def test_the_first_to_arrive_always_goes_on() -> None:
    assert arrivals(bound(ASHAScheduler()), [-1e9]) == [Continue()]


def test_a_trial_stops_unless_it_is_among_the_best_third() -> None:
    # Places on arrival: 1 of 1, 2 of 2, 1 of 3 (one place each), 3 of 4, 2 of 5, 2 of 6 (two places), 3 of 7 (three).
    scheduler = bound(ASHAScheduler(reduction_factor=3))
    decisions = arrivals(scheduler, [0.5, 0.4, 0.9, 0.45, 0.6, 0.7, 0.65])
    assert goes_on(decisions) == [True, False, True, False, True, True, True]


def test_a_stop_says_the_place_and_what_was_needed() -> None:
    scheduler = bound(ASHAScheduler(time_attr="epoch", max_t=27, reduction_factor=3))
    for number, trial in enumerate(trials(12)):
        scheduler.on_trial_add(trial)
        accuracy = 0.35 if number == 11 else number / 10
        decision = scheduler.on_trial_result(trial, {"epoch": 9, "accuracy": accuracy})
    assert decision == Stop("8th of 12 at rung 2 (epoch 9), needed 4th")


def test_equal_results_share_the_better_place() -> None:
    assert goes_on(arrivals(bound(ASHAScheduler(reduction_factor=2)), [0.5] * 5)) == [True] * 5


def test_who_ties_with_the_last_that_may_goes_on() -> None:
    scheduler = bound(ASHAScheduler(reduction_factor=2))
    assert goes_on(arrivals(scheduler, [0.9, 0.5, 0.5, 0.5])) == [True, False, True, True]


def test_nan_is_worse_than_every_number() -> None:
    scheduler = bound(ASHAScheduler(reduction_factor=2))
    assert goes_on(arrivals(scheduler, [-1e300, math.nan, -1e308])) == [True, False, True]
    scheduler = bound(ASHAScheduler(reduction_factor=2), mode="min")
    assert goes_on(arrivals(scheduler, [1e300, math.nan, 1e308])) == [True, False, True]


def test_minimising_is_maximising_the_negative() -> None:
    losses = [0.5, 0.7, 0.2, 0.9, 0.4, 0.2, 0.3, math.nan, 0.1]
    smallest = arrivals(bound(ASHAScheduler(), mode="min"), losses)
    largest = arrivals(bound(ASHAScheduler(), mode="max"), [-loss for loss in losses])
    assert smallest == largest


def test_a_trial_is_judged_once_at_each_rung_and_left_alone_between() -> None:
    scheduler = bound(ASHAScheduler(max_t=100, reduction_factor=4))
    good, bad = trials(2)
    for trial in (good, bad):
        scheduler.on_trial_add(trial)
    assert [report(scheduler, good, t, 0.9) for t in range(1, 21)] == [Continue()] * 20
    assert report(scheduler, bad, 1, 0.95) == Continue()
    assert report(scheduler, bad, 2, 0.0) == Continue()
    assert report(scheduler, bad, 3, 0.0) == Continue()
    assert report(scheduler, bad, 4, 0.0) == Stop("2nd of 2 at rung 1 (training_iteration 4), needed 1st")


def test_a_result_that_jumps_over_rungs_counts_at_the_highest_of_them_only() -> None:
    scheduler = bound(ASHAScheduler(max_t=100, reduction_factor=4))
    jumper, at_one, at_sixteen = trials(3)
    for trial in (jumper, at_one, at_sixteen):
        scheduler.on_trial_add(trial)
    assert report(scheduler, jumper, 17, 0.9) == Continue()
    assert report(scheduler, at_one, 1, 0.1) == Continue()  # nobody is recorded at rung 0
    assert report(scheduler, jumper, 18, 0.0) == Continue()  # nor is it matched with the rungs it skipped
    assert report(scheduler, at_sixteen, 16, 0.8) == Stop("2nd of 2 at rung 2 (training_iteration 16), needed 1st")


def test_a_trial_ends_at_max_t() -> None:
    scheduler = bound(ASHAScheduler(max_t=10))
    (trial,) = trials(1)
    scheduler.on_trial_add(trial)
    assert report(scheduler, trial, 9, 0.9) == Continue()
    assert report(scheduler, trial, 10, 0.9) == Stop("reached max_t (training_iteration 10)", complete=True)


def test_a_trial_that_lacks_the_metric_still_ends_at_max_t() -> None:
    scheduler = bound(ASHAScheduler(max_t=10))
    (trial,) = trials(1)
    scheduler.on_trial_add(trial)
    assert isinstance(scheduler.on_trial_result(trial, {"training_iteration": 12}), Stop)


def test_last_trials_may_go_on_past_max_t() -> None:
    scheduler = bound(ASHAScheduler(max_t=16, stop_last_trials=False))
    first, second = trials(2)
    for trial in (first, second):
        scheduler.on_trial_add(trial)
    assert report(scheduler, first, 16, 0.9) == Continue()
    assert report(scheduler, first, 40, 0.9) == Continue()
    assert isinstance(report(scheduler, second, 16, 0.8), Stop)  # max_t is a rung like the others then


@pytest.mark.parametrize(
    "result", [{"accuracy": 0.1}, {"training_iteration": 4}, {"training_iteration": 4, "accuracy": None}]
)
def test_a_result_without_metric_or_time_changes_nothing(result: dict) -> None:
    scheduler = bound(ASHAScheduler())
    first, second = trials(2)
    for trial in (first, second):
        scheduler.on_trial_add(trial)
    assert report(scheduler, first, 4, 0.9) == Continue()
    assert scheduler.on_trial_result(second, result) == Continue()
    assert report(scheduler, second, 4, 0.8) == Stop("2nd of 2 at rung 1 (training_iteration 4), needed 1st")


def test_what_an_ended_trial_achieved_still_counts() -> None:
    scheduler = bound(ASHAScheduler())
    first, second, third = trials(3)
    for trial in (first, second, third):
        scheduler.on_trial_add(trial)
    report(scheduler, first, 1, 0.9)
    scheduler.on_trial_error(first)
    assert isinstance(report(scheduler, second, 1, 0.8), Stop)
    scheduler.on_trial_complete(second, None)
    assert report(scheduler, third, 1, 0.95) == Continue()


def test_rungs_of_exact_powers_are_all_there() -> None:
    # int(log(1000) / log(10)) is 2: by logarithms the last rung would be lost.
    scheduler = bound(ASHAScheduler(max_t=1001, reduction_factor=10))
    for trial, accuracy in zip(trials(2), (0.9, 0.8), strict=True):
        scheduler.on_trial_add(trial)
        decision = report(scheduler, trial, 1000, accuracy)
    assert decision == Stop("2nd of 2 at rung 3 (training_iteration 1000), needed 1st")


def test_the_second_bracket_starts_a_rung_later() -> None:
    scheduler = bound(ASHAScheduler(max_t=81, reduction_factor=3, brackets=2))
    judged_from: set[int] = set()
    for trial in (StubTrial(f"t{number}") for number in range(60)):
        scheduler.on_trial_add(trial)
        fate = [report(scheduler, trial, t, -float(trial.trial_id[1:])) for t in (1, 3)]
        judged_from.update([t for t, decision in zip((1, 3), fate, strict=True) if decision != Continue()][:1])
    assert judged_from == {1, 3}


def test_trials_are_spread_over_brackets_by_softmax_of_their_rungs() -> None:
    scheduler = bound(ASHAScheduler(max_t=81, reduction_factor=3, brackets=3))
    drawn = [scheduler._draw_bracket(f"t{number}") for number in range(20_000)]
    total = 1 + math.exp(-1) + math.exp(-2)
    for bracket in range(3):
        assert drawn.count(bracket) / len(drawn) == pytest.approx(math.exp(-bracket) / total, abs=0.012)


def test_a_bracket_depends_on_the_seed_and_the_trial_only() -> None:
    def draw(seed: int, names: list[str]) -> dict[str, int]:
        scheduler = bound(ASHAScheduler(brackets=3), seed=seed)
        return {name: scheduler._draw_bracket(name) for name in names}

    names = [f"t{number}" for number in range(50)]
    assert draw(1, names) == draw(1, names[::-1])
    assert draw(1, names) != draw(2, names)
