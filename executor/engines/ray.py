"""Trials on a Ray cluster: a site on each of its nodes, in an actor of Ray's, and a placement group for what is held.

The group keeps Ray from giving to others what our calls use; the calls themselves run in processes of our own beside
the actor, so that one that dies leaves its neighbours alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from executor.engines.fleet import SiteFleet
from executor.engines.site import Site
from executor.errors import ClusterError
from executor.hosting.executor import RemoteExecutor
from executor.hosting.messages import Report
from executor.hosting.runtime_env import RuntimeEnv
from executor.messages import Reservation, RoomAdded
from executor.resources import Node, Request, Resources

_LOOK_S = 2.0
_ANSWER_S = 60.0
_PLACED_S = 10.0
_KINDS = {"CPU": "cpu", "GPU": "gpu", "memory": "memory"}
_THEIRS = ("node:", "object_store_memory", "accelerator_type:")


class RayFleet(SiteFleet):
    """The nodes of the cluster that `ray`, the module, is connected to; also those that come later.

    `usable` says of a node, as `ray.nodes()` shows it, whether we may run there.
    """

    def __init__(self, ray: Any, usable: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> None:
        super().__init__()
        self._ray = ray
        self._usable = usable
        self._sites: dict[str, Any] = {}
        self._hosts: dict[str, str] = {}
        self._groups: dict[int, Any] = {}
        self._done = threading.Event()
        self._look()
        threading.Thread(target=self._watch, name="audition-ray", daemon=True).start()

    def _watch(self) -> None:
        while not self._done.wait(_LOOK_S):
            try:
                found = self._look()
            except Exception:  # noqa: BLE001 - the cluster cannot be reached just now
                continue
            if found and not self._closed:
                self._arrive([RoomAdded()])

    def _look(self) -> bool:
        """Have a site on each node that has none; whether there were any."""
        nodes = [node for node in self._ray.nodes() if node["Alive"] and self._usable(node)]
        fresh = [node for node in nodes if node["NodeID"] not in self._sites]
        for node in fresh:
            if not self._done.is_set():
                self._open(node)
        return bool(fresh)

    def _open(self, node: Mapping[str, Any]) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        name, address = node["NodeID"], node["NodeManagerAddress"]
        there = NodeAffinitySchedulingStrategy(name, soft=False)
        actor = self._ray.remote(Site).options(num_cpus=0, scheduling_strategy=there, max_concurrency=100)
        site = actor.remote(address)
        amounts = {
            _KINDS.get(kind, kind): amount for kind, amount in node["Resources"].items() if not kind.startswith(_THEIRS)
        }
        surveyed = self._ray.get(site.survey.remote(amounts.get("gpu", 0)), timeout=_ANSWER_S)
        self._sites[name], self._hosts[name] = site, f"node:{address}"
        self.settle(Node(name, Resources.of(amounts)), surveyed.gpus)

    def reserve(self, request: Request, avoid: Collection[str] = ()) -> Reservation | None:
        """Hold room in our books and in Ray's; none when others use it there."""
        reservation = super().reserve(request, avoid)
        if reservation is None:
            return None
        theirs = {ours: ray for ray, ours in _KINDS.items()}
        bundles = [
            {**{theirs.get(kind, kind): amount for kind, amount in bundle.as_dict().items()}, self._hosts[node]: 0.001}
            for bundle, node in zip(request.bundles, reservation.nodes, strict=True)
        ]
        group = self._ray.util.placement_group(bundles, strategy="PACK")
        if group.wait(timeout_seconds=_PLACED_S):
            self._groups[reservation.reservation_id] = group
            return reservation
        self._ray.util.remove_placement_group(group)
        self.withdraw(reservation)
        return None

    def settled(self, reservation_id: int) -> None:
        """Nothing of a reservation is in use any more."""
        if (group := self._groups.pop(reservation_id, None)) is not None:
            self._ray.util.remove_placement_group(group)

    def deliver(self, node: str, orders: list[bytes]) -> None:
        self._ray.get(self._sites[node].take.remote(orders))

    def collect(self, node: str) -> Sequence[Report]:
        found: list[Report] = self._ray.get(self._sites[node].collect.remote())
        return found

    def end(self, node: str) -> None:
        site = self._sites.pop(node)
        self._ray.get(site.close.remote(), timeout=_ANSWER_S)
        self._ray.kill(site)

    def leave(self) -> None:
        self._done.set()
        super().leave()
        for number in list(self._groups):
            self.settled(number)
        self._sites.clear()


class RayExecutor(RemoteExecutor):
    """An executor on the Ray cluster that this process is connected to, at `address`, or on one that is started here.

    `usable` says of a node, as `ray.nodes()` shows it, whether we may run there.

    Raises:
        ClusterError: Ray is not installed, or no cluster answers there.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        usable: Callable[[Mapping[str, Any]], bool] = lambda _: True,
        runtime_env: RuntimeEnv | None = None,
    ) -> None:
        try:
            import ray
        except ImportError:
            raise ClusterError("Ray is not installed: pip install 'audition[ray]'") from None
        self._ray = None
        if not ray.is_initialized():
            try:
                ray.init(address=address, log_to_driver=False, include_dashboard=False)
            except (ConnectionError, ValueError) as error:
                raise ClusterError(f"no Ray cluster answers at {address or 'this machine'}: {error}") from None
            self._ray = ray
        super().__init__(RayFleet(ray, usable), runtime_env)

    def close(self) -> None:
        super().close()
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None
