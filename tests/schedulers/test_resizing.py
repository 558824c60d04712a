"""Trials grow into what others leave."""

from __future__ import annotations

from typing import Any

import pytest

from schedulers import (
    ASHAScheduler,
    Continue,
    DistributeResources,
    DistributeResourcesToTopJob,
    Pause,
    PopulationBasedTraining,
    Resize,
    ResourceChangingScheduler,
    Stop,
)
from tests.schedulers.driver import Standing, StubTrial, bound, report


def opened(scheduler: Any, cpus: int, trials: int, total: int | None = None) -> tuple[Any, list[StubTrial]]:
    bound(scheduler, total_trials=total if total is not None else trials)
    scheduler.on_open({"cpu": cpus})
    members = [StubTrial(f"t{at}") for at in range(trials)]
    for member in members:
        scheduler.on_trial_add(member)
        scheduler.on_trial_start(member)
    return scheduler, members


def test_what_is_free_is_spread_evenly() -> None:
    scheduler, members = opened(ResourceChangingScheduler(), cpus=6, trials=2)
    assert report(scheduler, members[0], 1, 0.5) == Resize({"cpu": 3}, "cpu 1 -> cpu 3")


def test_those_to_come_keep_their_places() -> None:
    scheduler, members = opened(ResourceChangingScheduler(), cpus=6, trials=2, total=6)
    assert report(scheduler, members[0], 1, 0.5) == Continue()


def test_those_that_are_left_grow_when_one_ends() -> None:
    scheduler, members = opened(ResourceChangingScheduler(), cpus=2, trials=2)
    assert report(scheduler, members[0], 1, 0.5) == Continue()
    scheduler.on_trial_complete(members[1], None)
    assert report(scheduler, members[0], 2, 0.5).resources == {"cpu": 2}


def test_growth_is_by_whole_steps_and_leaves_what_is_reserved() -> None:
    spread = DistributeResources(increase_by={"cpu": 2}, reserve_resources={"cpu": 1})
    scheduler, members = opened(ResourceChangingScheduler(None, spread), cpus=7, trials=1)
    assert report(scheduler, members[0], 1, 0.5).resources == {"cpu": 5}


def test_the_best_gets_all_that_is_free_and_gives_it_back() -> None:
    top = DistributeResourcesToTopJob(metric="accuracy", mode="max")
    scheduler, members = opened(ResourceChangingScheduler(None, top), cpus=4, trials=2)
    assert report(scheduler, members[0], 1, 0.5).resources == {"cpu": 3}
    grown = StubTrial("t0", resources={"cpu": 3})
    scheduler.on_trial_start(grown)
    assert report(scheduler, members[1], 1, 0.9) == Continue()
    assert report(scheduler, grown, 2, 0.6).resources == {"cpu": 1}


def test_what_could_not_be_had_is_not_asked_for_again_until_another_ends() -> None:
    scheduler, members = opened(ResourceChangingScheduler(), cpus=6, trials=2)
    assert isinstance(report(scheduler, members[0], 1, 0.5), Resize)
    assert isinstance(report(scheduler, members[0], 2, 0.5), Resize)  # it had no checkpoint, and was not restarted
    scheduler.on_trial_start(members[0])
    assert report(scheduler, members[0], 3, 0.5) == Continue()
    scheduler.on_trial_complete(members[1], None)
    assert report(scheduler, members[0], 4, 0.5).resources == {"cpu": 6}


def test_what_the_base_scheduler_decides_comes_first() -> None:
    scheduler, members = opened(ResourceChangingScheduler(ASHAScheduler(max_t=1)), cpus=6, trials=1)
    assert isinstance(report(scheduler, members[0], 1, 0.5), Stop)
    assert scheduler.time_attr == "training_iteration"
    assert scheduler.metric == "accuracy"


def test_the_base_scheduler_knows_who_has_paused_and_chooses_among_them() -> None:
    base = PopulationBasedTraining("training_iteration", perturbation_interval=1, hyperparam_mutations={"x": [1, 2]})
    scheduler, members = opened(ResourceChangingScheduler(base), cpus=2, trials=2, total=3)
    for member, score in zip(members, (0.5, 0.6), strict=True):
        assert isinstance(report(scheduler, member, 1, score), Pause)
        scheduler.on_trial_pause(member)
    paused = {one.trial_id: one for one in members}
    assert scheduler.choose_trial_to_run(Standing(paused=paused)) == "t0"


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="base_scheduler"):
        ResourceChangingScheduler(base_scheduler=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mode 'min' or 'max'"):
        DistributeResourcesToTopJob(metric="loss")
    with pytest.raises(ValueError, match="increase_by"):
        DistributeResources(increase_by={"cpu": 0})
