"""Population based training: who copies whom, and that nobody waits for ever."""

from __future__ import annotations

import math
import re
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedulers import Continue, Exploit, Pause, PopulationBasedTraining, Save
from searchers.space import loguniform
from tests.schedulers.driver import Driver, Standing, StubTrial, bound, report
from tests.schedulers.plain_population import PlainPopulation

MUTATIONS = {"lr": loguniform(1e-4, 0.1), "width": [8, 16, 32]}


def pbt(total: int | None = 4, **more: Any) -> Any:
    arguments = {"time_attr": "training_iteration", "perturbation_interval": 2, "hyperparam_mutations": MUTATIONS}
    return bound(PopulationBasedTraining(**{**arguments, **more}), total_trials=total)


def started(scheduler: Any, count: int = 4) -> list[StubTrial]:
    members = [StubTrial(f"t{at}", {"lr": 0.01 * (at + 1), "width": 16}) for at in range(count)]
    for member in members:
        scheduler.on_trial_add(member)
        scheduler.on_trial_start(member)
    return members


def report_all(scheduler: Any, members: list[StubTrial], t: int, *scores: float) -> list[Any]:
    return [report(scheduler, one, t, score) for one, score in zip(members, scores, strict=True)]


def paused(scheduler: Any, *members: StubTrial) -> dict[str, StubTrial]:
    for member in members:
        scheduler.on_trial_pause(member)
    return {one.trial_id: one for one in members}


# Worked by hand: four trials, an interval of two, a quarter of them copies and is copied.


def test_the_last_of_four_copies_the_first_and_the_first_saves() -> None:
    scheduler = pbt()
    members = started(scheduler)
    assert report_all(scheduler, members, 1, 0.1, 0.2, 0.3, 0.4) == [Continue()] * 4
    # As they come: alone; better than one, first of two; first of three; last of four.
    *others, exploit = report_all(scheduler, members, 2, 0.6, 0.7, 0.8, 0.5)
    assert others == [Continue(), Save(), Save()]
    assert exploit.donor == "t2"
    assert exploit.reason.startswith("4 of 4 at training_iteration 2: copies t2, lr 0.03 -> ")
    assert report(scheduler, members[0], 3, 0.9) == Continue()


def test_a_copy_counts_its_next_interval_from_where_it_starts() -> None:
    scheduler = pbt()
    members = started(scheduler)
    report_all(scheduler, members[:3], 2, 0.6, 0.7, 0.8)
    report_all(scheduler, members[:3], 4, 0.7, 0.8, 0.9)
    exploit = report(scheduler, members[3], 2, 0.5)
    assert exploit.donor == "t2"
    scheduler.on_trial_start(members[3])
    assert scheduler.free_until(members[3], 4) == 6
    assert report(scheduler, members[3], 5, 0.8) == Continue()
    assert report(scheduler, members[3], 6, 0.95) == Save()


def test_a_copy_of_one_that_is_behind_counts_its_interval_from_there() -> None:
    scheduler = pbt(2)
    first, second = started(scheduler, 2)
    report(scheduler, first, 2, 0.9)
    for t in (2, 4):
        report(scheduler, second, t, 0.95)
    for t in (6, 8):
        answer = report(scheduler, second, t, 0.1)
    assert isinstance(answer, Exploit)
    assert report(scheduler, second, 3, 0.5) == Continue()
    assert isinstance(report(scheduler, second, 5, 0.1), Exploit)


def test_who_comes_no_further_by_a_copy_than_where_its_results_are_nan_goes_on() -> None:
    scheduler = pbt()
    members = started(scheduler)
    report_all(scheduler, members[1:], 2, 0.1, 0.2, 0.3)
    assert report(scheduler, members[0], 4, math.nan).donor == "t3"
    assert report(scheduler, members[0], 4, math.nan) == Continue()
    assert report(scheduler, members[0], 6, math.nan).donor == "t3"


@pytest.mark.parametrize("mode", ["min", "max"])
def test_nan_is_compared_with_nobody_and_copies_one_of_the_best(mode: str) -> None:
    scheduler = bound(
        PopulationBasedTraining("training_iteration", perturbation_interval=1, hyperparam_mutations=MUTATIONS),
        mode=mode,
        total_trials=3,
    )
    members = started(scheduler, 3)
    assert report(scheduler, members[0], 1, math.nan) == Continue()
    report(scheduler, members[1], 1, 0.5)
    report(scheduler, members[2], 1, 0.5)
    assert report(scheduler, members[0], 2, math.nan).donor in ("t1", "t2")


def test_one_that_is_over_is_compared_with_no_more() -> None:
    scheduler = pbt()
    members = started(scheduler)
    report_all(scheduler, members[:2], 2, 0.8, 0.9)
    scheduler.on_trial_complete(members[1], None)
    assert report(scheduler, members[2], 2, 0.7).donor == "t0"


def test_a_copy_holds_nobody_back_until_it_has_trained_for_an_interval() -> None:
    """With its donor's score it would hold a donor back whose score is worse by now."""
    scheduler = pbt(2)
    first, second = started(scheduler, 2)
    report(scheduler, first, 2, 0.9)
    assert report(scheduler, second, 2, 0.8).donor == "t0"
    assert report(scheduler, first, 4, 0.7) == Save()
    scheduler.on_trial_start(second)
    assert report(scheduler, second, 4, 0.6).donor == "t0"


def test_of_many_that_come_one_after_the_other_a_quarter_copies_and_the_others_stay_as_they_are() -> None:
    scheduler, chance = pbt(100), Random(0)
    answers = [report(scheduler, member, 2, chance.random()) for member in started(scheduler, 100)]
    assert 20 <= sum(isinstance(answer, Exploit) for answer in answers) <= 30


def test_nothing_is_compared_during_the_burn_in() -> None:
    scheduler = pbt(burn_in_period=5)
    members = started(scheduler)
    for t in (1, 2, 3, 4):
        assert report_all(scheduler, members, t, 0.6, 0.7, 0.8, 0.5) == [Continue()] * 4
    assert report(scheduler, members[0], 5, 0.6) == Continue()
    assert isinstance(report(scheduler, members[3], 5, 0.5), Exploit)


def test_until_the_end_of_an_interval_trials_report_freely() -> None:
    scheduler = pbt(1, burn_in_period=3)
    (member,) = started(scheduler, 1)
    assert scheduler.free_until(member, 0) == 3
    report(scheduler, member, 3, 0.5)
    assert scheduler.free_until(member, 3) == 5


def test_a_function_of_the_users_has_the_last_word() -> None:
    scheduler = pbt(2, custom_explore_fn=lambda config: {**config, "width": 1})
    first, second = started(scheduler, 2)
    report(scheduler, first, 2, 0.9)
    assert report(scheduler, second, 2, 0.1).config["width"] == 1


def test_a_result_without_what_is_compared_is_an_error_or_passed_over() -> None:
    (member,) = started(scheduler := pbt(), 1)
    with pytest.raises(ValueError, match="no number training_iteration"):
        scheduler.on_trial_result(member, {"accuracy": 1.0})
    (member,) = started(scheduler := pbt(require_attrs=False), 1)
    assert scheduler.on_trial_result(member, {"accuracy": 1.0}) == Continue()


# More trials than room.


def test_with_more_trials_than_room_each_pauses_after_its_interval_and_the_least_trained_goes_on() -> None:
    scheduler = pbt(3)
    members = started(scheduler, 2)
    assert report(scheduler, members[0], 1, 0.5) == Continue()
    pause = report(scheduler, members[0], 2, 0.5)
    assert isinstance(pause, Pause)
    waits = paused(scheduler, members[0])
    assert scheduler.choose_trial_to_run(Standing(paused=waits, search_open=True)) is None  # the third is to come
    third = StubTrial("t2")
    scheduler.on_trial_add(third)
    assert scheduler.choose_trial_to_run(Standing({"t2": third}, waits, search_open=False)) == "t2"
    scheduler.on_trial_start(third)
    exploit = report(scheduler, third, 2, 0.1)
    assert (exploit.donor, exploit.pause) == ("t0", True)


def test_of_those_that_wait_the_least_trained_goes_on() -> None:
    scheduler = pbt(3)
    members = started(scheduler, 3)
    for member, t in zip(members, (4, 2, 6), strict=True):
        report(scheduler, member, t, {4: 1.0, 2: 2.0, 6: 3.0}[t])
    assert scheduler.choose_trial_to_run(Standing(paused=paused(scheduler, *members))) == "t1"


def test_of_those_that_have_trained_as_much_who_has_waited_longest_goes_on() -> None:
    """A copy stands where its donor does: chosen again and again, it would keep the donor from coming any further."""
    scheduler = pbt(2)
    first, second = started(scheduler, 2)
    report_all(scheduler, [first, second], 2, 0.5, 0.9)
    scheduler.on_trial_start(first)
    assert report(scheduler, first, 4, 0.1).donor == "t1"
    assert scheduler.choose_trial_to_run(Standing(paused=paused(scheduler, first, second))) == "t1"


# All together.


def test_synchronous_trials_wait_for_the_last_and_then_the_worst_copies_the_best() -> None:
    scheduler = pbt(synch=True)
    members = started(scheduler)
    waits = report_all(scheduler, members[:3], 2, 0.6, 0.2, 0.8)
    assert [type(one) for one in waits] == [Pause] * 3
    standing = Standing(paused=paused(scheduler, *members[:3]))
    assert scheduler.choose_trial_to_run(standing) is None
    decisions = report(scheduler, members[3], 2, 0.7)
    assert list(decisions) == ["t1"]
    assert decisions["t1"].donor == "t2"
    assert scheduler.choose_trial_to_run(standing) == "t0"
    assert scheduler.free_until(members[3], 2) == 4


@pytest.mark.parametrize("hook", ["on_trial_complete", "on_trial_error"])
def test_the_death_of_the_one_that_all_wait_for_lets_them_go_on(hook: str) -> None:
    scheduler = pbt(3, synch=True, burn_in_period=3)
    members = started(scheduler, 3)
    report_all(scheduler, members[:2], 2, 0.1, 0.2)
    report_all(scheduler, members[:2], 3, 0.6, 0.2)
    decisions = getattr(scheduler, hook)(members[2], *([None] if hook == "on_trial_complete" else []))
    assert decisions["t1"].donor == "t0"
    assert scheduler.choose_trial_to_run(Standing(paused=paused(scheduler, *members[:2]))) == "t0"


def test_when_those_to_come_never_do_the_others_go_on_all_the_same() -> None:
    scheduler = pbt(5, synch=True)
    members = started(scheduler, 2)
    report_all(scheduler, members, 2, 0.1, 0.2)
    assert scheduler.choose_trial_to_run(Standing(paused=paused(scheduler, *members))) == "t0"


# Under whatever may happen.


def driven(seed: int, *, synch: bool, count: int, slots: int, burn_in: int, accidents: bool = True) -> Driver:
    scheduler = pbt(count, synch=synch, burn_in_period=burn_in, perturbation_interval=3, require_attrs=False)
    quality = {f"t{at}": Random(f"{seed}/{at}").random() for at in range(count)}

    def score(name: str, t: int) -> float:
        return math.nan if (t + int(name[1:])) % 11 == 0 else quality[name] + t / 10

    driver = Driver(scheduler, count, slots, score, Random(seed), accidents=accidents, length=20)
    driver.run(20_000)
    return driver


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.booleans(), st.integers(1, 7), st.integers(1, 4), st.integers(0, 7))
def test_nobody_waits_for_ever_and_everybody_ends(seed: int, synch: bool, count: int, slots: int, burn_in: int) -> None:
    driver = driven(seed, synch=synch, count=count, slots=slots, burn_in=burn_in)
    assert len(driver.ended) == count
    assert "dismissed" not in driver.ended.values()


@pytest.mark.parametrize("synch", [False, True])
def test_told_the_same_history_it_decides_the_same(synch: bool) -> None:
    driver = driven(3, synch=synch, count=6, slots=4, burn_in=0)
    assert len(driver.copies) > 3
    again = pbt(6, synch=synch, perturbation_interval=3, require_attrs=False)
    for told in driver.history:
        assert getattr(again, told.hook)(*told.arguments) == told.answer


@settings(max_examples=80)
@given(
    st.integers(0, 10_000),
    st.booleans(),
    st.integers(1, 14),
    st.integers(1, 5),
    st.integers(0, 2),
    st.sampled_from([0, 0.1, 0.25, 0.5]),
)
def test_it_decides_as_one_that_looks_through_all_members(
    seed: int, synch: bool, count: int, slots: int, never_come: int, fraction: float
) -> None:
    total = count + never_come
    scheduler = pbt(total, synch=synch, quantile_fraction=fraction, require_attrs=False)

    def score(name: str, t: int) -> float:
        drawn = Random(f"{seed}/{name}/{t}").randint(0, 9)  # few, so that there are equals
        return math.nan if drawn == 9 else drawn + t / 2

    driver = Driver(scheduler, count, slots, score, Random(seed), length=20)
    driver.run(20_000)
    plain = PlainPopulation(total=total, interval=2, fraction=fraction, synch=synch)
    for told in driver.history:
        assert in_words(told.answer) == getattr(plain, told.hook)(*told.arguments)


def in_words(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: in_words(each) for name, each in answer.items()}
    if answer is None or isinstance(answer, str):
        return answer
    return answer.donor if isinstance(answer, Exploit) else type(answer).__name__


def test_what_lies_to_its_promise_of_free_reports_is_found() -> None:
    """Results before `free_until` are answered by nothing but to go on."""
    for synch in (False, True):
        scheduler = pbt(synch=synch, burn_in_period=3)
        members = started(scheduler)
        for t in range(1, 13):
            for at, member in enumerate(members):
                promised = scheduler.free_until(member, t - 1)
                answer = report(scheduler, member, t, at + t / 10)
                assert t >= promised or answer == Continue()


# Mistakes.


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(ValueError, match="PopulationBasedTraining: ") as caught:
        PopulationBasedTraining(
            mode="up",
            perturbation_interval=0,
            burn_in_period=-1,
            hyperparam_mutations={"lr": 3, "empty": [], "inner": {"x": "y"}},
            quantile_fraction=0.6,
            resample_probability=2,
            perturbation_factors=(0,),
            custom_explore_fn=1,  # type: ignore[arg-type]
        )
    for words in (
        "mode is 'up'",
        "perturbation_interval is 0",
        "burn_in_period is -1",
        "hyperparam_mutations['lr'] is 3",
        "hyperparam_mutations['empty'] is empty",
        "hyperparam_mutations['inner']['x'] is 'y'",
        "quantile_fraction is 0.6",
        "resample_probability is 2",
        "perturbation_factors is (0,)",
        "custom_explore_fn is 1",
    ):
        assert words in str(caught.value)


def test_with_nothing_to_mutate_it_says_so() -> None:
    with pytest.raises(ValueError, match=re.escape("give hyperparam_mutations, custom_explore_fn or both")):
        PopulationBasedTraining()
