"""Who holds which part of this machine: leases on the node itself, or on a bundle that a placement group reserved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from executor.devices import Devices, Shares
from executor.errors import InfeasibleRequestError
from executor.library.plans import Plan
from executor.placement import Room
from executor.resources import Node, Request, Resources


@dataclass(slots=True, eq=False)
class Lease:
    """What one worker, or one placement group, holds; its cpus are lent while it waits."""

    area: Area
    request: Request
    nodes: tuple[str, ...]
    gpus: tuple[Shares, ...]
    lent: Request | None = None

    @property
    def devices(self) -> str:
        """The gpus in it, as ``CUDA_VISIBLE_DEVICES`` has them."""
        return ",".join(name for shares in self.gpus for name, _ in shares)


@dataclass(slots=True, eq=False)
class Area:
    """Something that leases are taken from."""

    room: Room
    devices: Devices | None
    name: str = ""
    _cpus: dict[Request, Request] = field(default_factory=dict)

    @classmethod
    def of(cls, node: Node, devices: Devices | None) -> Area:
        """The area that is all of `node`."""
        return cls(Room([node]), devices, node.name)

    def take(self, request: Request) -> Lease | None:
        """All of `request`, or None when it does not fit just now.

        Raises:
            InfeasibleRequestError: it would not fit even if all were free.
        """
        nodes = self.room.reserve(request)
        if nodes is None:
            return None
        gpus = self._take_gpus(request)
        if gpus is None:
            self.room.give_back(request, nodes)
            return None
        return Lease(self, request, nodes, gpus)

    def _take_gpus(self, request: Request) -> tuple[Shares, ...] | None:
        if self.devices is None:
            return ()
        taken: list[Shares] = []
        for bundle in request.bundles:
            shares = self.devices.take(bundle["gpu"])
            if shares is None:
                for earlier in taken:
                    self.devices.give_back(earlier)
                return None
            taken.append(shares)
        return tuple(taken)

    def give_back(self, lease: Lease) -> None:
        """End a lease."""
        self.room.give_back(lease.request if lease.lent is None else _rest(lease.request), lease.nodes)
        for shares in lease.gpus:
            assert self.devices is not None
            self.devices.give_back(shares)

    def lend(self, lease: Lease) -> bool:
        """Let others have the cpus of a lease for now; whether that gives them any that they had not before."""
        if lease.lent is not None:
            return False
        cpus = self._cpus_of(lease.request)
        if not cpus.bundles[0]:
            return False
        lease.lent = cpus
        self.room.give_back(cpus, lease.nodes)
        return True

    def take_back(self, lease: Lease, find_room: Callable[[], bool]) -> None:
        """End the loan if the cpus are free; otherwise the worker goes on without, which nobody waits for."""
        while lease.lent is not None:
            if self.room.reserve(lease.lent) is not None:
                lease.lent = None
            elif not find_room():
                return

    def _cpus_of(self, request: Request) -> Request:
        if request not in self._cpus:
            self._cpus[request] = Request((Resources.of(cpu=request.bundles[0]["cpu"]),))
        return self._cpus[request]


def _rest(request: Request) -> Request:
    """What is left of a request when its cpus are lent."""
    (bundle,) = request.bundles
    return Request((bundle - Resources.of(cpu=bundle["cpu"]),))


class Ledger:
    """The areas of one machine: the node, and the bundles of its placement groups."""

    def __init__(self, node: Node, devices: Devices | None, labels: Mapping[str, str]) -> None:
        self.node = node
        self.labels = dict(labels)
        self.all = Area.of(node, devices)
        self._bundles: dict[int, tuple[Lease, list[Area]]] = {}

    def reserve_group(self, group: int, request: Request) -> bool:
        """Reserve the bundles of a placement group, all or nothing.

        Raises:
            InfeasibleRequestError: this machine can never hold them.
        """
        lease = self.all.take(request)
        if lease is None:
            return False
        areas = []
        for index, bundle in enumerate(request.bundles):
            devices = Devices.of_shares(lease.gpus[index]) if lease.gpus else None
            areas.append(Area.of(Node(f"bundle {index} of placement group {group}", bundle), devices))
        self._bundles[group] = lease, areas
        return True

    def free_group(self, group: int) -> None:
        """Give a placement group's bundles back; nothing may be leased there any more."""
        lease, _ = self._bundles.pop(group)
        lease.area.give_back(lease)

    def lease(self, plan: Plan, find_room: Callable[[], bool]) -> Lease | None:
        """What a plan asks for, in its place; `find_room` frees what others hold without need. None: it has to wait."""
        while True:
            for area in self._places(plan):
                try:
                    lease = area.take(plan.request)
                except InfeasibleRequestError:
                    continue  # this bundle is too small, another one is not: it was checked when it was submitted
                if lease is not None:
                    return lease
            if not find_room():
                return None

    def _places(self, plan: Plan) -> Sequence[Area]:
        return self.areas(plan.spot.group, plan.spot.bundle) if plan.spot else self.areas(None)

    def areas(self, group: int | None, bundle: int = -1) -> Sequence[Area]:
        """Where a request of that place may be met: none while the group waits for its own room."""
        if group is None:
            return (self.all,)
        if group not in self._bundles:
            return ()
        areas = self._bundles[group][1]
        return areas if bundle < 0 else (areas[bundle],)

    def free(self) -> Resources:
        """What is free of the node itself."""
        return self.all.room.free()[self.node.name]
