"""HyperBand: examples worked by hand after Algorithm 1 of JMLR 18 (2018), with R = 9 and eta = 3 where not said."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from schedulers import Continue, HyperBandForBOHB, HyperBandScheduler, Pause, Stop
from tests.schedulers.driver import Driver, Standing, StubTrial, bound, report, trials


class Hall:
    """A scheduler and its trials; `searching` as long as new ones may come."""

    def __init__(self, scheduler: HyperBandScheduler | None = None, **arguments: Any) -> None:
        self.scheduler = bound(scheduler or HyperBandScheduler(max_t=9, **arguments))
        self.running: dict[str, StubTrial] = {}
        self.paused: dict[str, StubTrial] = {}
        self.searching = True

    def begin(self, count: int, first: int = 0) -> None:
        for number in range(first, first + count):
            trial = StubTrial(f"t{number}")
            self.scheduler.on_trial_add(trial)
            self.scheduler.on_trial_start(trial)
            self.running[trial.trial_id] = trial

    def report(self, name: str, t: float, accuracy: float) -> dict[str, Any]:
        """What is decided, about whom."""
        answer = report(self.scheduler, self.running[name], t, accuracy)
        decisions = answer if isinstance(answer, dict) else {name: answer}
        self.carry_out(decisions)
        return decisions

    def carry_out(self, decisions: dict[str, Any]) -> None:
        for about, decision in decisions.items():
            if isinstance(decision, Pause):
                self.paused[about] = self.running.pop(about)
            elif isinstance(decision, Stop):
                trial = self.running.pop(about, None) or self.paused.pop(about)
                assert self.scheduler.on_trial_complete(trial, None) == {}

    def choose(self) -> str | None:
        return self.scheduler.choose_trial_to_run(Standing({}, self.paused, self.searching))

    def go_on(self) -> str | None:
        chosen = self.choose()
        if chosen:
            self.running[chosen] = self.paused.pop(chosen)
            self.scheduler.on_trial_start(self.running[chosen])
        return chosen


def sizes(scheduler: HyperBandScheduler, s_max: int) -> list[int]:
    return [scheduler.size(s) for s in range(s_max, -1, -1)]


def test_brackets_are_as_large_as_the_paper_says() -> None:
    assert sizes(HyperBandScheduler(max_t=81), 4) == [81, 34, 15, 8, 5]  # Algorithm 1
    assert sizes(HyperBandForBOHB(max_t=81), 4) == [81, 27, 9, 6, 5]  # Table 1, and BOHB's program
    assert sizes(HyperBandScheduler(max_t=243), 5)[0] == 243  # though log(243) / log(3) is 4.999...
    assert sizes(HyperBandScheduler(max_t=2), 0) == [1]


def test_a_trial_waits_until_its_rung_is_full_and_the_best_third_goes_on() -> None:
    hall = Hall()
    hall.begin(9)
    for number in range(8):
        (decision,) = hall.report(f"t{number}", 1, number / 10).values()
        assert decision == Pause(f"waits at rung 0 of bracket 2 (training_iteration 1): {number + 1} of 9 are there")
        assert hall.choose() is None
    decisions = hall.report("t8", 1, 0.05)
    assert decisions.pop("t8") == Stop("8th of 9 at rung 0 of bracket 2 (training_iteration 1), needed 3rd")
    assert list(decisions) == ["t4", "t3", "t2", "t1", "t0"]
    assert decisions["t4"] == Stop("4th of 9 at rung 0 of bracket 2 (training_iteration 1), needed 3rd")
    assert [hall.go_on() for _ in range(4)] == ["t7", "t6", "t5", None]


def test_who_completes_the_rung_and_is_good_goes_on_without_a_pause() -> None:
    hall = Hall()
    hall.begin(9)
    for number in range(8):
        hall.report(f"t{number}", 1, number / 10)
    assert hall.report("t8", 1, 0.9)["t8"] == Continue()
    assert [hall.go_on() for _ in range(3)] == ["t7", "t6", None]


def test_the_last_of_a_bracket_runs_to_the_end() -> None:
    hall = Hall()
    hall.begin(9)
    for number in range(9):
        hall.report(f"t{number}", 1, number / 10)
    hall.go_on()
    hall.go_on()
    hall.report("t6", 3, 0.1)
    hall.report("t7", 3, 0.2)
    assert hall.report("t8", 3, 0.3) == {
        "t7": Stop("2nd of 3 at rung 1 of bracket 2 (training_iteration 3), needed 1st"),
        "t6": Stop("3rd of 3 at rung 1 of bracket 2 (training_iteration 3), needed 1st"),
        "t8": Continue(),
    }
    assert hall.report("t8", 8, 0.3) == {"t8": Continue()}
    assert hall.report("t8", 9, 0.3) == {"t8": Stop("reached max_t (training_iteration 9)", complete=True)}


def test_brackets_follow_each_other_from_many_short_trials_to_few_long_ones() -> None:
    hall = Hall()
    hall.begin(17)
    (decision,) = hall.report("t9", 3, 0.5).values()
    assert decision == Pause("waits at rung 0 of bracket 1 (training_iteration 3): 1 of 5 are there")
    assert hall.report("t14", 3, 0.5) == {"t14": Continue()}  # bracket 0 runs to the end
    hall.begin(1, first=17)
    (decision,) = hall.report("t17", 1, 0.5).values()
    assert decision == Pause("waits at rung 0 of bracket 2 (training_iteration 1): 1 of 9 are there")


def test_when_nobody_else_can_come_a_bracket_that_is_not_full_goes_on() -> None:
    hall = Hall()
    hall.begin(7)
    for number in range(7):
        hall.report(f"t{number}", 1, number / 10)
    assert hall.choose() is None
    hall.searching = False
    assert [hall.go_on() for _ in range(3)] == ["t6", "t5", None]  # a third of 7, rounded down
    decisions = hall.report("t6", 2, 0.9)
    assert list(decisions) == ["t4", "t3", "t2", "t1", "t0", "t6"]
    assert decisions["t4"] == Stop("3rd of 7 at rung 0 of bracket 2 (training_iteration 1), needed 2nd")


def test_asking_whom_to_run_changes_nothing() -> None:
    hall = Hall()
    hall.begin(7)
    for number in range(7):
        hall.report(f"t{number}", 1, number / 10)
    hall.searching = False
    assert hall.choose() == hall.choose() == "t6"
    hall.searching = True
    assert hall.choose() is None
    hall.begin(2, first=7)
    hall.report("t7", 1, 0.9)
    hall.report("t8", 1, 0.8)
    assert [hall.go_on() for _ in range(3)] == ["t7", "t6", None]


@pytest.mark.parametrize("failing", [True, False])
def test_who_fails_or_ends_leaves_the_bracket_and_its_place_to_others(failing: bool) -> None:
    hall = Hall()
    hall.begin(9)
    for number in range(2, 9):
        hall.report(f"t{number}", 1, number / 10)
    leave = hall.scheduler.on_trial_error if failing else lambda trial: hall.scheduler.on_trial_complete(trial, None)
    assert leave(hall.running.pop("t0")) == {}
    decisions = leave(hall.running.pop("t1"))
    assert list(decisions) == ["t5", "t4", "t3", "t2"]
    assert decisions["t5"] == Stop("4th of 7 at rung 0 of bracket 2 (training_iteration 1), needed 3rd")
    hall.carry_out(decisions)
    assert [hall.go_on() for _ in range(4)] == ["t8", "t7", "t6", None]


def test_fewer_than_may_go_on_all_go_on() -> None:
    hall = Hall()
    hall.begin(9)
    for number in range(7):
        hall.scheduler.on_trial_error(hall.running.pop(f"t{number}"))
    hall.report("t7", 1, 0.1)
    assert hall.report("t8", 1, 0.2) == {"t8": Continue()}
    assert hall.go_on() == "t7"


def test_one_that_was_sent_on_and_dies_is_not_waited_for() -> None:
    hall = Hall()
    hall.begin(9)
    for number in range(9):
        hall.report(f"t{number}", 1, number / 10)
    hall.go_on()
    hall.report("t8", 3, 0.9)
    hall.scheduler.on_trial_error(hall.paused.pop("t6"))  # sent on, not yet started
    assert hall.scheduler.on_trial_error(hall.running.pop("t7")) == {}
    assert hall.go_on() == "t8"


def test_a_result_at_max_t_ends_its_trial_even_if_it_jumped_over_its_rung() -> None:
    hall = Hall()
    hall.begin(9)
    for number in range(8):
        hall.report(f"t{number}", 1, number / 10)
    decisions = hall.report("t8", 9, 0.9)
    assert decisions["t8"] == Stop("reached max_t (training_iteration 9)", complete=True)
    assert decisions["t4"] == Stop("4th of 8 at rung 0 of bracket 2 (training_iteration 1), needed 3rd")


def test_trials_may_go_on_beyond_max_t() -> None:
    hall = Hall(stop_last_trials=False)
    hall.begin(17)
    assert hall.report("t14", 9, 0.5) == hall.report("t14", 10, 0.5) == {"t14": Continue()}


def test_a_trial_that_reports_again_although_told_to_pause_is_told_again() -> None:
    hall = Hall()
    hall.begin(9)
    told = hall.report("t0", 1, 0.5)
    hall.running["t0"] = hall.paused.pop("t0")
    assert hall.report("t0", 2, 0.6) == told


def test_a_result_without_the_metric_waits_for_the_next_and_nan_is_last() -> None:
    hall = Hall()
    hall.begin(9)
    assert hall.scheduler.on_trial_result(hall.running["t0"], {"training_iteration": 1}) == Continue()
    assert hall.scheduler.on_trial_result(hall.running["t0"], {"accuracy": 0.5}) == Continue()
    for number in range(9):
        decisions = hall.report(f"t{number}", 2, math.nan if number == 0 else -1e308)
    assert decisions["t0"] == Stop("9th of 9 at rung 0 of bracket 2 (training_iteration 1), needed 3rd")


def test_a_trial_is_free_until_its_next_milestone() -> None:
    hall = Hall()
    hall.begin(17)
    free_until = hall.scheduler.free_until
    assert [free_until(hall.running[name], 0) for name in ("t0", "t9", "t14")] == [1, 3, 9]
    trial = hall.running["t0"]
    hall.report("t0", 1, 0.5)
    assert free_until(trial, 1) == 0
    assert bound(HyperBandScheduler(time_attr="epoch")).free_until(trials(1)[0], 0) == 0


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(ValueError, match="HyperBandScheduler: max_t is 0.*reduction_factor is 1.*mode is 'up'"):
        HyperBandScheduler(max_t=0, reduction_factor=1, mode="up")
    with pytest.raises(ValueError, match="HyperBandForBOHB: max_t is '81': give a finite number"):
        HyperBandForBOHB(max_t="81")  # type: ignore[arg-type]


def test_a_calm_run_costs_what_the_paper_says() -> None:
    # Bracket 2: 9 trials to 1, 3 to 3, 1 to 9. Bracket 1: 5 to 3, 1 to 9. Bracket 0: 3 to 9.
    driver = Driver(
        bound(HyperBandScheduler(max_t=9)), 17, 4, lambda name, t: float(name[1:]), Random(0), accidents=False
    )
    driver.run()
    assert sorted(driver.iteration.values()) == [1] * 6 + [3] * 2 + [3] * 4 + [9] * 5
    assert not [why for why in driver.ended.values() if why == "dismissed"]
