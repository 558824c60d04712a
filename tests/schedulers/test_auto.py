"""The scheduler that finds its own first rung: what it promises, by hand and under arbitrary histories."""

import logging
import math
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedulers import AutoScheduler, Continue, Pause, Stop
from schedulers.gains import Gains, Outlook
from schedulers.trust import Trust, tau
from tests.schedulers.driver import Driver, Standing, bound, report, trials

SETTINGS = st.fixed_dictionaries(
    {"max_t": st.sampled_from([1, 2, 5, 9, 30, 81]), "reduction_factor": st.sampled_from([2, 3, 4])}
)


def play(settings: dict, count: int, slots: int, seed: int) -> Driver:
    """One run; scores are few, so that ties happen, and some are NaN."""
    scheduler = bound(AutoScheduler(**settings), seed=seed)

    def score(name: str, t: int) -> float:
        drawn = Random(f"{seed}/{name}/{t}").randint(0, 9)
        return math.nan if drawn == 9 else drawn / 10 + t / 100

    driver = Driver(scheduler, count, slots, score, Random(seed))
    driver.run()
    return driver


@given(SETTINGS, st.integers(0, 40), st.integers(1, 6), st.integers(0, 10_000))
def test_every_run_ends_and_ends_every_trial(settings: dict, count: int, slots: int, seed: int) -> None:
    driver = play(settings, count, slots, seed)
    assert len(driver.ended) == count


@given(SETTINGS, st.integers(1, 40), st.integers(1, 6), st.integers(0, 10_000))
def test_told_again_up_to_any_point_it_decides_the_same_from_there(
    settings: dict, count: int, slots: int, seed: int
) -> None:
    driver = play(settings, count, slots, seed)
    resumed_at = Random(seed).randrange(len(driver.history))
    again = bound(AutoScheduler(**settings), seed=seed)
    for index, told in enumerate(driver.history):
        if index < resumed_at and told.hook == "choose_trial_to_run":
            continue  # a resumed scheduler learns what was chosen from the starts
        answer = getattr(again, told.hook)(*told.arguments)
        if index >= resumed_at:
            assert answer == told.answer


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.5]))
def test_nothing_but_going_on_is_decided_before_the_iteration_promised(seed: int, missing: float) -> None:
    scheduler = bound(AutoScheduler(max_t=27))
    chance = Random(seed)
    running = {}
    for trial in trials(20):
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
        if iteration >= free_until and isinstance(decision, Continue):
            free_until = scheduler.free_until(trial, iteration)
        running[trial.trial_id] = trial, iteration, free_until
        if decision != Continue() or iteration >= 40:
            del running[trial.trial_id]


def started(count: int, **settings: object) -> tuple[AutoScheduler, list]:
    scheduler = bound(AutoScheduler(**{"max_t": 27, **settings}))
    some = trials(count)
    for trial in some:
        scheduler.on_trial_add(trial)
        scheduler.on_trial_start(trial)
    return scheduler, some


def test_trials_pause_at_rungs_and_say_where_they_stand() -> None:
    scheduler, some = started(5)
    decisions = [
        report(scheduler, trial, 1, score) for trial, score in zip(some, (0.1, 0.5, 0.3, 0.2, 0.4), strict=True)
    ]
    assert all(isinstance(decision, Pause) for decision in decisions[:2])
    assert decisions[3].reason.startswith("3rd of 4 at rung 0 (training_iteration 1), ")
    assert decisions[3].reason.endswith("chance to take the lead")


def test_the_best_third_of_a_rung_goes_on_and_others_make_room_for_new_trials() -> None:
    scheduler, some = started(6)
    for trial, score in zip(some, (0.9, 0.1, 0.1, 0.8, 0.1, 0.1), strict=True):
        if isinstance(report(scheduler, trial, 1, score), Continue):
            report(scheduler, trial, 2, score)
    paused = {trial.trial_id: trial for trial in some}
    chosen = []
    while (name := scheduler.choose_trial_to_run(Standing({}, paused, search_open=True))) is not None:
        chosen.append(name)
        scheduler.on_trial_start(paused.pop(name))
    assert set(chosen) <= {"t0", "t3"}


def test_when_there_are_no_new_trials_who_leads_goes_on_to_the_end() -> None:
    scheduler, some = started(2)
    for trial, score in zip(some, (0.9, 0.1), strict=True):
        report(scheduler, trial, 1, score)
    standing = SimpleNamespace(waiting={}, paused={trial.trial_id: trial for trial in some}, search_open=False)
    assert scheduler.choose_trial_to_run(standing) == "t0"


def test_a_trial_ends_at_max_t() -> None:
    scheduler, (trial,) = started(1)
    decision = report(scheduler, trial, 27, 0.5)
    assert decision == Stop("reached max_t (training_iteration 27)", complete=True)


def test_where_a_paused_trial_has_no_checkpoint_trials_stop_instead(caplog: pytest.LogCaptureFixture) -> None:
    scheduler, some = started(6)
    for trial, score in zip(some[:3], (0.9, 0.1, 0.1), strict=True):
        report(scheduler, trial, 1, score)
    for trial in some[:3]:
        scheduler.on_trial_pause(SimpleNamespace(trial_id=trial.trial_id, config={}, checkpoint=None))
    assert caplog.text.count("no checkpoint to go on from") == 1
    standing = SimpleNamespace(waiting={}, paused={trial.trial_id: trial for trial in some[:3]}, search_open=False)
    assert scheduler.choose_trial_to_run(standing) is None
    decisions = [report(scheduler, trial, 1, score) for trial, score in zip(some[3:], (0.95, 0.05, 0.04), strict=True)]
    assert decisions[0] == Continue()
    assert isinstance(decisions[1], Stop)
    assert ", needed 2nd" in decisions[1].reason
    assert "stop at rungs" in scheduler.why


def test_it_says_at_the_start_what_it_picked_and_why(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="schedulers.auto"):
        scheduler = bound(AutoScheduler(max_t=81))
    assert [record.message for record in caplog.records] == [f"scheduler auto: {scheduler.why}"]
    assert "training_iteration 2, 6, 18, 54, 81; the first is halfway" in scheduler.why


def learn(max_t: float, curve: object) -> Trust:
    trust = Trust(max_t)
    for number in range(30):
        marks = [curve(number, epoch) for epoch in trust.epochs if epoch <= trust.reference]  # type: ignore[operator]
        for at in range(len(marks)):
            trust.add(marks[: at + 1])
    trust.learn()
    return trust


def test_the_first_rung_moves_up_where_early_ranks_foretell_nothing() -> None:
    trust = learn(81, lambda number, epoch: float(number if epoch >= 4 else -number))
    assert trust.first == 4
    assert "ranks there agree with those at 7" in trust.why


def test_the_first_rung_stays_where_early_ranks_foretell_enough() -> None:
    trust = learn(81, lambda number, epoch: float(number + epoch))
    assert trust.first == 2
    assert "until curves are known" in trust.why


@pytest.mark.parametrize(("max_t", "first"), [(1, 1), (9, 1), (27, 1), (81, 2), (100, 2), (1000, 4)])
def test_the_first_rung_is_at_first_halfway_to_a_twenty_seventh(max_t: float, first: int) -> None:
    assert Trust(max_t).first == first


def test_kendalls_tau_counts_pairs() -> None:
    # Of the six pairs of 1 2 3 4 and 1 3 2 4 one is turned round.
    assert tau([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)
    assert tau([1, 2], [2, 1]) == -1
    assert tau([1, 1], [1, 2]) == 0


def test_gains_are_learnt_from_value_and_slope() -> None:
    gains = Gains()
    chance = Random(0)
    for _ in range(500):
        value, slope = chance.random(), chance.random()
        gains.add(value, slope, value + 0.1 + 0.5 * slope - 0.05 * value, 0.25 * slope)
    gains.fit(spread=0.3)
    ahead = gains.ahead(Outlook(0.4, 0.0, 0.6))
    assert ahead.value == pytest.approx(0.4 + 0.1 + 0.3 - 0.02, abs=0.005)
    assert ahead.deviation < 0.03
    assert gains.ahead(Outlook(0.4, 0.1, 0.6)).deviation > 0.09


def test_where_no_step_is_known_trials_are_as_uncertain_as_they_differ() -> None:
    gains = Gains()
    gains.fit(spread=0.2)
    outlook = gains.ahead(Outlook(0.5, 0.0, 0.1))
    assert (outlook.value, outlook.deviation) == (0.5, 0.2)
    assert outlook.chance_to_exceed(0.5) == pytest.approx(0.5)
    assert outlook.chance_to_exceed(0.7) == pytest.approx(1 / (1 + math.exp(1.7)))


def test_mistakes_are_named_together() -> None:
    with pytest.raises(ValueError, match=r"max_t is 0.*reduction_factor is 1:.*mode is 'up'"):
        AutoScheduler(max_t=0, reduction_factor=1, mode="up")
