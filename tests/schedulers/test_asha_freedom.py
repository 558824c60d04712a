"""What ASHA promises ahead: between rungs nothing is decided, so trials need not wait there."""

import math
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from schedulers import ASHAScheduler, Continue, FIFOScheduler, TrialScheduler
from schedulers.base import NEVER
from tests.schedulers.driver import bound, trials


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(["stopping", "promotion"]),
    brackets=st.sampled_from([1, 2]),
    missing=st.sampled_from([0.0, 0.5, 0.9]),
    stop_last_trials=st.booleans(),
)
def test_nothing_but_going_on_is_decided_before_the_iteration_promised(seed, kind, brackets, missing, stop_last_trials):
    scheduler = bound(
        ASHAScheduler(max_t=27, reduction_factor=3, brackets=brackets, stop_last_trials=stop_last_trials, type=kind)
    )
    chance = Random(seed)
    running = {}
    for trial in trials(6):
        scheduler.on_trial_add(trial)
        scheduler.on_trial_start(trial)
        running[trial.trial_id] = trial, 0, scheduler.free_until(trial, 0)
    while running:
        trial, iteration, free_until = running[chance.choice(list(running))]
        iteration += 1
        result = {"training_iteration": iteration, "accuracy": chance.choice([chance.random(), math.nan])}
        if chance.random() < missing:
            del result["accuracy"]
        decision = scheduler.on_trial_result(trial, result)
        assert iteration >= free_until or decision == Continue()
        running[trial.trial_id] = trial, iteration, max(free_until, scheduler.free_until(trial, iteration))
        if decision != Continue() or iteration >= 40:
            del running[trial.trial_id]


def test_a_trial_is_free_until_the_next_rung():
    scheduler = bound(ASHAScheduler(max_t=100, reduction_factor=3, grace_period=3))
    (trial,) = trials(1)
    scheduler.on_trial_add(trial)
    assert scheduler.free_until(trial, 0) == 3
    scheduler.on_trial_result(trial, {"training_iteration": 3, "accuracy": 0.5})
    assert scheduler.free_until(trial, 3) == 9


def test_time_that_is_not_counted_in_iterations_promises_nothing():
    scheduler = bound(ASHAScheduler(time_attr="epoch", max_t=100))
    (trial,) = trials(1)
    scheduler.on_trial_add(trial)
    assert scheduler.free_until(trial, 0) == 0


def test_a_scheduler_that_never_decides_promises_for_ever_and_another_nothing():
    class Deciding(TrialScheduler):
        def on_trial_result(self, trial, result):
            return Continue()

    (trial,) = trials(1)
    assert FIFOScheduler().free_until(trial, 5) == NEVER
    assert Deciding().free_until(trial, 5) == 0
