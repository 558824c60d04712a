"""Trials of several workers: one attempt, one fate, and rank 0 speaks for all."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

import tune
from executor.errors import InfeasibleRequestError
from executor.local import LocalExecutor
from schedulers import ASHAScheduler
from tests.executor.local_processes import gone_afterwards
from tests.tune.driver import Driver
from tests.tune.group import Group
from tests.tune.test_run_resources import crowd
from tests.tune.trainables import DEADLINE_S, HARMS, iterations, joint, saving, steps_done, wait_for

PAIR = tune.Gang(workers=2, cpu=0.5)


def rank():
    return tune.get_context().get_world_rank()


def test_all_workers_run_the_function_with_the_same_configuration_and_rank_0_reports(run):
    def train(config):
        context, group = tune.get_context(), Group()
        mine = {
            "x": config["x"],
            "place": [context.get_world_rank(), context.get_world_size()],
            "here": [context.get_local_rank(), context.get_local_world_size()],
            "variables": [os.environ[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")],
            "attempt": context.get_attempt(),
            "resources": context.get_trial_resources(),
            "drawn": random.random(),
        }
        found = group.gather(mine)
        if group.rank == 0:
            tune.report(found=found)

    gang = tune.Gang(workers=3, cpu=0.5)
    results = run(train, config={"x": tune.grid_search([1, 2])}, resources_per_trial=gang)

    for result, x in zip(results, (1, 2), strict=True):
        for number, one in enumerate(result.metrics["found"]):
            assert one["x"] == x
            assert one["place"] == one["here"] == [number, 3]
            assert one["variables"] == [str(number), "3", str(number), "3"]
            assert (one["attempt"], one["resources"]) == (1, {"cpu": 0.5})
            assert one["drawn"] == result.metrics["found"][0]["drawn"]
        assert iterations(result) == [1]


def test_a_trial_alone_is_rank_0_of_1(run):
    def train(_config):
        context = tune.get_context()
        return {"place": [context.get_world_rank(), context.get_world_size(), context.get_local_rank()]}

    assert run(train)[0].metrics["place"] == [0, 1, 0]
    several = tune.PlacementGroupFactory([{"cpu": 0.5}, {"cpu": 0.5}])
    assert run(train, resources_per_trial=several, name="f")[0].metrics["place"] == [0, 1, 0]


def test_what_the_function_returns_counts_in_rank_0(run):
    result = run(lambda _config: {"rank": rank()}, resources_per_trial=PAIR)[0]

    assert result.metrics["rank"] == 0
    assert iterations(result) == [1]


def test_a_report_from_another_rank_is_an_error_that_says_what_to_do(run):
    def train(_config):
        tune.report(a=1)

    with pytest.raises(tune.TrialFailedError, match="rank 1 of 2 reported a result") as raised:
        run(train, resources_per_trial=PAIR)
    told = str(raised.value)
    assert "only rank 0 reports" in told
    assert "get_world_rank() == 0" in told
    assert "in train" in told


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("raise", "rank 1: ValueError: a bad day"),
        ("kill", "rank 1: the process was ended by SIGKILL"),
        ("exit", "rank 1: the process exited with code 3"),
        ("segfault", "rank 1: the process was ended by SIGSEGV"),
    ],
)
def test_a_worker_that_fails_fails_the_attempt_and_is_named(run, tmp_path, harm, said):
    def train(config):
        group = Group()
        for step in range(1, 4):
            group.gather()
            if group.rank == 1 and step == 3:
                print("the end of rank 1")
                HARMS[harm]()
            if group.rank == 0:
                tune.report(step=step)

    result = run(train, resources_per_trial=PAIR, raise_on_failed_trial=False)[0]

    assert result.state == "ERROR"
    assert iterations(result)[:2] == [1, 2]
    told = f"{result.reason}\n{result.error}"
    assert said in told
    if harm != "raise":
        assert "the end of rank 1" in told
    assert (tmp_path / "e" / "logs" / "t0.rank1.log").read_text().startswith("the end of rank 1\n")


def test_rank_0_that_fails_fails_the_attempt(run):
    def train(_config):
        if rank() == 0:
            raise ValueError("a bad day")
        time.sleep(DEADLINE_S * 5)

    with pytest.raises(tune.TrialFailedError, match=r"(?s)In rank 0 of 2.*a bad day"):
        run(train, resources_per_trial=PAIR)


def test_all_workers_start_again_with_the_next_attempt_from_the_same_checkpoint(run, tmp_path):
    def train(_config):
        context, group = tune.get_context(), Group()
        met = group.gather([context.get_attempt(), steps_done()])
        for step in range(steps_done() + 1, 6):
            if step == 4 and context.get_attempt() == 1:
                group.gather()
                if group.rank == 1:
                    os.kill(os.getpid(), signal.SIGKILL)
            group.gather()
            if group.rank == 0:
                tune.report({"step": step, "met": met}, checkpoint=saving(step))

    result = run(train, resources_per_trial=PAIR, max_failures=1)[0]

    assert (result.state, result.attempts) == ("TERMINATED", 2)
    assert iterations(result) == [1, 2, 3, 4, 5]
    assert result.metrics["met"] == [[2, 3], [2, 3]]


def test_all_workers_pass_over_a_damaged_checkpoint_together(run, tmp_path):
    def train(_config):
        group = Group()
        met = group.gather([tune.get_context().get_attempt(), steps_done()])
        for step in range(steps_done() + 1, 5):
            group.gather()
            if group.rank == 0:
                tune.report({"step": step, "met": met}, checkpoint=saving(step))
            if step == 3 and tune.get_context().get_attempt() == 1 and group.rank == 0:
                (tmp_path / "e" / "checkpoints" / "t0" / "000003-1" / "step").write_text("30")
                raise ValueError

    result = run(train, resources_per_trial=PAIR, max_failures=1)[0]

    assert result.metrics["met"] == [[2, 2], [2, 2]]
    assert iterations(result) == [1, 2, 3, 4]


def test_a_gang_that_is_stopped_leaves_nothing_behind(run, tmp_path):
    def train(config):
        group = Group()
        Path(config["marks"], f"{tune.get_context().get_trial_id()}-{group.rank}").write_text(str(os.getpid()))
        for step in range(1, 10):
            group.gather()
            if group.rank == 0:
                tune.report(score=config["x"] * step)

    with LocalExecutor(cpus=2, gpus=0) as machine:
        results = run(
            train,
            config={"x": tune.grid_search([2, 1]), "marks": str(tmp_path)},
            metric="score",
            mode="max",
            scheduler=ASHAScheduler(max_t=9, grace_period=1, reduction_factor=2),
            max_concurrent_trials=1,
            resources_per_trial=PAIR,
            executor=machine,
        )
        for mark in tmp_path.glob("t[01]-[01]"):
            with contextlib.suppress(ProcessLookupError), gone_afterwards(int(mark.read_text())):
                pass

    assert [len(iterations(one)) for one in results] == [9, 1]
    assert [one.state for one in results] == ["TERMINATED", "TERMINATED"]
    assert not (tmp_path / "e" / "rendezvous").exists()


def test_paused_gangs_go_on_where_they_were(run, tmp_path):
    results = run(
        joint,
        config={"x": tune.grid_search([1, 2, 3]), "marks": str(tmp_path), "steps": 4},
        metric="score",
        mode="max",
        scheduler=ASHAScheduler(type="promotion", max_t=4, grace_period=1, reduction_factor=2),
        max_concurrent_trials=1,
        resources_per_trial=PAIR,
    )

    assert all(one.error is None for one in results)
    again = [one for one in results if one.attempts > 1]
    assert again
    for one in again:
        steps = one.metrics["met"][0][1]
        assert one.metrics["met"] == [[one.attempts, steps]] * 2
        assert iterations(one) == list(range(1, len(iterations(one)) + 1))


def test_the_others_see_that_they_should_stop_once_rank_0_has_left(run, tmp_path):
    def train(_config):
        if rank():
            while not tune.should_stop():
                time.sleep(0.005)
            (tmp_path / "tidied").touch()
            return
        while True:
            tune.report(a=1)

    result = run(train, stop={"training_iteration": 3}, resources_per_trial=PAIR)[0]

    assert result.state == "TERMINATED"
    assert iterations(result) == [1, 2, 3]
    assert (tmp_path / "tidied").exists()


@pytest.mark.parametrize("end", ["kill", "interrupt"])
def test_a_run_of_gangs_is_resumed(tmp_path, end):
    driver = Driver(
        tmp_path, "joint_gang", config={"at": 4}, num_samples=2, max_concurrent_trials=1, seed=3, durability="process"
    )
    driver.wait_for(["t0-waits0", "t0-waits1"])
    pids = [int((driver.marks / f"t0.1.rank{number}").read_text()) for number in range(2)]
    with gone_afterwards(*pids, within_s=DEADLINE_S):
        if end == "kill":
            driver.kill()
        else:
            driver.press_ctrl_c()
            driver.end()
    (driver.marks / "event").touch()
    results = tune.resume(tmp_path / "e", verbose=0)

    assert [one.state for one in results] == ["TERMINATED", "TERMINATED"]
    assert [iterations(one) for one in results] == [[1, 2, 3, 4, 5, 6]] * 2
    start = 3 if end == "kill" else 4
    assert results[0].metrics["met"] == [[2, start], [2, start]]
    assert results[1].metrics["met"] == [[1, 0], [1, 0]]
    assert not (tmp_path / "e" / "rendezvous").exists()


def crowd_in_rank_0(config):
    return None if rank() else crowd(config)


def test_resources_count_for_the_whole_gang(run, tmp_path):
    with LocalExecutor(cpus=5, gpus=0) as machine:
        results = run(
            crowd_in_rank_0,
            config={"door": str(tmp_path), "expected": 2},
            num_samples=4,
            executor=machine,
            resources_per_trial=tune.Gang(workers=2),
        )

    assert max(one.metrics["inside"] for one in results) == 2


def test_a_gang_may_follow_from_the_configuration(run):
    def train(config):
        group = Group()
        return {"sum": sum(group.gather(1))}

    fitted = tune.with_resources(train, lambda config: tune.Gang(workers=config["workers"], cpu=0.25))
    results = run(fitted, config={"workers": tune.grid_search([1, 2, 3])})

    assert [one.metrics["sum"] for one in results] == [1, 2, 3]


def test_a_gang_that_can_never_fit_is_refused_before_anything_starts(run, tmp_path):
    with LocalExecutor(cpus=3, gpus=0) as machine, pytest.raises(InfeasibleRequestError, match=r"cpu 2.*cpu 3"):
        run(joint, executor=machine, resources_per_trial=tune.Gang(workers=2, cpu=2))
    assert not (tmp_path / "e").exists()


def test_workers_of_a_gang_are_counted(run):
    for workers in (0, -1, 1.5, "2", True):
        with pytest.raises(ValueError, match="workers must be a whole number from 1"):
            tune.Gang(workers=workers)
    with pytest.raises(ValueError, match="'gpu' must be a number"):
        tune.Gang(workers=2, gpu=-1)


def test_only_functions_of_a_configuration_run_in_gangs(run):
    class Steps(tune.Trainable):
        def step(self):
            return {"a": 1}

    def objective(trial):
        return trial.suggest_float("x", 0, 1)

    for trainable, said in ((Steps, "Steps is a class"), (objective, "objective takes an Optuna trial")):
        with pytest.raises(tune.InvalidArgumentError, match=said):
            run(tune.with_resources(trainable, PAIR))
        with pytest.raises(tune.InvalidArgumentError, match=said):
            run(trainable, resources_per_trial=PAIR)


def test_reused_rooms_give_gangs_processes_of_their_own(run):
    def train(_config):
        group = Group()
        pids = group.gather(os.getpid())
        return {"pids": pids}

    settings = {"num_samples": 3, "max_concurrent_trials": 1, "reuse_actors": True}
    results = run(train, resources_per_trial=PAIR, **settings)

    assert len({pid for one in results for pid in one.metrics["pids"]}) == 6


def test_workers_find_each_other_in_a_directory_of_their_attempt(run, tmp_path):
    def train(_config):
        place = Path(tune.get_context().get_rendezvous_dir())
        assert list(place.iterdir()) in ([], [place / str(1 - rank())])
        (place / str(rank())).touch()
        wait_for(place / str(1 - rank()))
        if tune.get_context().get_attempt() == 1:
            raise ValueError
        return {"place": str(place)}

    result = run(train, resources_per_trial=PAIR, max_failures=1)[0]

    assert result.metrics["place"] == str(tmp_path / "e" / "rendezvous" / "t0.2")
    assert not (tmp_path / "e" / "rendezvous").exists()
