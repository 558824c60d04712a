"""The contract on Ray: on a cluster that the tests start themselves, a node of its own for each executor."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from executor.engines.ray import RayExecutor
from tests.executor.contract import ExecutorContract

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
