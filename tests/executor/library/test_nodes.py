"""The library on several nodes of a cluster: who runs where, and what goes from one to another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest

import executor
from executor.cluster.fleet import ClusterFleet
from executor.errors import ActorDiedError, InfeasibleRequestError, WorkerCrashedError
from executor.library.runtime import existing
from executor.platform import is_linux
from executor.resources import Request, Resources
from tests.executor.cluster_rig import Rig
from tests.executor.library.events import Signal, holds
from tests.executor.library.two_nodes import (
    MIB,
    Resident,
    depots,
    kept,
    look,
    make,
    node,
    on,
    two_nodes,
    wait_until_all_is_free,
    where,
)


@pytest.fixture(scope="module")
def standing() -> Iterator[Rig]:
    """Two nodes of 2 cpus and 2 imaginary gpus each, and the library open on them."""
    with two_nodes() as rig:
        yield rig


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
    wait_until_all_is_free()
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
        return node()

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


def test_an_object_goes_to_who_needs_it_and_is_let_go_of_everywhere(standing: Rig) -> None:
    made = on(make, "x").remote(5 * MIB)
    assert executor.get([on(look, zone).remote(made) for zone in "xyy"]) == [
        ("a", 7, False), ("b", 7, False), ("b", 7, False),
    ]  # fmt: skip
    assert not executor.get(made).flags.writeable
    assert kept(standing) == {"a": 1, "b": 1}
    own = executor.put(numpy.full(5 * MIB, 9, dtype=numpy.uint8))
    assert executor.get([on(look, zone).remote(own) for zone in "xyx"]) == [
        ("a", 9, False), ("b", 9, False), ("a", 9, False),
    ]  # fmt: skip
    assert kept(standing) == {"a": 2, "b": 2}
    del made, own
    holds(lambda: kept(standing) == {"a": 0, "b": 0} and executor.status().store.objects == 0, "nobody keeps them")


@pytest.mark.skipif(not is_linux(), reason="elsewhere it is sent")
def test_nodes_of_the_drivers_machine_read_its_objects_where_they_lie(standing: Rig) -> None:
    own = executor.put(numpy.full(5 * MIB, 9, dtype=numpy.uint8))
    assert executor.get([on(look, zone).remote(own) for zone in "xy"]) == [("a", 9, False), ("b", 9, False)]
    assert kept(standing) == {"a": 1, "b": 1}
    assert not any(depot.store.use().memory_bytes for its in depots(standing).values() for depot in its)
    del own
    holds(lambda: kept(standing) == {"a": 0, "b": 0}, "nobody keeps it")


def test_what_a_worker_has_allocated_goes_with_it(standing: Rig) -> None:
    @executor.remote(max_retries=0)
    def die() -> None:
        existing().allocate(5 * MIB)  # type: ignore[union-attr]
        os._exit(1)

    with pytest.raises(WorkerCrashedError):
        executor.get(die.remote())
    holds(lambda: set(kept(standing).values()) == {0}, "nobody keeps it")
