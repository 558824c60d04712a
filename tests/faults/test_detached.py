"""Experiments whose controller lives beside the head, while everything around them goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tune
from executor.cluster.controllers import Order, Post
from executor.errors import ClusterError
from tests.faults.cluster import Cluster, as_json, free_ports
from tests.tune import trainables
from tests.tune.driver import Driver
from tests.tune.trainables import DEADLINE_S, iterations
from tune.cli.detached import find_to_resume, find_to_show

WHOLE = [[1, 2, 3, 4, 5, 6]] * 2


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all, since it has to live through everything: each test has an experiment of its own."""
    cluster = Cluster(tmp_path_factory.mktemp("beside") / "state")
    try:
        cluster.join("a", cpus=2)
        yield cluster
    finally:
        cluster.close()


def shown(cluster: Cluster, name: str) -> dict[str, Any]:
    """What the cluster's status says of an experiment."""
    (found,) = (one for one in as_json(cluster.run("status", "--json"))["detached"] if one["experiment"] == name)
    assert isinstance(found, dict)
    return found


def sent(cluster: Cluster, name: str, marks: Path, **settings: Any) -> tune.DetachedRun:
    """An experiment whose two trials wait at their third report until ``event`` is among `marks`."""
    marks.mkdir(exist_ok=True)
    config = {"x": tune.uniform(0, 1), "marks": str(marks), "at": 3, "waiting": ["t0", "t1"]}
    wanted = {"config": config, "num_samples": 2, "metric": "score", "mode": "max", "executor": cluster.address}
    run = tune.run(trainables.patient, name=name, detached=True, **(wanted | settings))
    assert isinstance(run, tune.DetachedRun)
    return run


def wait_for(marks: Path, *names: str) -> None:
    for name in names:
        trainables.wait_for(marks / name)


def test_it_outlives_its_driver_and_does_not_notice_that_the_head_is_started_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    config = {"at": 3, "waiting": ["t0", "t1"]}
    driver = Driver(tmp_path, "patient", config=config, num_samples=2, executor=cluster.address, detached=True)
    code, _, err = driver.end()
    assert (code, err) == (0, "")
    driver.wait_for(["t0-waits", "t1-waits"])
    cluster.kill_head()
    cluster.start_head()
    (driver.marks / "event").touch()
    run = tune.DetachedRun("e", cluster.address).wait(DEADLINE_S)
    assert (run.state, [iterations(one) for one in run]) == ("finished", WHOLE)
    assert run.place == str(tmp_path / "e")
    assert sorted(mark.name for mark in driver.marks.glob("t?.*")) == ["t0.1", "t1.1"], "nobody began again"


def test_it_goes_on_by_itself_when_the_heads_machine_was_down(cluster: Cluster, tmp_path: Path) -> None:
    run = sent(cluster, "down", tmp_path / "marks")
    wait_for(tmp_path / "marks", "t0-waits", "t1-waits")
    found = shown(cluster, "down")
    cluster.kill_head()
    os.kill(found["pid"], signal.SIGKILL)
    cluster.start_head()
    (tmp_path / "marks" / "event").touch()
    run.wait(DEADLINE_S)
    assert [iterations(one) for one in run] == WHOLE
    attempts = sorted(mark.name for mark in (tmp_path / "marks").glob("t?.*"))
    assert attempts == ["t0.1", "t0.2", "t1.1", "t1.2"]


def test_it_goes_on_when_its_controller_alone_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    run = sent(cluster, "killed", tmp_path / "marks")
    wait_for(tmp_path / "marks", "t0-waits", "t1-waits")
    found = shown(cluster, "killed")
    os.kill(found["pid"], signal.SIGKILL)
    wait_for(tmp_path / "marks", "t0.2", "t1.2")
    again = shown(cluster, "killed")
    assert (again["state"], again["pid"] not in (None, found["pid"])) == ("running", True)
    (tmp_path / "marks" / "event").touch()
    assert run.wait(DEADLINE_S).state == "finished"
    assert [iterations(one) for one in run] == WHOLE
    assert [one.error for one in run] == [None, None]
    attempts = sorted(mark.name for mark in (tmp_path / "marks").glob("t?.*"))
    assert attempts == ["t0.1", "t0.2", "t1.1", "t1.2"], "from their checkpoints, each once"


def test_one_that_cannot_go_on_midway_has_failed_until_it_is_asked_again(cluster: Cluster, tmp_path: Path) -> None:
    cluster.join("large", cpus=4)
    address = f"{cluster.address}?patience_s=0.1"
    run = sent(cluster, "midway", tmp_path / "marks", resources_per_trial={"cpu": 4}, executor=address, num_samples=1)
    wait_for(tmp_path / "marks", "t0-waits")
    cluster.kill_node("large")
    with pytest.raises(tune.TuneError, match="midway failed: .*asks for cpu 4"):
        run.wait(DEADLINE_S)
    failed = shown(cluster, "midway")
    assert (failed["state"], failed["pid"]) == ("failed", None)
    assert [iterations(one) for one in run] == [[1, 2]]
    (tmp_path / "marks" / "event").touch()
    again = sent(cluster, "midway", tmp_path / "marks", resume=True, num_samples=1).wait(DEADLINE_S)
    assert ([iterations(one) for one in again], again.state) == (WHOLE[:1], "finished")


def test_it_saves_and_ends_when_asked_to_and_goes_on_when_asked_again(cluster: Cluster, tmp_path: Path) -> None:
    run = sent(cluster, "asked", tmp_path / "marks")
    with pytest.raises(tune.ExperimentBusyError, match="'asked' is running beside the head .* goes on there by itself"):
        find_to_resume("asked", None)
    wait_for(tmp_path / "marks", "t0-waits", "t1-waits")
    cluster.run("end", "asked")
    assert run.wait(DEADLINE_S).state == "ended"
    assert [iterations(one) for one in run] == [[1, 2, 3]] * 2
    again = sent(cluster, "asked", tmp_path / "marks", resume=True).wait(DEADLINE_S)
    assert ([iterations(one) for one in again], again.state) == (WHOLE, "finished")


def test_what_cannot_begin_there_is_said_here(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(tune.InvalidArgumentError, match="num_samples"):
        sent(cluster, "wrong", tmp_path / "marks", num_samples="ten")
    (tmp_path / "results" / "wrong").mkdir(parents=True)
    (tmp_path / "results" / "wrong" / "experiment.db").touch()
    with pytest.raises(tune.TuneError, match="has failed beside the head: .* holds an experiment already"):
        sent(cluster, "wrong", tmp_path / "marks", storage_path=tmp_path / "results")
    failed = shown(cluster, "wrong")
    assert (failed["state"], failed["pid"]) == ("failed", None)


def test_a_sweep_file_is_left_with_the_head_together_with_its_code(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "sent_along.py").write_text("def train(config):\n    return {'loss': config['x'] ** 2}\n")
    (code / "sweep.yaml").write_text(
        f"""
name: swept
trainable: sent_along.py:train
metric: {{name: loss, goal: minimize}}
parameters: {{x: {{min: 0.0, max: 1.0}}}}
num_samples: 3
executor: {cluster.address}
runtime_env: {{working_dir: {code}}}
"""
    )
    monkeypatch.chdir(code)
    told = cluster.audition("run", "--detach", "sweep.yaml")
    assert "experiment swept runs beside the head" in told
    run = tune.DetachedRun("swept", cluster.address).wait(DEADLINE_S)
    assert [one.state for one in run] == ["TERMINATED"] * 3
    assert "3/3 ended" in cluster.audition("show", "swept")
    assert "swept (finished)" in cluster.audition("ls").splitlines()[-1]
    Path(run.place).rename(tmp_path / "elsewhere")
    with pytest.raises(
        tune.NotAnExperimentError, match=f"is finished beside .* not seen .* `audition show {run.place}`"
    ):
        find_to_show("swept", None)
    with pytest.raises(tune.NotAnExperimentError, match="is finished .* `audition run SWEEP.yaml --detach --resume`"):
        find_to_resume("swept", None)
    assert run.place in cluster.run("forget", "swept")
    with pytest.raises(ClusterError, match="there is no detached experiment 'swept'"):
        tune.DetachedRun("swept", cluster.address)


def test_of_two_clusters_that_have_one_of_its_name_the_one_where_it_goes_on_is_meant(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "event").touch()
    sent(cluster, "twice", tmp_path).wait(DEADLINE_S)
    port = str(free_ports())
    cluster.run("start", "d", "--port", port, "--no-node")
    try:
        sent(cluster, "twice", tmp_path, executor=f"grpc://127.0.0.1:{port}", storage_path=tmp_path / "another's")
        with pytest.raises(tune.ExperimentBusyError, match="beside the head of cluster 'd'"):
            find_to_resume("twice", None)
    finally:
        cluster.run("stop", "d")
        cluster.wait_for_none("tune.detached")
        (cluster.state / "clusters" / "d").rename(tmp_path / "d")  # so that the other is the only one known


def test_it_goes_on_by_itself_when_its_cluster_was_stopped_and_is_started_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    run = sent(cluster, "stopped", tmp_path / "marks")
    wait_for(tmp_path / "marks", "t0-waits", "t1-waits")
    cluster.run("stop", "c")
    cluster.wait_for_none("tune.detached", "head", "agent")
    cluster.start_head()
    cluster.join("b", cpus=2)
    (tmp_path / "marks" / "event").touch()
    run.wait(DEADLINE_S)
    assert [iterations(one) for one in run] == WHOLE


def test_it_goes_on_at_a_path_and_is_not_begun_where_there_is_nothing(cluster: Cluster, tmp_path: Path) -> None:
    place = tmp_path / "results" / "attached"
    with pytest.raises(tune.TuneError, match="there is no experiment to resume in"):
        sent(cluster, "ignored", tmp_path / "marks", resume=place)
    (tmp_path / "marks" / "event").touch()
    settings = {"storage_path": place.parent, "resume": "AUTO"}
    assert sent(cluster, "attached", tmp_path / "marks", **settings).wait(DEADLINE_S).place == str(place)
    again = sent(cluster, "ignored", tmp_path / "marks", resume=place).wait(DEADLINE_S)
    assert (again.name, [iterations(one) for one in again]) == ("attached", WHOLE)


def ended_by_her(folder: Path) -> Post:
    post = Post(folder)
    post.folder.mkdir(parents=True)
    post.set(Order("me", 1.0, "her"), b"never opened")
    return post


def test_one_that_is_ended_before_it_took_its_post_does_not_begin(tmp_path: Path) -> None:
    post = ended_by_her(tmp_path / "controllers" / "e")
    command = [sys.executable, "-m", "tune.detached", str(post.folder)]
    assert subprocess.run(command, timeout=DEADLINE_S, check=False).returncode == 0
    assert (post.state.state, post.state.why) == ("ended", "her ended it, and it does not run any more")


class Exiting(tune.Callback):
    """Ends the process that it is called in, as far as that can be."""

    def on_trial_start(self, *_: Any, **__: Any) -> None:
        sys.exit("enough")


def test_a_callback_that_exits_fails_the_experiment_once(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(tune.TuneError, match="SystemExit: enough"):  # perhaps before it is known to have begun
        sent(cluster, "exiting", tmp_path / "marks", callbacks=[Exiting()]).wait(DEADLINE_S)
