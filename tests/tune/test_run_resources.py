"""How many trials run at a time, and what each is given."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import tune
from executor.errors import InfeasibleRequestError
from executor.local import LocalExecutor
from tests.tune.trainables import wait_for


@pytest.fixture
def machine():
    """A machine of four cpus, whatever this one has."""
    with LocalExecutor(cpus=4, gpus=0, memory=2**30, resources={"tape": 1}) as executor:
        yield executor


def crowd(config):
    """Enter, wait until as many as expected are in, count them; nobody leaves before all have counted."""
    here, expected = Path(config["door"]), config["expected"]
    me = tune.get_context().get_trial_id()
    group = int(me.lstrip("t")) // expected
    (here / f"in-{me}").touch()
    for at in range(group * expected, (group + 1) * expected):
        wait_for(here / f"in-t{at}")
    inside = len(list(here.glob("in-*"))) - len(list(here.glob("out-*")))
    (here / f"counted-{me}").touch()
    for at in range(group * expected, (group + 1) * expected):
        wait_for(here / f"counted-t{at}")
    (here / f"out-{me}").touch()
    return {"inside": inside}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 4),
        ({"max_concurrent_trials": 1}, 1),
        ({"max_concurrent_trials": 2}, 2),
        ({"max_concurrent_trials": 0}, 4),
        ({"resources_per_trial": {"cpu": 2}}, 2),
        ({"resources_per_trial": {"CPU": 4}}, 1),
        ({"resources_per_trial": {"cpu": 0.5}}, 8),
        ({"resources_per_trial": {"cpu": 0, "tape": 0.5}}, 2),
        ({"resources_per_trial": {"cpu": 1, "custom_resources": {"tape": 1}}}, 1),
        ({"resources_per_trial": {"memory": 2**29}}, 2),
        ({"resources_per_trial": tune.PlacementGroupFactory([{"cpu": 1}, {"cpu": 1}])}, 2),
        ({"resources_per_trial": tune.PlacementGroupFactory([{}, {"cpu": 2}], "STRICT_PACK")}, 2),
        ({"max_concurrent_trials": 3, "reuse_actors": True}, 3),
    ],
    ids=str,
)
def test_as_many_run_together_as_there_is_room_for(run, tmp_path, machine, settings, expected):
    results = run(
        crowd, config={"door": str(tmp_path), "expected": expected}, num_samples=expected, executor=machine, **settings
    )

    assert max(one.metrics["inside"] for one in results) == expected


def test_no_more_run_than_asked_for(run, tmp_path, machine):
    config = {"door": str(tmp_path), "expected": 2}
    results = run(crowd, config=config, num_samples=6, max_concurrent_trials=2, executor=machine)

    assert max(one.metrics["inside"] for one in results) == 2


def test_resources_may_follow_from_the_configuration(run, machine):
    def train(_config):
        return {"cpus": tune.get_context().get_trial_resources()["cpu"], "threads": os.environ["OMP_NUM_THREADS"]}

    fitted = tune.with_resources(train, lambda config: {"cpu": config["width"]})
    results = run(fitted, config={"width": tune.grid_search([3, 1, 4, 2])}, executor=machine)

    assert [one.metrics["cpus"] for one in results] == [3, 1, 4, 2]
    assert [one.metrics["threads"] for one in results] == ["3", "1", "4", "2"]


def test_resources_per_trial_come_before_what_the_trainable_asks_for(run, machine):
    def train(_config):
        return tune.get_context().get_trial_resources()

    fitted = tune.with_resources(train, {"cpu": 2})

    assert run(fitted, executor=machine)[0].metrics["cpu"] == 2
    assert run(fitted, executor=machine, resources_per_trial={"cpu": 3}, name="f")[0].metrics["cpu"] == 3
    assert not hasattr(train, "request")


def test_a_trial_that_outgrows_its_memory_fails_and_says_so(run, machine):
    def train(config):
        held = bytearray(b"x") * config["bytes"]
        if len(held) > 1000:
            signal.pause()
        return {"size": len(held)}

    config = {"bytes": tune.grid_search([1000, 10**9])}
    results = run(
        train, config=config, resources_per_trial={"memory": 2**28}, executor=machine, raise_on_failed_trial=False
    )

    assert results[0].metrics["size"] == 1000
    assert "ran out of memory: it used" in str(results[1].error)
    assert "of 256 MiB allowed" in str(results[1].error)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"cpu": 5}, r"cpu 5.*cpu 4"),
        ({"gpu": 1}, r"gpu 1.*cpu 4"),
        ({"tape": 2}, r"tape 2.*tape 1"),
        (tune.PlacementGroupFactory([{"cpu": 3}, {"cpu": 3}]), r"\(cpu 3\) \+ \(cpu 3\).*cpu 4"),
    ],
    ids=str,
)
def test_what_can_never_be_is_refused_before_anything_starts(run, tmp_path, machine, asked, said):
    with pytest.raises(InfeasibleRequestError, match=f"(?s){said}"):
        run(crowd, resources_per_trial=asked, executor=machine)
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"cpu": -1}, "'cpu' must be a number of at least 0, got -1"), (3, "dictionary"), ({"cpu": "2"}, "got '2'")],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(run, asked, said):
    with pytest.raises(tune.InvalidArgumentError, match=f"resources_per_trial.*{said}"):
        run(crowd, resources_per_trial=asked)


def test_a_configuration_that_can_never_be_placed_ends_the_run_saying_so(run, machine):
    fitted = tune.with_resources(lambda config: {"a": 1}, lambda config: {"cpu": config["width"]})

    with pytest.raises(Exception, match=r"(?s)cpu 9.*cpu 4"):
        run(fitted, config={"width": tune.grid_search([1, 9])}, executor=machine)


def test_a_machine_that_was_given_is_left_open(run, machine):
    run(lambda config: {"a": 1}, executor=machine)
    assert run(lambda config: {"a": 2}, executor=machine, name="f")[0].metrics["a"] == 2


def test_a_machine_that_there_is_not_is_refused(run):
    with pytest.raises(Exception, match="nowhere"):
        run(crowd, executor="nowhere")
