"""What holds for every scheduler, whatever happens to its trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedulers import SCHEDULERS, Continue, create_scheduler
from tests.schedulers.contract import ARGUMENTS, BUILDS, SLOW_BUILDS, Build
from tests.schedulers.driver import Driver, bound, trials

every = pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS.keys())
few = settings(max_examples=15)


def play(build: Build, count: int, slots: int, seed: int) -> Driver:
    """One run; scores are few, so that ties happen, and some are NaN."""

    def score(name: str, t: int) -> float:
        drawn = Random(f"{seed}/{name}/{t}").randint(0, 9)
        return math.nan if drawn == 9 else drawn / 10 + t / 100

    driver = Driver(bound(build(), seed=seed), count, slots, score, Random(seed))
    driver.run()
    return driver


def test_every_short_name_is_put_through_this() -> None:
    assert ARGUMENTS.keys() == SCHEDULERS.keys()


@every
@few
@given(st.integers(0, 30), st.integers(1, 6), st.integers(0, 10_000))
def test_every_run_ends_and_ends_every_trial(build: Build, count: int, slots: int, seed: int) -> None:
    assert len(play(build, count, slots, seed).ended) == count


@every
@few
@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 10_000))
def test_told_again_up_to_any_point_it_decides_the_same_from_there(
    build: Build, count: int, slots: int, seed: int
) -> None:
    replay(build, play(build, count, slots, seed), seed)


@pytest.mark.long
@pytest.mark.parametrize("build", SLOW_BUILDS.values(), ids=SLOW_BUILDS.keys())
@pytest.mark.parametrize("seed", range(3))
def test_slow_ones_end_every_trial_and_decide_the_same_when_told_again(build: Build, seed: int) -> None:
    driver = play(build, 8, 3, seed)
    assert len(driver.ended) == 8
    replay(build, driver, seed)


def replay(build: Build, driver: Driver, seed: int) -> None:
    """Tell another one of a kind the same, and compare its answers from some point on."""
    resumed_at = Random(seed).randrange(len(driver.history))
    again = bound(build(), seed=seed)
    for index, told in enumerate(driver.history):
        if index < resumed_at and told.hook == "choose_trial_to_run":
            continue  # a resumed scheduler learns what was chosen from the starts
        answer = getattr(again, told.hook)(*told.arguments)
        if index >= resumed_at:
            assert answer == told.answer


@every
@few
@given(st.integers(0, 10_000), st.floats(0, 0.3))
def test_a_trial_that_was_let_run_freely_is_told_nothing_but_to_go_on(build: Build, seed: int, missing: float) -> None:
    scheduler, chance = bound(build(), seed=seed), Random(seed)
    running = {}
    for trial in trials(8):
        scheduler.on_trial_add(trial)
        scheduler.on_trial_start(trial)
        running[trial.trial_id] = trial, 0, scheduler.free_until(trial, 0)
    while running:
        trial, iteration, free_until = running[chance.choice(list(running))]
        iteration += 1
        result = {
            "training_iteration": iteration,
            "time_total_s": iteration / 2,
            "accuracy": chance.choice([chance.random(), math.nan]),
        }
        if chance.random() < missing:
            del result["accuracy"]
        answer = scheduler.on_trial_result(trial, result)
        decision = answer.get(trial.trial_id, Continue()) if isinstance(answer, Mapping) else answer
        assert iteration >= free_until or decision == Continue()
        running[trial.trial_id] = trial, iteration, max(free_until, scheduler.free_until(trial, iteration))
        if decision != Continue() or iteration >= 20:
            del running[trial.trial_id]


@pytest.mark.parametrize("name", ["hyperband", "hb_bohb"])
@given(st.integers(0, 40), st.integers(1, 6), st.integers(0, 10_000))
def test_in_brackets_every_trial_is_decided_about_and_none_is_left_over(
    name: str, count: int, slots: int, seed: int
) -> None:
    driver = play(lambda: create_scheduler(name, max_t=9), count, slots, seed)
    assert "dismissed" not in driver.ended.values()
