"""Trials on a Dask cluster: one site on each of its workers, in an actor of Dask's.

Dask places by threads: a worker's `nthreads` are its cpus, its memory limit its memory, and what it was started with
as `--resources` the rest. Our calls run in processes of our own beside it, so that one that dies leaves its neighbours
alone.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from executor.engines.fleet import SiteFleet
from executor.engines.site import Site
from executor.errors import ClusterError
from executor.hosting.executor import RemoteExecutor
from executor.hosting.messages import Report
from executor.hosting.runtime_env import RuntimeEnv
from executor.messages import RoomAdded
from executor.resources import Node, Resources

_LOOK_S = 2.0
_ANSWER_S = 30.0
_KINDS = {"CPU": "cpu", "GPU": "gpu", "MEMORY": "memory"}


class DaskFleet(SiteFleet):
    """The workers of the cluster that `client`, a `distributed.Client`, is connected to; also those that come later."""

    def __init__(self, client: Any) -> None:
        super().__init__()
        self._client = client
        self._sites: dict[str, Any] = {}
        self._done = threading.Event()
        self._look()
        threading.Thread(target=self._watch, name="audition-dask", daemon=True).start()

    def _watch(self) -> None:
        while not self._done.wait(_LOOK_S):
            try:
                found = self._look()
            except Exception:  # noqa: BLE001 - the scheduler cannot be reached just now
                continue
            if found and not self._closed:
                self._arrive([RoomAdded()])

    def _look(self) -> bool:
        """Have a site on each worker that has none; whether there were any."""
        workers: Mapping[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        fresh = [address for address in workers if address not in self._sites]
        for address in fresh:
            if not self._done.is_set():
                self._open(address, workers[address])
        return bool(fresh)

    def _open(self, address: str, worker: Mapping[str, Any]) -> None:
        amounts = {_KINDS.get(kind.upper(), kind): amount for kind, amount in worker.get("resources", {}).items()}
        amounts = {"cpu": worker["nthreads"], "memory": worker["memory_limit"], **amounts}
        future = self._client.submit(
            Site, worker["host"], actor=True, pure=False, workers=[address], allow_other_workers=False
        )
        site = future.result(timeout=_ANSWER_S)
        with self._client.as_current():  # an actor looks for its client at its first call, and keeps it
            surveyed = site.survey(amounts.get("gpu", 0)).result(timeout=_ANSWER_S)
        self._sites[address] = site
        self.settle(Node(address, Resources.of(amounts)), surveyed.gpus)

    def deliver(self, node: str, orders: list[bytes]) -> None:
        self._sites[node].take(orders).result()

    def collect(self, node: str) -> Sequence[Report]:
        found: list[Report] = self._sites[node].collect().result()
        return found

    def end(self, node: str) -> None:
        self._sites.pop(node).close().result(timeout=_ANSWER_S)

    def leave(self) -> None:
        self._done.set()
        super().leave()
        self._sites.clear()


class DaskExecutor(RemoteExecutor):
    """An executor on a Dask cluster: `target` is a scheduler's address, ``"host:8786"``, or a `distributed.Client`.

    Raises:
        ClusterError: Dask is not installed, or no scheduler answers there.
    """

    def __init__(self, target: Any, *, runtime_env: RuntimeEnv | None = None) -> None:
        try:
            import distributed as dask
        except ImportError:
            raise ClusterError("Dask is not installed: pip install 'audition[dask]'") from None
        self._own: Any = None
        if not isinstance(target, dask.Client):
            try:
                target = self._own = dask.Client(target, set_as_default=False)  # type: ignore[no-untyped-call]
            except OSError as error:
                raise ClusterError(f"no Dask scheduler answers at {target}: {error}") from None
        try:
            super().__init__(DaskFleet(target), runtime_env)
        except BaseException:
            self._leave_dask()
            raise

    def close(self) -> None:
        super().close()
        self._leave_dask()

    def _leave_dask(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None
