"""Actors that outlive their drivers on a cluster of real processes, while these end one after the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import executor
from executor.cluster.client import namespaces
from executor.cluster.protos import cluster as pb
from tests.faults.cluster import Cluster, as_json
from tests.tune.trainables import DEADLINE_S

CARETAKER = "executor.library.caretaker"

DRIVER = """
import sys, time
import executor

class Counter:
    def __init__(self):
        self.count = 0

    def add(self):
        self.count += 1
        return self.count

executor.init(sys.argv[1])
for name, restarts in (("once", 0), ("kept", -1)):
    counter = executor.remote(Counter).options(name=name, lifetime="detached", max_restarts=restarts).remote()
    assert executor.get(counter.add.remote()) == 1
print("done", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / "state")
    try:
        cluster.join("a", cpus=2)
        yield cluster
    finally:
        executor.shutdown()
        cluster.close()


def keeps(*names: str) -> Callable[[pb.StatusReply], bool]:
    """Whether the default namespace has these actors, and no others."""

    def there(found: pb.StatusReply) -> bool:
        return tuple(namespaces(found)["default"].actors) == names

    return there


def test_they_live_on_when_their_driver_is_killed_and_the_head_and_end_with_the_cluster(cluster: Cluster) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, cluster.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "done\n"
        driver.kill()
    cluster.wait(keeps("kept", "once"))
    assert "kept, once" in cluster.run("status")
    executor.init(cluster.address)
    once, kept = executor.get_actor("once"), executor.get_actor("kept")
    cluster.kill_head()
    calls = [one.add.remote() for one in (once, kept)]
    cluster.start_head()
    assert executor.get(calls, timeout=DEADLINE_S) == [2, 2]

    (caretaker,) = cluster.processes(CARETAKER)
    os.kill(caretaker, signal.SIGKILL)
    assert executor.get(executor.get_actor("kept").add.remote()) == 1
    cluster.wait(keeps("kept"))
    with pytest.raises(ValueError, match="no actor of the name 'once'; there are: 'kept'"):
        executor.get_actor("once")

    cluster.run("stop")
    cluster.wait_for_none(CARETAKER)
    cluster.start_head()
    (namespace,) = as_json(cluster.run("status", "--json"))["namespaces"]
    assert (namespace["namespace"], namespace["state"], namespace["actors"]) == ("default", "ended", [])
    assert cluster.processes(CARETAKER) == {}
