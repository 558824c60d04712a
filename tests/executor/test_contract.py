"""Every implementation keeps the whole contract."""

from __future__ import annotations

from collections.abc import Mapping

from executor.devices import names
from executor.local import LocalExecutor
from executor.remote.executor import RemoteExecutor
from executor.resources import Node, Resources
from executor.simulated import SimulatedExecutor
from tests.executor.cluster_rig import RiggedExecutor
from tests.executor.contract import ExecutorContract
from tests.executor.near_fleet import NearFleet


class TestSimulated(ExecutorContract):
    """With the options that keep calls apart as processes are."""

    @staticmethod
    def make_executor(
        *, cpus: float, gpus: float = 0, resources: Mapping[str, float] | None = None
    ) -> SimulatedExecutor:
        node = Node("sim", Resources.of({"cpu": cpus, "gpu": gpus, **(resources or {})}))
        return SimulatedExecutor([node], check_pickle=True, isolate_random=True)


class TestLocal(ExecutorContract):
    @staticmethod
    def make_executor(*, cpus: float, gpus: float = 0, resources: Mapping[str, float] | None = None) -> LocalExecutor:
        return LocalExecutor(cpus=cpus, gpus=gpus, resources=resources)


class TestHosts(ExecutorContract):
    """A remote executor and one host, with nothing but pickle between them."""

    @staticmethod
    def make_executor(*, cpus: float, gpus: float = 0, resources: Mapping[str, float] | None = None) -> RemoteExecutor:
        node = Node("near", Resources.of({"cpu": cpus, "gpu": gpus, **(resources or {})}))
        return RemoteExecutor(NearFleet([node], {"near": names(gpus)}))


class TestCluster(ExecutorContract):
    """A driver, a head and an agent, with gRPC between them."""

    @staticmethod
    def make_executor(*, cpus: float, gpus: float = 0, resources: Mapping[str, float] | None = None) -> RiggedExecutor:
        return RiggedExecutor({"cpu": cpus, "gpu": gpus, **(resources or {})})
