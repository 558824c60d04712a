"""Mistakes are named where they are made, all at once, with what to do."""

import math
import pickle
import re

import pytest

from schedulers import (
    SCHEDULERS,
    ASHAScheduler,
    AsyncHyperBandScheduler,
    FIFOScheduler,
    ScheduleContext,
    TrialScheduler,
    create_scheduler,
)
from tests.schedulers.driver import Standing, StubTrial


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(ValueError, match="max_t") as caught:
        ASHAScheduler(max_t=0, grace_period=0, reduction_factor=1, brackets=0, mode="up", type="halt")
    for name in ("max_t", "grace_period", "reduction_factor", "brackets", "mode is 'up'", "type is 'halt'"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"max_t": 5, "grace_period": 6}, "max_t is 5: it must be at least grace_period (6)"),
        ({"max_t": math.inf}, "max_t is inf: give a finite number"),
        ({"max_t": "81"}, "max_t is '81': give a finite number"),
        ({"brackets": 5, "max_t": 81, "reduction_factor": 3, "grace_period": 3}, "at most 4"),
        ({"brackets": 1.5}, "brackets is 1.5: it must be a whole number"),
        ({"reduction_factor": math.nan}, "reduction_factor is nan"),
    ],
)
def test_a_mistake_says_the_value_and_what_would_do(arguments: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        ASHAScheduler(**arguments)


def test_as_many_brackets_as_rungs_are_taken() -> None:
    ASHAScheduler(brackets=5, max_t=81, reduction_factor=3)


def test_metric_and_mode_come_from_the_run_or_from_the_scheduler() -> None:
    for scheduler, context in (
        (ASHAScheduler(), ScheduleContext("loss", "min")),
        (ASHAScheduler(metric="loss", mode="min"), ScheduleContext()),
        (ASHAScheduler(metric="loss"), ScheduleContext("loss", "min")),
    ):
        scheduler.bind(context)
        assert (scheduler.metric, scheduler.mode) == ("loss", "min")


def test_a_metric_given_twice_and_differently_is_refused_with_both_names() -> None:
    scheduler = ASHAScheduler(metric="loss", mode="min")
    with pytest.raises(ValueError, match="its metric is 'loss', the run's is 'accuracy'.*its mode is 'min'"):
        scheduler.bind(ScheduleContext("accuracy", "max"))


def test_a_missing_metric_says_where_to_put_it() -> None:
    with pytest.raises(ValueError, match=re.escape("has no metric: give metric=... to tune.run")) as caught:
        ASHAScheduler().bind(ScheduleContext())
    assert "has no mode" in str(caught.value)


def test_a_mode_that_the_run_made_up_is_refused() -> None:
    with pytest.raises(ValueError, match="mode is 'maximize': use 'min' or 'max'"):
        ASHAScheduler().bind(ScheduleContext("loss", "maximize"))


def test_the_arguments_are_kept_as_data() -> None:
    assert ASHAScheduler("epoch", max_t=9).init_arguments == (("epoch",), {"max_t": 9})


def test_rays_other_name_is_the_same_class() -> None:
    assert AsyncHyperBandScheduler is ASHAScheduler


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_short_name_makes_a_scheduler(name: str) -> None:
    needed = {
        "pbt": {"hyperparam_mutations": {"lr": [1, 2]}},
        "pb2": {"hyperparam_bounds": {"lr": [1, 2]}},
        "pbt_replay": {"policy": [(0, {"lr": 1})]},
    }
    assert isinstance(create_scheduler(name, **needed.get(name, {})), TrialScheduler)


def test_short_names_take_the_arguments_of_their_class() -> None:
    scheduler = create_scheduler("asha", max_t=27, type="promotion")
    assert scheduler.init_arguments == ((), {"max_t": 27, "type": "promotion"})


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="there is no scheduler 'ashas'; did you mean 'asha'"):
        create_scheduler("ashas")
    with pytest.raises(ValueError, match="there are fifo, asha"):
        create_scheduler("zzz")


def test_unknown_arguments_are_refused_each_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="'maxt'; did you mean 'max_t'.*'grace'; did you mean 'grace_period'"):
        create_scheduler("asha", maxt=3, grace=1)
    with pytest.raises(ValueError, match="it takes none"):
        create_scheduler("fifo", max_t=3)


def test_a_name_that_schedulers_does_not_have_is_an_attribute_error() -> None:
    import schedulers

    with pytest.raises(AttributeError, match="HyperBand2"):
        schedulers.HyperBand2  # noqa: B018
    assert "ASHAScheduler" in dir(schedulers)


def test_fifo_starts_waiting_trials_in_order_then_paused_ones() -> None:
    scheduler = FIFOScheduler()
    one, two, three = (StubTrial(name) for name in "abc")
    assert scheduler.choose_trial_to_run(Standing({"b": two, "c": three}, {"a": one})) == "b"
    assert scheduler.choose_trial_to_run(Standing({}, {"a": one})) == "a"
    assert scheduler.choose_trial_to_run(Standing()) is None


def test_a_scheduler_not_yet_bound_can_be_pickled() -> None:
    copied = pickle.loads(pickle.dumps(ASHAScheduler(max_t=9)))
    assert copied.init_arguments == ((), {"max_t": 9})
