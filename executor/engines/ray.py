"""Trials on a Ray cluster: a site on each of its nodes, in an actor of Ray's, and a placement group for what is held.

The group keeps Ray from giving to others what our calls use, and the gpus that it was given are theirs. The calls
themselves run in processes of our own beside the actor, so that one that dies leaves its neighbours alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from executor.devices import Shares
from executor.engines.fleet import SiteFleet
from executor.engines.site import Site
from executor.errors import ClusterError
from executor.holdings import Holding
from executor.hosting.executor import RemoteExecutor
from executor.hosting.messages import Report
from executor.hosting.runtime_env import RuntimeEnv
from executor.messages import Reservation, RoomAdded
from executor.resources import Node, Resources

_log = logging.getLogger(__name__)

_WHOLE = 10_000
_LOOK_S = 2.0
_ANSWER_S = 60.0
_PLACED_S = 3.0
_AGAIN_S = 0.1
_UNCLAIMED_S = 5.0
_KINDS = {"CPU": "cpu", "GPU": "gpu", "memory": "memory"}
_THEIRS = ("node:", "object_store_memory", "accelerator_type:")


@dataclass(slots=True)
class Wanted:
    """A placement group that Ray had no room for. It keeps its place among those that wait there."""

    bundles: list[dict[str, float]]
    group: Any
    granted_at: float | None = None
    """When Ray was seen to have room for it."""


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
        self._wanted: Wanted | None = None
        self._wanted_lock = threading.Lock()
        self._done = threading.Event()
        self._look()
        threading.Thread(target=self._watch, name="audition-ray", daemon=True).start()

    def _watch(self) -> None:
        while not self._done.wait(_LOOK_S):
            try:
                found = self._look() or self._wanted_is_there()
            except Exception:  # noqa: BLE001 - the cluster cannot be reached just now
                continue
            if found and not self._closed:
                self._arrive([RoomAdded()])

    def _wanted_is_there(self) -> bool:
        """Whether Ray has room by now for what it had none for; it gets it back when nobody asks for it again."""
        wanted = self._wanted
        if wanted is None or not wanted.group.wait(timeout_seconds=_AGAIN_S):
            return False
        now = time.monotonic()
        wanted.granted_at = wanted.granted_at or now
        if now - wanted.granted_at < _UNCLAIMED_S:
            return True
        with self._wanted_lock:
            if self._wanted is not wanted:
                return False
            self._wanted = None
        self._ray.util.remove_placement_group(wanted.group)
        return False

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
        self._ray.get(site.survey.remote(0), timeout=_ANSWER_S)
        self._sites[name], self._hosts[name] = site, f"node:{address}"
        self.settle(Node(name, Resources.of(amounts)), ())  # which gpus a call gets is Ray's to say

    def place(self, holding: Holding) -> Holding | None:
        """Hold the room in Ray's books too, and take the gpus that it gives; none when others use it there."""
        reservation = holding.reservation
        theirs = {ours: ray for ray, ours in _KINDS.items()}
        bundles = [
            {**{theirs.get(kind, kind): amount for kind, amount in bundle.as_dict().items()}, self._hosts[node]: 0.001}
            for bundle, node in zip(reservation.request.bundles, reservation.nodes, strict=True)
        ]
        group = self._wanted_before(bundles)
        within_s = _AGAIN_S if group else _PLACED_S
        group = group or self._ray.util.placement_group(bundles, strategy="PACK")
        try:
            if not group.wait(timeout_seconds=within_s):
                self._wanted = Wanted(bundles, group)
                return None
            placed = replace(holding, gpus=self._gpus_of(group, reservation))
        except self._ray.exceptions.RayError:  # a node of it is gone
            _log.warning("room on %s could not be had", ", ".join(reservation.nodes), exc_info=True)
            self._ray.util.remove_placement_group(group)
            return None
        except BaseException:
            self._ray.util.remove_placement_group(group)
            raise
        self._groups[reservation.reservation_id] = group
        return placed

    def _wanted_before(self, bundles: list[dict[str, float]] | None) -> Any:
        """The group that waits for room for these bundles; one that waits for others is given up."""
        with self._wanted_lock:
            wanted, self._wanted = self._wanted, None
        if wanted is not None and wanted.bundles == bundles:
            return wanted.group
        if wanted is not None:
            self._ray.util.remove_placement_group(wanted.group)
        return None

    def _gpus_of(self, group: Any, reservation: Reservation) -> tuple[Shares | None, ...]:
        """The gpus that Ray has given to each bundle of a group, as a task in the bundle sees them."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        asked = {
            number: self._ray.remote(_assigned_gpus)
            .options(
                num_cpus=0,
                num_gpus=bundle["gpu"],
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=number),
            )
            .remote()
            for number, bundle in enumerate(reservation.request.bundles)
            if bundle["gpu"]
        }
        found = dict(zip(asked, self._ray.get(list(asked.values()), timeout=_ANSWER_S), strict=True))
        with_gpus = {node.name for node in self.nodes() if node.capacity["gpu"]}
        return tuple(
            tuple((name, _WHOLE) for name in found.get(number, ())) if node in with_gpus else None
            for number, node in enumerate(reservation.nodes)
        )

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
        self._wanted_before(None)
        for number in list(self._groups):
            self.settled(number)
        self._sites.clear()


def _assigned_gpus() -> list[str]:
    """Runs as a task of Ray's: its gpus, as ``CUDA_VISIBLE_DEVICES`` knows them."""
    import ray

    return [str(name) for name in ray.get_gpu_ids()]


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
        try:
            super().__init__(RayFleet(ray, usable), runtime_env)
        except BaseException:
            self._leave_ray()
            raise

    def close(self) -> None:
        super().close()
        self._leave_ray()

    def _leave_ray(self) -> None:
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None
