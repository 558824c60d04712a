"""Experiments on a cluster of real processes, some of which are killed."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import tune
from executor.cluster.client import status
from tests.faults.cluster import LEASE_S, Cluster, as_json
from tests.tune.driver import Driver
from tests.tune.trainables import iterations


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / "state")
    try:
        yield cluster
    finally:
        cluster.close()


def on(cluster: Cluster, storage: Path, samples: int = 2, **settings: object) -> Driver:
    """A run whose trials wait at their third report until ``event`` is there."""
    waiting = [f"t{number}" for number in range(samples)]
    config = {"at": 3, "waiting": waiting}
    return Driver(storage, "patient", config=config, num_samples=samples, executor=cluster.address, **settings)


def ended(driver: Driver, storage: Path) -> list[list[int]]:
    """Let the trials go on, wait for the run's end; the iterations of each trial."""
    (driver.marks / "event").touch()
    code, _, err = driver.end()
    assert (code, err) == (0, "")
    return [iterations(one) for one in tune.ResultGrid(storage / "e")]


@pytest.mark.fault("F9")
def test_trials_of_a_node_whose_agent_is_killed_go_on_from_their_checkpoints(cluster: Cluster, tmp_path: Path) -> None:
    cluster.join("a", cpus=2)
    driver = on(cluster, tmp_path)
    driver.wait_for(["t0-waits", "t1-waits"])
    cluster.join("b", cpus=2)
    os.kill(cluster.agent_of("a"), signal.SIGKILL)
    cluster.wait(lambda found: [node.name for node in found.nodes] == ["b", "a-2"])
    assert ended(driver, tmp_path) == [[1, 2, 3, 4, 5, 6]] * 2
    log = (cluster.folder / "head.log").read_text()
    gone, joins = log.index("node a is gone: its agent died"), log.index("node a-2 joins")
    assert gone < joins, "nobody waits for the next agent's start to hear of the end of the one before it"


def test_a_node_leaves_when_it_is_told_to_whichever_thread_takes_the_signal(cluster: Cluster) -> None:
    cluster.join("a")
    agent = cluster.agent_of("a")
    other = next(int(task.name) for task in Path(f"/proc/{agent}/task").iterdir() if int(task.name) != agent)
    assert ctypes.CDLL(None).tgkill(agent, other, signal.SIGTERM) == 0
    cluster.wait(lambda found: not found.nodes)


@pytest.mark.fault("F11")
def test_trials_do_not_notice_that_the_head_is_killed_and_started_again(cluster: Cluster, tmp_path: Path) -> None:
    cluster.join("a", cpus=2)
    driver = on(cluster, tmp_path)
    driver.wait_for(["t0-waits", "t1-waits"])
    cluster.kill_head()
    cluster.start_head()
    assert ended(driver, tmp_path) == [[1, 2, 3, 4, 5, 6]] * 2
    assert sorted(mark.name for mark in driver.marks.glob("t?.*")) == ["t0.1", "t1.1"], "nobody began again"


@pytest.mark.fault("F12")
def test_an_experiment_whose_driver_is_killed_is_resumed_on_the_cluster(cluster: Cluster, tmp_path: Path) -> None:
    cluster.join("a", cpus=4)
    driver = on(cluster, tmp_path)
    driver.wait_for(["t0-waits", "t1-waits"])
    driver.kill()
    again = on(cluster, tmp_path, resume=True)
    assert ended(again, tmp_path) == [[1, 2, 3, 4, 5, 6]] * 2


def test_trials_are_spread_over_nodes_and_the_status_shows_who_holds_what(cluster: Cluster, tmp_path: Path) -> None:
    cluster.join("a")
    cluster.join("b")
    driver = on(cluster, tmp_path)
    driver.wait_for(["t0-waits", "t1-waits"])
    found = as_json(cluster.run("status", "--json"))
    assert {node["name"]: node["free"].get("cpu", 0) for node in found["nodes"]} == {"a": 0, "b": 0}
    (experiment,) = found["experiments"]
    assert (experiment["experiment"], experiment["holds"]) == ("e", {"cpu": 2})
    assert ended(driver, tmp_path) == [[1, 2, 3, 4, 5, 6]] * 2


def test_no_secret_is_in_a_command_line_or_a_log(cluster: Cluster, tmp_path: Path) -> None:
    line = cluster.run("invite").split()[-1]
    token = line.split("/")[1]
    cluster.run("join", line, "--node-name", "a", state=cluster.state / "a")
    cluster.wait(lambda reply: bool(reply.nodes))
    shown = [text for what in ("head", "node", "agent") for text in cluster.processes(what).values()]
    shown += [log.read_text() for log in cluster.state.rglob("*.log")]
    assert len(shown) >= 5
    assert not any(secret in text for text in shown for secret in (token, token.partition(".")[2], "PRIVATE KEY"))


@pytest.mark.fault("F41")
def test_a_drained_node_is_left_by_its_trials_which_go_on_elsewhere(cluster: Cluster, tmp_path: Path) -> None:
    cluster.join("a", cpus=2)
    driver = on(cluster, tmp_path)
    driver.wait_for(["t0-waits", "t1-waits"])
    cluster.join("b", cpus=2)
    assert cluster.run("drain", "a").splitlines()[-1] == "node a is empty"
    assert ended(driver, tmp_path) == [[1, 2, 3, 4, 5, 6]] * 2
    for trial in tune.ResultGrid(tmp_path / "e"):
        attempts = trial.metrics_dataframe["iterations_since_restore"].tolist()
        assert attempts == [1, 2, 3, 1, 2, 3], "it went on from the report after which it left"
    assert sorted(mark.name for mark in driver.marks.glob("t?.*")) == ["t0.1", "t0.2", "t1.1", "t1.2"]


@pytest.mark.fault("F41")
def test_a_trial_that_never_reports_is_ended_at_the_deadline_of_its_drained_node(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.join("a")
    settings = {"num_samples": 1, "executor": cluster.address, "max_infra_failures": 0}
    driver = Driver(tmp_path, "stubborn", config={}, **settings)
    driver.wait_for(["t0-waits"])
    cluster.join("b")
    (driver.marks / "t0-waits").unlink()
    cluster.run("drain", "a", "--no-wait")
    found = as_json(cluster.run("status", "--json"))
    assert [(node["state"], node["reservations"]) for node in found["nodes"]] == [("draining", 1), ("ready", 0)]
    assert cluster.run("drain", "a", "--deadline-s", "0.3").splitlines()[-1] == "node a is empty"
    driver.wait_for(["t0-waits"])  # on the other node, and nobody was charged
    driver.kill()


@pytest.mark.fault("F33")
def test_trials_wait_for_a_driver_that_stands_still_for_longer_than_a_lease(cluster: Cluster, tmp_path: Path) -> None:
    cluster.join("a", cpus=2)
    driver = on(cluster, tmp_path)
    driver.wait_for(["t0-waits", "t1-waits"])
    driver.send(signal.SIGSTOP)
    (driver.marks / "event").touch()
    stood_since = status(cluster.folder).up_s
    cluster.wait(lambda found: found.up_s > stood_since + 1.5 * LEASE_S)
    driver.send(signal.SIGCONT)
    assert ended(driver, tmp_path) == [[1, 2, 3, 4, 5, 6]] * 2
    assert sorted(mark.name for mark in driver.marks.glob("t?.*")) == ["t0.1", "t1.1"], "nobody began again"


@pytest.mark.fault("F26")
def test_a_port_that_is_taken_is_said(cluster: Cluster) -> None:
    with pytest.raises(AssertionError, match="taken"):
        cluster.run("start", "other", "--port", str(cluster.port), "--no-node")


def test_stopping_a_cluster_ends_its_nodes(cluster: Cluster) -> None:
    cluster.join("a")
    cluster.run("stop", "c")
    assert not cluster.processes("head"), "it may be started again at once"
    cluster.wait_for_none("agent", "node")


def test_a_run_whose_cluster_is_stopped_ends_with_how_to_go_on(cluster: Cluster, tmp_path: Path) -> None:
    cluster.join("a", cpus=2)
    driver = on(cluster, tmp_path)
    driver.wait_for(["t0-waits", "t1-waits"])
    cluster.run("stop", "c")
    code, _, err = driver.end()
    assert code == 1
    *_, error = err.partition("tune.errors.ExecutorLostError: ")
    assert "the cluster was stopped\nNothing is lost: once there is a cluster again, go on with tune.run(" in error
    assert "During handling of the above exception" not in err
    (driver.marks / "event").touch()
    results = tune.resume(tmp_path / "e", executor="local", verbose=0)
    assert [list(trial.metrics_dataframe["training_iteration"]) for trial in results] == [[1, 2, 3, 4, 5, 6]] * 2
    cluster.start_head()
    cluster.join("a")  # until there is a node of this name again
