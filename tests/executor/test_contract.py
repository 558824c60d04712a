"""Every implementation keeps the whole contract."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import distributed

from executor.devices import names
from executor.engines.dask import DaskExecutor
from executor.hosting.executor import RemoteExecutor
from executor.local import LocalExecutor
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


class LocalDaskExecutor(DaskExecutor):
    """On a Dask cluster of one worker of its own, a process, which goes with it."""

    def __init__(self, cpus: float, resources: Mapping[str, float]) -> None:
        self._cluster = distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=int(cpus),
            resources=dict(resources),
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        )
        super().__init__(self._cluster.scheduler_address)

    def close(self) -> None:
        super().close()
        self._cluster.close()


class TestDask(ExecutorContract):
    @staticmethod
    def make_executor(
        *, cpus: float, gpus: float = 0, resources: Mapping[str, float] | None = None
    ) -> LocalDaskExecutor:
        return LocalDaskExecutor(cpus, {"GPU": gpus, **(resources or {})})
