"""ASHA that pauses and promotes: examples worked by hand after Algorithm 2 of arXiv:1810.05934."""

import math
from random import Random

from schedulers import ASHAScheduler, Continue, Pause, Stop
from tests.schedulers.driver import Driver, Standing, StubTrial, bound, report, trials


class Hall:
    """Trials at rungs, all saved and paused."""

    def __init__(self, **arguments) -> None:
        self.scheduler = bound(ASHAScheduler(type="promotion", **arguments))
        self.paused: dict[str, StubTrial] = {}
        self.waiting: dict[str, StubTrial] = {}

    def arrive(self, trial: StubTrial, t: float, accuracy: float):
        if t == 1:
            self.scheduler.on_trial_add(trial)
            self.scheduler.on_trial_start(trial)
        decision = report(self.scheduler, trial, t, accuracy)
        if isinstance(decision, Pause):
            self.paused[trial.trial_id] = trial
        return decision

    def choose(self) -> str | None:
        return self.scheduler.choose_trial_to_run(Standing(self.waiting, self.paused))

    def promote(self) -> str | None:
        chosen = self.choose()
        if chosen:
            self.scheduler.on_trial_start(self.paused.pop(chosen))
        return chosen


def test_every_trial_pauses_at_its_rung_and_is_told_its_place() -> None:
    hall = Hall(max_t=9, reduction_factor=3)
    reasons = [hall.arrive(trial, 1, score) for trial, score in zip(trials(3), (0.5, 0.9, 0.7), strict=True)]
    assert reasons == [
        Pause("waits at rung 0 (training_iteration 1): 1st of 1"),
        Pause("waits at rung 0 (training_iteration 1): 1st of 2"),
        Pause("waits at rung 0 (training_iteration 1): 2nd of 3"),
    ]


def test_nobody_is_promoted_before_the_rung_holds_eta_trials() -> None:
    hall = Hall(max_t=9, reduction_factor=3)
    first, second, third = trials(3)
    hall.arrive(first, 1, 0.5)
    hall.arrive(second, 1, 0.9)
    assert hall.choose() is None
    hall.arrive(third, 1, 0.7)
    assert hall.promote() == "t1"
    assert hall.choose() is None


def test_the_best_is_promoted_first_and_a_place_once_taken_stays_taken() -> None:
    hall = Hall(max_t=27, reduction_factor=3)
    for trial, score in zip(trials(6), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), strict=True):
        hall.arrive(trial, 1, score)
    assert [hall.promote(), hall.promote(), hall.promote()] == ["t5", "t4", None]
    hall.arrive(StubTrial("t6"), 1, 0.9)  # best of 7: t5 has left, yet keeps its place; t6 takes the other from t4
    assert [hall.promote(), hall.promote()] == ["t6", None]


def test_the_highest_rung_goes_first() -> None:
    hall = Hall(max_t=8, reduction_factor=2)
    for trial, score in zip(trials(4), (0.1, 0.2, 0.3, 0.4), strict=True):
        hall.arrive(trial, 1, score)
    assert [hall.promote(), hall.promote()] == ["t3", "t2"]
    hall.arrive(StubTrial("t3"), 2, 0.4)
    hall.arrive(StubTrial("t2"), 2, 0.6)
    for name, score in (("t4", 0.5), ("t5", 0.5)):
        hall.arrive(StubTrial(name), 1, score)
    assert [hall.promote(), hall.promote()] == ["t2", "t4"]


def test_a_promoted_trial_runs_to_the_next_rung_and_ends_at_max_t() -> None:
    hall = Hall(max_t=4, reduction_factor=2)
    good, other = trials(2)
    hall.arrive(good, 1, 0.9)
    hall.arrive(other, 1, 0.1)
    assert hall.promote() == "t0"
    assert hall.arrive(good, 2, 0.9) == Pause("waits at rung 1 (training_iteration 2): 1st of 1")
    hall.scheduler.on_trial_start(good)
    assert hall.arrive(good, 3, 0.9) == Continue()
    assert hall.arrive(good, 4, 0.9) == Stop("reached max_t (training_iteration 4)", complete=True)


def test_nobody_waits_at_max_t_even_when_trials_may_go_on() -> None:
    hall = Hall(max_t=1, stop_last_trials=False)
    assert hall.arrive(trials(1)[0], 1, 0.9) == Continue()


def test_of_equal_results_the_earlier_goes_and_no_more_than_the_rule_allows() -> None:
    hall = Hall(max_t=9, reduction_factor=2)
    for trial in trials(4):
        hall.arrive(trial, 1, 0.5)
    assert [hall.promote(), hall.promote(), hall.promote()] == ["t0", "t1", None]


def test_nan_waits_behind_every_number() -> None:
    hall = Hall(max_t=9, reduction_factor=2)
    first, second = trials(2)
    hall.arrive(first, 1, math.nan)
    hall.arrive(second, 1, -1e308)
    assert [hall.promote(), hall.promote()] == ["t1", None]


def test_a_trial_that_is_still_saving_is_looked_past_and_not_forgotten() -> None:
    hall = Hall(max_t=27, reduction_factor=2)
    for trial, score in zip(trials(4), (0.1, 0.2, 0.3, 0.4), strict=True):
        hall.arrive(trial, 1, score)
    saving = hall.paused.pop("t3")
    assert hall.promote() == "t2"
    hall.paused["t3"] = saving
    assert hall.promote() == "t3"


def test_a_trial_that_ended_while_it_waited_is_not_promoted() -> None:
    hall = Hall(max_t=27, reduction_factor=2)
    for trial, score in zip(trials(4), (0.1, 0.2, 0.3, 0.4), strict=True):
        hall.arrive(trial, 1, score)
    hall.scheduler.on_trial_error(hall.paused["t3"])
    hall.scheduler.on_trial_complete(hall.paused["t2"], None)
    assert hall.choose() is None


def test_a_waiting_trial_starts_when_nobody_can_be_promoted() -> None:
    hall = Hall(max_t=9, reduction_factor=2)
    first, second, third = trials(3)
    hall.waiting["t2"] = third
    hall.arrive(first, 1, 0.5)
    assert hall.choose() == "t2"
    hall.arrive(second, 1, 0.4)
    assert hall.choose() == "t0"


def test_a_trial_that_reports_again_although_told_to_pause_is_told_again() -> None:
    hall = Hall(max_t=9, reduction_factor=3)
    (trial,) = trials(1)
    told = hall.arrive(trial, 1, 0.5)
    assert hall.arrive(trial, 2, 0.9) == told
    assert isinstance(hall.arrive(trial, 3, 0.9), Pause)


def test_a_retry_of_a_promoted_trial_does_not_pause_it_between_rungs() -> None:
    hall = Hall(max_t=9, reduction_factor=3)
    for trial, score in zip(trials(3), (0.5, 0.9, 0.7), strict=True):
        hall.arrive(trial, 1, score)
    assert hall.promote() == "t1"
    hall.scheduler.on_trial_start(StubTrial("t1"))
    assert hall.arrive(StubTrial("t1"), 2, 0.9) == Continue()


def test_a_calm_run_promotes_as_the_papers_arithmetic_says() -> None:
    # One worker, eta 3, R 9, each trial worse than the one before: t0 is promoted when rung 0 holds three, t1 when it
    # holds six, t2 when nine. Then t0 is the best third of rung 1, and runs to the end.
    scheduler = bound(ASHAScheduler(type="promotion", max_t=9, reduction_factor=3))
    driver = Driver(scheduler, 9, 1, lambda name, t: -float(name[1:]), Random(0), accidents=False)
    driver.run()
    assert [name for _, name in driver.starts_of_paused] == ["t0", "t1", "t2", "t0"]
    assert driver.ended["t0"] == "reached max_t (training_iteration 9)"
    assert [why for name, why in sorted(driver.ended.items())[1:]] == ["dismissed"] * 8
