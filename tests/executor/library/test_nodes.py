"""The library on several nodes of a cluster: who runs where, and what is left when a node goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pytest

import executor
from executor.cluster.fleet import ClusterFleet
from executor.errors import ActorDiedError, InfeasibleRequestError, ObjectLostError, WorkerCrashedError
from executor.hosting.messages import Neighbour
from executor.library.runtime import existing
from executor.resources import Request, Resources
from tests.executor.cluster_rig import Rig
from tests.executor.library.events import Signal, holds

MIB = 2**20


@contextmanager
def _two_nodes() -> Iterator[Rig]:
    found = Rig()
    found.join("a", {"cpu": 2, "gpu": 2}, {"zone": "x"})
    found.join("b", {"cpu": 2, "gpu": 2}, {"zone": "y"})
    executor.init(ClusterFleet(found.dial), log_to_driver=False)
    holds(lambda: len(executor.nodes()) == 2, "both nodes have joined")
    try:
        yield found
    finally:
        executor.shutdown()
        found.close()


@pytest.fixture(scope="module")
def standing() -> Iterator[Rig]:
    """Two nodes of 2 cpus and 2 imaginary gpus each, and the library open on them."""
    with _two_nodes() as rig:
        yield rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    """The same for one test alone, which takes them apart."""
    executor.shutdown()
    with _two_nodes() as rig:
        yield rig


def _node() -> str:
    return str(executor.get_runtime_context().get_node_id())


def _wait_until_all_is_free() -> None:
    holds(lambda: executor.available_resources() == executor.cluster_resources(), "those before have ended")


where = executor.remote(_node)


@executor.remote
class Resident:
    """Tells where it is, and dies when it is told to."""

    def node(self) -> str:
        return _node()

    def gpus(self) -> tuple[str, list[str]]:
        return _node(), executor.get_gpu_ids()

    def pid(self) -> int:
        return os.getpid()

    def wait(self, go: Signal) -> str:
        go.wait()
        return _node()


def test_what_one_node_has_no_room_for_runs_on_another(standing: Rig) -> None:
    residents = [Resident.options(num_cpus=1).remote() for _ in range(4)]
    nodes = executor.get([one.node.remote() for one in residents])
    assert sorted(nodes) == ["a", "a", "b", "b"]


def test_the_nodes_are_told_with_what_they_have_and_what_they_are_called(standing: Rig) -> None:
    found = {node["NodeID"]: (node["Resources"]["CPU"], node["Labels"]) for node in executor.nodes()}
    assert found == {"a": (2.0, {"zone": "x"}), "b": (2.0, {"zone": "y"})}
    assert executor.cluster_resources() == {"CPU": 4.0, "GPU": 4.0}
    resident = Resident.options(num_cpus=1).remote()
    (there,) = executor.get([resident.node.remote()])
    holds(lambda: executor.available_resources()["CPU"] == 3.0, "what the actor does not hold is free")
    assert ("Resident", there) in [(actor.name, actor.node) for actor in executor.status().actors]


def test_a_label_chooses_the_node(standing: Rig) -> None:
    asked = ["y", "x", "y"]
    assert executor.get([where.options(label_selector={"zone": zone}).remote() for zone in asked]) == ["b", "a", "b"]
    with pytest.raises(InfeasibleRequestError, match=r"no node has the label zone=z; a has .*'x'.*; b has"):
        where.options(label_selector={"zone": "z"}).remote()


def test_what_is_to_be_spread_takes_the_node_that_has_less(standing: Rig) -> None:
    _wait_until_all_is_free()
    spread = Resident.options(num_cpus=1, scheduling_strategy="SPREAD")
    first, second = spread.remote(), spread.remote()
    assert executor.get(first.node.remote()) != executor.get(second.node.remote())
    idle = [Resident.remote() for _ in range(4)]  # nor do all that hold nothing go to one
    assert sorted(executor.get([one.node.remote() for one in idle])) == ["a", "a", "b", "b"]


def test_children_never_wait_for_the_cpus_that_their_parents_hold_on_all_nodes(standing: Rig) -> None:
    @executor.remote
    def parent(depth: int) -> int:
        return 1 + int(executor.get(parent.remote(depth - 1))) if depth else 0

    assert executor.get([parent.remote(3) for _ in range(8)]) == [3] * 8

    @executor.remote(num_gpus=1)
    def with_gpu() -> str:
        return _node()

    @executor.remote
    def parent_of_more() -> str:
        return str(executor.get(with_gpu.remote()))

    assert set(executor.get([parent_of_more.remote() for _ in range(8)])) <= {"a", "b"}


def test_an_error_names_the_node(standing: Rig) -> None:
    @executor.remote(max_retries=0, label_selector={"zone": "y"})
    def die() -> None:
        os._exit(3)

    with pytest.raises(WorkerCrashedError, match=r"task die: .* exited with code 3 .*\(on node b\)"):
        executor.get(die.remote())


def test_the_bundles_of_a_group_lie_on_as_many_nodes_as_its_strategy_says(standing: Rig) -> None:
    group = executor.placement_group([{"CPU": 1, "GPU": 1}] * 2, "STRICT_SPREAD")
    inside = [
        Resident.options(num_cpus=1, num_gpus=1, placement_group=group, placement_group_bundle_index=index).remote()
        for index in range(2)
    ]
    (first, its), (second, others) = executor.get([one.gpus.remote() for one in inside])
    assert {first, second} == {"a", "b"}
    assert len(its) == len(others) == 1
    executor.remove_placement_group(group)
    with pytest.raises(ActorDiedError, match="placement group was removed"):
        executor.get(inside[0].node.remote())
    with pytest.raises(InfeasibleRequestError, match="STRICT_SPREAD asks for 3 different nodes"):
        executor.placement_group([{"CPU": 1}] * 3, "STRICT_SPREAD")
    wide = executor.placement_group([{"CPU": 2}] * 2, "SPREAD")
    assert executor.get(wide.ready(), timeout=30)
    executor.remove_placement_group(wide)


def test_gpus_are_given_out_by_their_names_on_each_node(standing: Rig) -> None:
    residents = [Resident.options(num_gpus=1).remote() for _ in range(4)]
    found = executor.get([one.gpus.remote() for one in residents])
    assert sorted((node, tuple(gpus)) for node, gpus in found) == [
        ("a", ("0",)), ("a", ("1",)), ("b", ("0",)), ("b", ("1",)),
    ]  # fmt: skip


def test_what_workers_hold_without_need_is_given_back_to_other_drivers(standing: Rig) -> None:
    assert len(executor.get([where.remote() for _ in range(20)])) == 20
    other = ClusterFleet(standing.dial)
    try:
        asked = Request((Resources.of(cpu=2),) * 2)
        holds(lambda: other.reserve(asked) is not None, "all cpus can be had by another driver")
    finally:
        other.close()


def test_where_an_actor_stands_is_told_from_its_node(standing: Rig, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")
    resident = Resident.remote()
    executor.get(resident.node.remote())
    ref = resident.wait.remote(go)
    holds(lambda: "in wait" in executor.stacks(resident), "it waits")
    go.set()
    executor.get(ref)


def test_a_lost_node_ends_its_actors_and_tasks_begin_again_elsewhere(rig: Rig, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")
    on_b = Resident.options(label_selector={"zone": "y"})
    lost, restarted = on_b.remote(), Resident.options(num_cpus=2, max_restarts=1, max_task_retries=1).remote()
    held = Resident.options(num_cpus=2, max_restarts=1, max_task_retries=1).remote()
    at = {executor.get(one.node.remote()): one for one in (restarted, held)}
    assert executor.get(lost.node.remote()) == "b"
    waiting = [lost.wait.remote(go)]
    rig.agents.pop("b").close()
    with pytest.raises(ActorDiedError, match="Resident died: node b was lost"):
        executor.get(waiting)
    executor.kill(at["a"])
    assert executor.get(at["b"].node.remote()) == "a"
    assert [node["NodeID"] for node in executor.nodes()] == ["a"]


def test_a_task_on_a_lost_node_is_tried_again_on_another(rig: Rig, tmp_path: Path) -> None:
    go, began = Signal(tmp_path, "go"), Signal(tmp_path, "began")

    @executor.remote(num_cpus=2, scheduling_strategy="SPREAD")
    def wait(node: str) -> str:
        if _node() == node:
            began.set()
            go.wait()
        return _node()

    blocker = Resident.options(num_cpus=2).remote()
    taken = executor.get(blocker.node.remote())
    other = {"a": "b", "b": "a"}[taken]
    ref = wait.remote(other)
    began.wait()
    executor.kill(blocker)
    rig.agents.pop(other).close()
    assert executor.get(ref) == taken


def test_a_node_that_joins_takes_what_waits(rig: Rig) -> None:
    residents = [Resident.options(num_cpus=2).remote() for _ in range(3)]
    refs = [one.node.remote() for one in residents]
    ready, waiting = executor.wait(refs, num_returns=2)
    assert sorted(executor.get(ready)) == ["a", "b"]
    rig.join("c", {"cpu": 2})
    assert executor.get(waiting) == ["c"]


def test_options_of_this_machine_do_not_go_with_a_cluster() -> None:
    with pytest.raises(ValueError, match="num_cpus, labels: of this machine"):
        executor.init("grpc://127.0.0.1:1", num_cpus=2, labels={"zone": "a"})
    with pytest.raises(ValueError, match="address='ray://head': there is 'local', and 'grpc://HOST:PORT'"):
        executor.init("ray://head")


@executor.remote
def make(size: int) -> Any:
    return numpy.full(size, 7, dtype=numpy.uint8)


@executor.remote
def look(array: Any) -> tuple[str, int, bool]:
    return _node(), int(array[-1]), bool(array.flags.writeable)


def _on(function: Any, zone: str) -> Any:
    return function.options(label_selector={"zone": zone})


def _kept(rig: Rig) -> dict[str, int]:
    """How many objects each node keeps, its own and copies."""
    hosts = {name: [one._host for one in agent._served.values()] for name, agent in rig.agents.items()}
    depots = {name: [host._keeper._depot for host in its if host._keeper._depot] for name, its in hosts.items()}
    return {name: sum(depot.store.use().objects for depot in its) for name, its in depots.items()}


def test_an_object_goes_to_who_needs_it_and_is_let_go_of_everywhere(standing: Rig) -> None:
    made = _on(make, "x").remote(5 * MIB)
    assert executor.get([_on(look, zone).remote(made) for zone in "xyy"]) == [
        ("a", 7, False), ("b", 7, False), ("b", 7, False),
    ]  # fmt: skip
    assert not executor.get(made).flags.writeable
    assert _kept(standing) == {"a": 1, "b": 1}
    own = executor.put(numpy.full(5 * MIB, 9, dtype=numpy.uint8))
    assert executor.get([_on(look, zone).remote(own) for zone in "xyx"]) == [
        ("a", 9, False), ("b", 9, False), ("a", 9, False),
    ]  # fmt: skip
    assert _kept(standing) == {"a": 2, "b": 2}
    del made, own
    holds(lambda: _kept(standing) == {"a": 0, "b": 0} and executor.status().store.objects == 0, "nobody keeps them")


def test_what_a_worker_has_allocated_goes_with_it(standing: Rig) -> None:
    @executor.remote(max_retries=0)
    def die() -> None:
        existing().allocate(5 * MIB)  # type: ignore[union-attr]
        os._exit(1)

    with pytest.raises(WorkerCrashedError):
        executor.get(die.remote())
    holds(lambda: set(_kept(standing).values()) == {0}, "nobody keeps it")


def test_objects_go_through_the_head_where_nobody_reaches_a_node(rig: Rig) -> None:
    assert sorted(executor.get([_on(where, zone).remote() for zone in "xy"])) == ["a", "b"]
    backend = existing().backend  # type: ignore[union-attr]
    holds(lambda: len(backend._depots._nodes) == 2, "both keep objects")
    nowhere = ("127.0.0.1", 1)
    for name, other in (("a", "b"), ("b", "a")):
        backend._depots._own.meet(name, nowhere)
        backend._fleet.send(name, Neighbour(other, *nowhere))
    made, own = _on(make, "x").remote(9 * MIB), executor.put(numpy.full(9 * MIB, 9, dtype=numpy.uint8))
    assert executor.get([_on(look, "y").remote(made), _on(look, "y").remote(own), _on(look, "x").remote(own)]) == [
        ("b", 7, False), ("b", 9, False), ("a", 9, False),
    ]  # fmt: skip
    assert bool((executor.get(made) == 7).all())


def test_an_object_that_was_only_on_a_lost_node_is_lost_and_one_of_which_the_driver_has_a_copy_is_not(rig: Rig) -> None:
    lost, copied = (_on(make, "y").remote(5 * MIB) for _ in range(2))
    executor.wait([lost], fetch_local=False)
    assert executor.get(copied)[-1] == 7
    rig.agents.pop("b").close()
    holds(lambda: len(executor.nodes()) == 1, "the node is lost")
    with pytest.raises(ObjectLostError, match="an object of node b cannot be had any more"):
        executor.get(lost)
    with pytest.raises(ObjectLostError):
        executor.get(look.remote(lost))
    assert executor.get(copied)[-1] == 7
