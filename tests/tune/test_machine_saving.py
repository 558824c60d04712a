"""What a trial is asked to save, what it saves, and how it leaves once it has, event by event."""

from __future__ import annotations

import pytest

from schedulers.base import Pause, Stop
from tune.machine.saving import Aside, Completed, Saving
from tune.machine.totals import Point, Totals

WAITS = Pause("waits")


def at(iteration: int) -> Point:
    return Point(Totals(iteration), 0.0)


def reports(saving: Saving, iteration: int, *, saves: bool = False, caught_up: bool = True, leaves=None) -> None:
    saving.take_report(iteration, saves=saves, caught_up=caught_up, leaves=leaves)


def completes(saving: Saving, iteration: int, *, caught_up: bool = True) -> Completed:
    """A checkpoint that was saved at once is complete."""
    saving.begin_aside(at(iteration), caught_up=caught_up)
    return saving.complete()


def test_nothing_is_asked_for_at_first() -> None:
    assert not Saving().is_asked_for(1)
    assert not Saving().under_way


def test_what_is_asked_for_is_due_until_it_has_been_saved() -> None:
    saving = Saving()
    saving.ask_from(3)
    assert [saving.is_asked_for(iteration) for iteration in (2, 3, 4)] == [False, True, True]
    assert completes(saving, 3) == Completed(at(3), is_due=True, is_for_others=True)
    assert not saving.is_asked_for(4)


def test_the_earlier_wish_stands_when_another_is_uttered() -> None:
    saving = Saving()
    saving.ask_from(3)
    saving.ask_from(5)
    assert saving.is_asked_for(3)


def test_the_trials_own_wish_is_for_one_iteration_and_none_before() -> None:
    saving = Saving()
    saving.ask_from(3)
    saving.ask_at(5)
    assert not saving.is_asked_for(4)


def test_what_was_begun_before_it_was_asked_for_will_not_do() -> None:
    saving = Saving()
    saving.begin_aside(at(2), caught_up=True)
    saving.ask_from(3)
    assert saving.is_asked_for(3)
    assert not saving.complete().is_due
    assert saving.is_asked_for(3)


def test_it_is_not_asked_again_for_what_is_saved_aside() -> None:
    saving = Saving()
    saving.ask_from(3)
    saving.begin_aside(at(3), caught_up=True)
    assert not saving.is_asked_for(4)


def test_a_save_at_once_goes_on_aside_from_where_the_trial_stood() -> None:
    saving = Saving()
    saving.begin()
    assert saving.under_way
    saving.begin_aside(at(2), caught_up=True)
    assert (saving.at_once, saving.aside) == (False, Aside(at(2), caught_up=True))
    saving.complete()
    assert not saving.under_way


def test_what_is_asked_for_at_once_outlives_what_is_saved_aside_meanwhile() -> None:
    for ends in (Saving.complete, lambda one: one.fail(2, at_once=False, awaited=False)):
        saving = Saving()
        saving.begin_aside(at(1), caught_up=True)
        reports(saving, 2, saves=True, leaves=WAITS)
        saving.begin()
        ends(saving)
        assert (saving.at_once, saving.due, saving.owed) == (True, 2, WAITS)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("awaited", [True, False])
def test_what_failed_is_still_due_when_somebody_waits_for_it_and_the_trial_is_owed_nothing(
    at_once: bool, awaited: bool
) -> None:
    saving = Saving()
    reports(saving, 2, saves=True, leaves=WAITS)
    saving.begin()
    if not at_once:
        saving.begin_aside(at(2), caught_up=True)
    saving.fail(2, at_once=at_once, awaited=awaited)
    assert not saving.under_way
    assert (saving.due, saving.owed) == (2 if awaited else 0, None)


def test_how_it_leaves_is_owed_until_it_has_saved() -> None:
    saving = Saving()
    reports(saving, 2, saves=True, leaves=WAITS)
    saving.begin()
    assert saving.owed == WAITS
    completes(saving, 2)
    assert saving.owed is None


def test_nothing_is_owed_to_a_trial_that_leaves_without_saving() -> None:
    saving = Saving()
    reports(saving, 2, leaves=Stop("bad"))
    assert saving.owed is None


def test_one_that_comes_again_is_owed_the_same_and_saves_there_and_not_before() -> None:
    saving = Saving()
    reports(saving, 5, saves=True, leaves=WAITS)
    saving.begin()
    saving.leave(again=True, due=0)
    saving.launch()
    assert not saving.under_way
    reports(saving, 2, saves=True, caught_up=False)
    assert completes(saving, 2, caught_up=False) == Completed(at(2), is_due=False, is_for_others=False)
    saving.begin()
    saving.fail(3, at_once=True, awaited=False)
    assert (saving.due, saving.owed) == (5, WAITS)
    reports(saving, 5, saves=True, leaves=WAITS)
    assert completes(saving, 5).is_due
    assert saving == Saving(retraces=True)


def test_who_waits_is_given_what_a_trial_saves_that_does_not_come_again() -> None:
    saving = Saving()
    saving.ask_from(5)
    assert completes(saving, 2, caught_up=False) == Completed(at(2), is_due=False, is_for_others=True)


def test_an_attempt_that_is_over_for_good_takes_what_was_asked_for_along() -> None:
    saving = Saving()
    saving.ask_from(5)
    saving.leave(again=False, due=0)
    assert not saving.is_asked_for(5)
    saving.leave(again=False, due=4)
    assert saving.is_asked_for(4)
