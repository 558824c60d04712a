"""Resources: who may run, and where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import executor
from executor.errors import ExecutorError, InfeasibleRequestError
from executor.library.placement import PlacementGroupSchedulingStrategy
from tests.executor.library.events import Signal, holds


@pytest.fixture(autouse=True)
def idle(ray: Any) -> None:
    """What the test before has let go of is free."""
    all_free(ray)


@executor.remote
class Holder:
    """Holds what it was created with."""

    def ping(self) -> str:
        return "pong"

    def gpus(self) -> Any:
        return executor.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ["OMP_NUM_THREADS"]

    def child(self, **options: Any) -> Any:
        return executor.get(executor.remote(os.getpid).options(**options).remote())


def free(ray: Any) -> dict[str, float]:
    return dict(ray.available_resources())


def test_all_that_there_is_and_what_is_free_of_it(ray: Any) -> None:
    total = ray.cluster_resources()
    assert (total["CPU"], total["GPU"], total["slot"]) == (4, 2, 3)
    assert ray.nodes()[0]["Labels"] == {"zone": "a"}
    all_free(ray)
    holder = Holder.options(num_cpus=1.5, num_gpus=0.25, resources={"slot": 2}, memory=2**28).remote()
    ray.get(holder.ping.remote())
    left = free(ray)
    assert (left["CPU"], left["GPU"], left["slot"]) == (2.5, 1.75, 1)
    assert left["memory"] == total["memory"] - 2**28
    ray.kill(holder)
    all_free(ray)


def test_an_actor_waits_until_there_is_room(ray: Any) -> None:
    first = Holder.options(num_cpus=3).remote()
    ray.get(first.ping.remote())
    second = Holder.options(num_cpus=3).remote()
    pong = second.ping.remote()
    assert ray.wait([pong], timeout=0.1) == ([], [pong])
    ray.kill(first)
    assert ray.get(pong) == "pong"


def test_no_more_tasks_run_at_a_time_than_their_resources_allow(ray: Any, tmp_path: Path) -> None:
    @ray.remote(num_cpus=0, resources={"slot": 1})
    def count(folder: str, index: int) -> int:
        mine = Path(folder, str(index))
        mine.touch()
        found = len(list(Path(folder).iterdir()))
        mine.unlink()
        return found

    assert max(ray.get([count.remote(str(tmp_path), i) for i in range(60)])) <= 3


def test_gpus_are_given_as_devices_whole_or_shared(ray: Any) -> None:
    halves = [Holder.options(num_gpus=0.5).remote() for _ in range(2)]
    whole = Holder.options(num_gpus=1, num_cpus=2).remote()
    (one, *_), (two, *_) = ray.get([half.gpus.remote() for half in halves])
    assert one == two
    devices, visible, threads = ray.get(whole.gpus.remote())
    assert len(devices) == 1
    assert devices != one
    assert visible == devices[0]
    assert threads == "2"
    assert ray.get(Holder.remote().gpus.remote())[:2] == ([], "")


def test_labels_must_be_there(ray: Any) -> None:
    near = Holder.options(label_selector={"zone": "a"}).remote()
    assert ray.get(near.ping.remote()) == "pong"
    with pytest.raises(InfeasibleRequestError, match="label zone=b"):
        Holder.options(label_selector={"zone": "b"}).remote()


def all_free(ray: Any) -> None:
    try:
        holds(lambda: free(ray) == ray.cluster_resources(), "not all came back")
    except AssertionError as error:
        raise AssertionError(f"free is only {free(ray)}\n{ray.status()}") from error


# Placement groups.


def test_a_group_reserves_its_bundles_all_or_nothing(ray: Any) -> None:
    group = ray.placement_group([{"CPU": 1}, {"CPU": 2, "GPU": 1}], strategy="STRICT_PACK")
    assert ray.get(group.ready()) is True
    assert (free(ray)["CPU"], free(ray)["GPU"]) == (1, 1)
    assert group.bundle_specs == [{"cpu": 1}, {"cpu": 2, "gpu": 1}]
    waiting = ray.placement_group([{"CPU": 1}, {"CPU": 1}])
    assert not waiting.wait(0.05)
    assert free(ray)["CPU"] == 1
    ray.remove_placement_group(group)
    assert waiting.wait(30)
    ray.remove_placement_group(waiting)
    all_free(ray)


@pytest.mark.parametrize(
    ("bundles", "strategy", "text"),
    [
        ([{"CPU": 1}, {"CPU": 1}], "STRICT_SPREAD", "STRICT_SPREAD asks for 2 different nodes"),
        ([{"CPU": 3}, {"CPU": 3}], "PACK", "cpu 4"),
        ([{"GPU": 3}], "PACK", "1 gpu missing"),
    ],
)
def test_a_group_that_can_never_be_is_refused_at_once(ray: Any, bundles: Any, strategy: str, text: str) -> None:
    with pytest.raises(InfeasibleRequestError, match=text):
        ray.placement_group(bundles, strategy=strategy)


def test_a_group_of_nothing_and_one_that_outlives_its_driver_are_refused(ray: Any) -> None:
    with pytest.raises(ValueError, match="needs bundles"):
        ray.placement_group([])
    with pytest.raises(ValueError, match="placement groups end with their driver"):
        ray.placement_group([{"CPU": 1}], lifetime="detached")
    with pytest.raises(ValueError, match="strategy must be"):
        ray.placement_group([{"CPU": 1}], strategy="TIGHT")


def test_actors_and_tasks_run_inside_their_group_and_count_there(ray: Any) -> None:
    group = ray.placement_group([{"CPU": 1}, {"CPU": 2, "GPU": 1}])
    before = free(ray)
    inside = Holder.options(num_cpus=2, num_gpus=1, placement_group=group).remote()
    other = Holder.options(num_cpus=1, placement_group=group, placement_group_bundle_index=0).remote()
    assert ray.get([inside.ping.remote(), other.ping.remote()]) == ["pong", "pong"]
    assert free(ray) == before
    third = Holder.options(num_cpus=1, placement_group=group).remote()
    pong = third.ping.remote()
    assert ray.wait([pong], timeout=0.1)[0] == []
    ray.kill(other)
    assert ray.get(pong) == "pong"
    with pytest.raises(InfeasibleRequestError, match="no bundle of the placement group can hold cpu 3"):
        Holder.options(num_cpus=3, placement_group=group).remote()
    with pytest.raises(ValueError, match="bundle_index must be -1 to 1"):
        Holder.options(placement_group=group, placement_group_bundle_index=2)
    ray.remove_placement_group(group)
    with pytest.raises(ExecutorError, match="placement group was removed"):
        ray.get(inside.ping.remote())
    with pytest.raises(ExecutorError, match="was removed"):
        Holder.options(placement_group=group).remote()
    all_free(ray)


def test_children_run_inside_the_group_of_their_parent(ray: Any, tmp_path: Path) -> None:
    group = ray.placement_group([{"CPU": 2}])
    outside = Holder.options(num_cpus=2).remote()  # so that there is no room but in the group
    parent = Holder.options(num_cpus=1, placement_group=group).remote()
    assert ray.get(outside.ping.remote()) == "pong"
    assert ray.get(parent.child.remote(num_cpus=2), timeout=30) > 0  # the parent lends its own
    blocked = parent.child.remote(num_cpus=1, placement_group="default")
    assert ray.wait([blocked], timeout=0.1)[0] == []
    ray.kill(outside)
    assert ray.get(blocked) > 0
    ray.remove_placement_group(group)


def test_an_actor_made_inside_a_group_runs_inside_too(ray: Any) -> None:
    class Parent:
        def make(self, **options: Any) -> float:
            self.child = Holder.options(num_cpus=1, **options).remote()
            executor.get(self.child.ping.remote())
            return float(executor.available_resources()["CPU"])

    all_free(ray)
    group = ray.placement_group([{"CPU": 2}])
    parent = ray.remote(num_cpus=1, placement_group=group)(Parent).remote()
    assert ray.get(parent.make.remote(), timeout=30) == 2
    assert ray.get(parent.make.remote(placement_group="default"), timeout=30) == 1
    ray.remove_placement_group(group)
    all_free(ray)


def test_what_can_never_run_in_its_group_fails_at_once(ray: Any) -> None:
    group = ray.placement_group([{"CPU": 1}])
    parent = Holder.options(placement_group=group).remote()
    with pytest.raises(InfeasibleRequestError, match="no bundle of the placement group can hold cpu 2"):
        ray.get(parent.child.remote(num_cpus=2), timeout=30)
    inside = ray.remote(os.getpid).options(placement_group=group)
    assert ray.get(inside.remote(), timeout=30) > 0
    ray.remove_placement_group(group)
    with pytest.raises(ExecutorError, match="placement group was removed"):
        ray.get(inside.remote(), timeout=30)
    all_free(ray)


def test_children_run_elsewhere_where_their_parent_does_not_capture_them(ray: Any) -> None:
    group = ray.placement_group([{"CPU": 1}])
    strategy = PlacementGroupSchedulingStrategy(group, placement_group_capture_child_tasks=False)
    parent = Holder.options(num_cpus=1, scheduling_strategy=strategy).remote()
    assert ray.get(parent.child.remote(num_cpus=3), timeout=30) > 0  # more than the group has
    ray.remove_placement_group(group)


def test_a_task_that_waits_lends_its_cpus_but_not_its_gpus(ray: Any, tmp_path: Path) -> None:
    go, begun = Signal(tmp_path, "go"), Signal(tmp_path, "begun")

    @ray.remote
    def child() -> None:
        begun.set()
        go.wait()

    @ray.remote(num_cpus=4, num_gpus=2)
    def parent() -> dict[str, float]:
        executor.get(child.remote())
        return dict(executor.available_resources())

    ref = parent.remote()
    begun.wait()
    left = free(ray)
    assert (left["CPU"], left.get("GPU", 0)) == (3, 0)
    go.set()
    assert ray.get(ref).get("CPU", 0) == 0


def test_workers_that_were_started_by_many_do_not_starve_an_actor(ray: Any) -> None:
    pids = ray.get([ray.remote(os.getpid).remote() for _ in range(20)])
    assert pids
    holder = Holder.options(num_cpus=4).remote()
    assert ray.get(holder.ping.remote(), timeout=30) == "pong"
    ray.kill(holder)
