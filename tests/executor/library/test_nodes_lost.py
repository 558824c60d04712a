"""The library on a cluster whose nodes come and go, or cannot be reached: what is left, and what goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest

import executor
from executor.errors import ActorDiedError, InfeasibleRequestError, ObjectLostError, WorkerCrashedError
from executor.hosting.messages import Neighbour
from executor.library.runtime import existing
from executor.platform import here
from tests.executor.cluster_rig import Rig
from tests.executor.library.events import DEADLINE_S, Signal, holds
from tests.executor.library.two_nodes import MIB, Resident, look, make, node, on, two_nodes, where


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each node were a machine of its own: what one has lies nowhere that another one could look."""
    monkeypatch.setattr(here, "neighbourly", lambda name: None)


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Two nodes of 2 cpus and 2 imaginary gpus each, and the library open on them, for one test to take apart."""
    with two_nodes() as rig:
        yield rig


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
    def wait(there: str) -> str:
        if node() == there:
            began.set()
            go.wait()
        return node()

    blocker = Resident.options(num_cpus=2).remote()
    taken = executor.get(blocker.node.remote())
    other = {"a": "b", "b": "a"}[taken]
    ref = wait.remote(other)
    began.wait()
    executor.kill(blocker)
    rig.agents.pop(other).close()
    assert executor.get(ref) == taken


def test_what_a_lost_node_had_lent_is_not_lent_again(rig: Rig, tmp_path: Path) -> None:
    began, go = Signal(tmp_path, "began"), Signal(tmp_path, "go")

    @executor.remote(max_retries=0)
    def borrower() -> None:
        began.set()
        go.wait()

    @executor.remote(num_cpus=2, max_retries=0)
    def lender() -> None:
        executor.get(borrower.remote())

    rest = Resident.options(num_cpus=2, label_selector={"zone": "x"}).remote()
    executor.get(rest.node.remote())
    lost = on(lender, "y").remote()
    began.wait()
    rig.agents.pop("b").close()
    with pytest.raises(WorkerCrashedError, match="node b was lost"):
        executor.get(lost)
    executor.kill(rest)
    assert executor.get([where.remote() for _ in range(4)], timeout=DEADLINE_S) == ["a"] * 4


def test_a_lost_bundle_of_a_group_is_had_again_on_another_node_and_the_others_go_on(rig: Rig) -> None:
    group = executor.placement_group([{"CPU": 2}] * 2, "STRICT_SPREAD")
    options = {"num_cpus": 2, "max_restarts": 1, "max_task_retries": 1, "placement_group": group}
    inside = [Resident.options(placement_group_bundle_index=index, **options).remote() for index in range(2)]
    at = dict(zip(executor.get([one.node.remote() for one in inside]), inside, strict=True))
    pid = executor.get(at["a"].pid.remote())
    rig.join("c", {"cpu": 2})
    holds(lambda: len(executor.nodes()) == 3, "it has joined")
    rig.agents.pop("b").close()
    again = at["b"].node.remote()
    assert executor.get(again, timeout=DEADLINE_S) == "c"
    assert executor.get(at["a"].pid.remote()) == pid


def test_what_waits_for_a_lost_bundle_that_no_node_can_hold_is_told_so(rig: Rig) -> None:
    group = executor.placement_group([{"CPU": 2}] * 2, "STRICT_SPREAD")
    assert executor.get(group.ready(), timeout=DEADLINE_S)
    inside = where.options(num_cpus=2, placement_group=group)
    rig.agents.pop("b").close()
    holds(lambda: len(executor.nodes()) == 1, "the node is lost")
    refs = [inside.options(placement_group_bundle_index=index).remote() for index in range(2)]
    _, waiting = executor.wait(refs, num_returns=2, timeout=DEADLINE_S)
    assert not waiting
    with pytest.raises(InfeasibleRequestError, match="bundle of the placement group was on node b, which was lost"):
        executor.get(refs, timeout=0)


def test_a_node_that_joins_takes_what_waits(rig: Rig) -> None:
    residents = [Resident.options(num_cpus=2).remote() for _ in range(3)]
    refs = [one.node.remote() for one in residents]
    ready, waiting = executor.wait(refs, num_returns=2)
    assert sorted(executor.get(ready)) == ["a", "b"]
    rig.join("c", {"cpu": 2})
    assert executor.get(waiting) == ["c"]


def test_a_node_that_is_emptied_is_given_no_more_and_what_runs_there_ends(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signals = [(Signal(tmp_path, f"began{index}"), Signal(tmp_path, f"go{index}")) for index in range(4)]

    @executor.remote
    def wait(began: Signal, go: Signal) -> str:
        began.set()
        go.wait()
        return node()

    refs = [wait.remote(*pair) for pair in signals]
    for began, _ in signals:
        began.wait()
    behind = [where.remote() for _ in range(4)]
    rig.drain("b")
    holds(lambda: "node b is drained: what runs there goes on" in caplog.text, "the driver has been told")
    for _, go in signals:
        go.set()
    assert sorted(executor.get(refs)) == ["a", "a", "b", "b"]
    assert executor.get(behind) == ["a"] * 4
    holds(lambda: rig.head._state.reservations_on("b") == 0, "nothing is held there")


def test_children_of_what_runs_on_an_emptied_node_find_room_in_what_their_parents_lend(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    began, go = Signal(tmp_path, "began"), Signal(tmp_path, "go")

    @executor.remote
    def parent() -> str:
        began.set()
        go.wait()
        return str(executor.get(where.remote()))

    blocker = Resident.options(num_cpus=2, label_selector={"zone": "x"}).remote()
    assert executor.get(blocker.node.remote()) == "a"
    ref = parent.remote()
    began.wait()
    rig.drain("b")
    holds(lambda: "node b is drained" in caplog.text, "the driver has been told")
    go.set()
    assert executor.get(ref, timeout=DEADLINE_S) == "b"


@pytest.mark.usefixtures("apart", "rig")
def test_objects_go_to_the_nodes_of_other_machines_and_back() -> None:
    made, own = on(make, "x").remote(9 * MIB), executor.put(numpy.full(9 * MIB, 9, dtype=numpy.uint8))
    assert executor.get([on(look, "y").remote(made), on(look, "y").remote(own), on(look, "x").remote(own)]) == [
        ("b", 7, False), ("b", 9, False), ("a", 9, False),
    ]  # fmt: skip
    assert bool((executor.get(made) == 7).all())


@pytest.mark.usefixtures("apart")
def test_objects_go_through_the_head_where_nobody_reaches_a_node(rig: Rig) -> None:
    assert sorted(executor.get([on(where, zone).remote() for zone in "xy"])) == ["a", "b"]
    backend = existing().hub.backend  # type: ignore[union-attr]
    holds(lambda: len(backend._depots._nodes) == 2, "both keep objects")
    nowhere = ("127.0.0.1", 1)
    for name, other in (("a", "b"), ("b", "a")):
        backend._depots._own.meet(name, nowhere)
        backend._fleet.send(name, Neighbour(other, *nowhere))
    made, own = on(make, "x").remote(9 * MIB), executor.put(numpy.full(9 * MIB, 9, dtype=numpy.uint8))
    assert executor.get([on(look, "y").remote(made), on(look, "y").remote(own), on(look, "x").remote(own)]) == [
        ("b", 7, False), ("b", 9, False), ("a", 9, False),
    ]  # fmt: skip
    assert bool((executor.get(made) == 7).all())


@pytest.mark.usefixtures("apart")
def test_a_future_of_a_large_value_comes_where_the_driver_cannot_reach_its_node(rig: Rig) -> None:
    assert executor.get(on(where, "x").remote()) == "a"
    depots = existing().hub.backend._depots  # type: ignore[union-attr]
    holds(lambda: "a" in depots._nodes, "it keeps objects")
    depots._own.meet("a", ("127.0.0.1", 1))
    futures = [on(make, "x").remote(5 * MIB).future() for _ in range(2)]
    assert [future.result(DEADLINE_S)[-1] for future in futures] == [7, 7]


def test_an_object_that_was_only_on_a_lost_node_is_lost_and_one_of_which_the_driver_has_a_copy_is_not(rig: Rig) -> None:
    lost, copied = (on(make, "y").remote(5 * MIB) for _ in range(2))
    executor.wait([lost], fetch_local=False)
    assert executor.get(copied)[-1] == 7
    rig.agents.pop("b").close()
    holds(lambda: len(executor.nodes()) == 1, "the node is lost")
    with pytest.raises(ObjectLostError, match="an object of node b cannot be had any more: .*no other node has a copy"):
        executor.get(lost)
    with pytest.raises(ObjectLostError):
        executor.get(look.remote(lost))
    assert executor.get(copied)[-1] == 7


@pytest.mark.usefixtures("apart")
def test_an_object_of_a_lost_node_is_had_from_a_node_with_a_copy(rig: Rig) -> None:
    rig.join("c", {"cpu": 2}, {"zone": "z"})
    holds(lambda: len(executor.nodes()) == 3, "the third node has joined")
    made, again = (on(make, "y").remote(9 * MIB) for _ in range(2))
    assert executor.get([on(look, "x").remote(each) for each in (made, again)]) == [("a", 7, False)] * 2
    rig.agents.pop("b").close()
    holds(lambda: len(executor.nodes()) == 2, "the node is lost")
    assert executor.get(on(look, "z").remote(made)) == ("c", 7, False)
    assert bool((executor.get(made) == 7).all())
    existing().hub.backend._depots._own.meet("a", ("127.0.0.1", 1))  # type: ignore[union-attr]
    assert executor.get(on(look, "z").remote(again)) == ("c", 7, False)  # through the head


def test_options_of_this_machine_do_not_go_with_a_cluster() -> None:
    with pytest.raises(ValueError, match="num_cpus, labels: of this machine"):
        executor.init("grpc://127.0.0.1:1", num_cpus=2, labels={"zone": "a"})
    with pytest.raises(ValueError, match="address='ray://head': there is 'local', and 'grpc://HOST:PORT'"):
        executor.init("ray://head")
