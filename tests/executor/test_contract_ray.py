"""The contract on Ray: on a cluster that the tests start themselves, a node of its own for each executor."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from executor.engines.ray import RayExecutor
from executor.messages import RoomAdded
from executor.resources import Request, Resources
from tests.executor import programs
from tests.executor.contract import ExecutorContract
from tests.executor.conversation import DEADLINE_S, Conversation
from tests.executor.local_programs import Run, environment

pytest.importorskip("ray")
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]  # Ray's own, of which there are many

_numbers = itertools.count(1)
_clusters: list[Any] = []


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """A Ray cluster whose head has nothing to give."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    ray.init(address=cluster.address, log_to_driver=False)
    _clusters.append(cluster)
    yield
    _clusters.remove(cluster)
    ray.shutdown()
    cluster.shutdown()


class OwnNode(RayExecutor):
    """On a node that goes with it."""

    def __init__(self, amounts: Mapping[str, Any]) -> None:
        mark = f"own-{next(_numbers)}"
        resources = {**amounts.get("resources", {}), mark: 1}
        self._node = _clusters[0].add_node(**{**amounts, "resources": resources})
        _clusters[0].wait_for_nodes()
        super().__init__(usable=lambda node: mark in node["Resources"])

    def close(self) -> None:
        super().close()
        if self._node is not None:
            _clusters[0].remove_node(self._node)
            self._node = None


class TestRay(ExecutorContract):
    @staticmethod
    def make_executor(*, cpus: float, gpus: float = 0, resources: Mapping[str, float] | None = None) -> OwnNode:
        return OwnNode({"num_cpus": int(cpus), "num_gpus": int(gpus), "resources": dict(resources or {})})


def test_a_call_gets_the_gpus_that_ray_has_given_it_and_not_those_that_others_use() -> None:
    import ray

    with OwnNode({"num_cpus": 2, "num_gpus": 3, "resources": {"spot": 1}}) as executor, Conversation(executor) as talk:
        other = ray.remote(num_gpus=1, num_cpus=0, resources={"spot": 0.1})(_Holder).remote()
        (theirs,) = ray.get(other.gpus.remote())
        two = talk.reserve(Request((Resources.of(cpu=1, gpu=2),)))
        found = talk.returned_by(talk.start(Run(environment), ["CUDA_VISIBLE_DEVICES"], on=two))
        ours = found["CUDA_VISIBLE_DEVICES"].split(",")
        assert sorted([str(theirs), *ours]) == ["0", "1", "2"]
        ray.kill(other)


def test_room_that_others_use_is_had_as_soon_as_they_are_done() -> None:
    import ray

    with OwnNode({"num_cpus": 1, "resources": {"busy": 1}}) as executor, Conversation(executor) as talk:
        other = ray.remote(num_cpus=1, resources={"busy": 0.1})(_Holder).remote()
        ray.get(other.gpus.remote())
        assert executor.reserve(Request()) is None
        ray.kill(other)
        until = executor.clock() + DEADLINE_S
        while (room := executor.reserve(Request())) is None:
            assert executor.clock() < until, "nobody said that there is room by now"
            executor.events(until)
        talk._reservations.append(room)
        assert talk.returned_by(talk.start(programs.Answer(), 3, on=room)) == 3


def test_room_that_is_granted_when_nobody_wants_it_any_more_is_given_back() -> None:
    import ray

    with OwnNode({"num_cpus": 1, "resources": {"idle": 1}}) as executor:
        holder = ray.remote(num_cpus=1, resources={"idle": 0.1})(_Holder)
        other = holder.remote()
        ray.get(other.gpus.remote())
        assert executor.reserve(Request()) is None
        ray.kill(other)
        assert any(isinstance(event, RoomAdded) for event in executor.events(executor.clock() + DEADLINE_S))
        another = holder.remote()
        assert ray.get(another.gpus.remote(), timeout=DEADLINE_S) == []
        ray.kill(another)


class _Holder:
    def gpus(self) -> list[Any]:
        import ray

        found: list[Any] = ray.get_gpu_ids()
        return found
