"""Who holds which part of what there is: leases on nodes, or on the bundles that placement groups have reserved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from executor import labels
from executor.assignment import assign
from executor.devices import Devices, Shares
from executor.errors import InfeasibleRequestError
from executor.library.plans import Plan
from executor.placement import Room, why_infeasible
from executor.resources import Node, Request, Resources

FindRoom = Callable[[], bool]
"""Frees what somebody holds without need; whether there was anything."""


@dataclass(slots=True, eq=False)
class Lease:
    """What one worker holds on a node; its cpus are lent while it waits."""

    area: Area
    request: Request
    node: str
    gpus: Shares | None
    lent: Request | None = None

    @property
    def devices(self) -> str | None:
        """The gpus in it, as ``CUDA_VISIBLE_DEVICES`` has them; None where gpus have no names."""
        return None if self.gpus is None else ",".join(name for name, _ in self.gpus)

    @property
    def cpus(self) -> Request:
        """What of it can be lent."""
        return Request((Resources.of(cpu=self.request.bundles[0]["cpu"]),))

    def end(self) -> None:
        """Give it back."""
        self.area.give_back(self)

    def lend(self) -> bool:
        """Let others have its cpus for now; whether that gives them any that they had not before."""
        return self.lent is None and bool(self.request.bundles[0]["cpu"]) and self.area.lend(self)

    def take_back(self, find_room: FindRoom) -> None:
        """End the loan if the cpus are free; otherwise the worker goes on without, which nobody waits for."""
        while self.lent is not None and not self.area.take_back(self):
            if not find_room():
                return


class Area(ABC):
    """Something that leases are taken from."""

    @abstractmethod
    def give_back(self, lease: Lease) -> None:
        """End a lease."""

    @abstractmethod
    def lend(self, lease: Lease) -> bool:
        """Let others have the cpus of a lease, which has some that are not lent."""

    @abstractmethod
    def take_back(self, lease: Lease) -> bool:
        """Have the cpus of a lease that are lent for it again, if they are free."""


class Bundle(Area):
    """So much of one node, given out here: all of this machine, or a bundle that a placement group has reserved."""

    def __init__(self, node: Node, devices: Devices | None) -> None:
        self._node = node
        self._room = Room([node])
        self._devices = devices
        self._cpus: dict[Request, Request] = {}

    @property
    def node(self) -> Node:
        """Where it is, with what is in it."""
        return self._node

    def free(self) -> Resources:
        """What nobody holds of it."""
        return self._room.free()[self._node.name]

    def take(self, request: Request) -> Lease | None:
        """All of `request`, or None when it does not fit just now.

        Raises:
            InfeasibleRequestError: it would not fit even if all were free.
        """
        if self._room.reserve(request) is None:
            return None
        shares: Shares | None = None
        if self._devices is not None:
            shares = self._devices.take(request.bundles[0]["gpu"])
            if shares is None:
                self._room.give_back(request, (self._node.name,))
                return None
        return Lease(self, request, self._node.name, shares)

    def give_back(self, lease: Lease) -> None:
        self._room.give_back(lease.request if lease.lent is None else _rest(lease.request), (self._node.name,))
        if lease.gpus:
            assert self._devices is not None
            self._devices.give_back(lease.gpus)

    def lend(self, lease: Lease) -> bool:
        lease.lent = self._cpus.setdefault(lease.request, lease.cpus)
        self._room.give_back(lease.lent, (self._node.name,))
        return True

    def take_back(self, lease: Lease) -> bool:
        assert lease.lent is not None
        if self._room.reserve(lease.lent) is None:
            return False
        lease.lent = None
        return True


class LostBundle(Bundle):
    """One whose node is gone: who asks for room in it waits for another in its place, or is told why there is none."""

    def __init__(self, node: Node) -> None:
        super().__init__(node, None)
        self.why_not_elsewhere = ""

    def take(self, request: Request) -> Lease | None:
        if self.why_not_elsewhere:
            raise InfeasibleRequestError(
                f"this bundle of the placement group was on node {self.node.name}, which was lost, and no other node "
                f"can hold it: {self.why_not_elsewhere}"
            )
        return None


def _rest(request: Request) -> Request:
    """What is left of a request when its cpus are lent."""
    (bundle,) = request.bundles
    return Request((bundle - Resources.of(cpu=bundle["cpu"]),))


class Ledger(ABC):
    """All leases, and the bundles of placement groups."""

    is_shared = False
    """Whether what is held here without need is kept from others, who cannot ask us for it."""

    def __init__(self) -> None:
        self._bundles: dict[int, list[Bundle]] = {}

    @abstractmethod
    def nodes(self) -> Sequence[Node]:
        """The nodes there are, with all that each has."""

    @abstractmethod
    def free(self) -> Resources:
        """What nobody holds, of all nodes together. Where the ledger is shared it takes as long as its head does.

        Raises:
            ClusterError: nobody can tell.
        """

    @abstractmethod
    def check(self, plan: Plan) -> None:
        """Raise for what can never run outside of placement groups.

        Raises:
            InfeasibleRequestError: says what was asked and what there is.
        """

    @abstractmethod
    def reserve_group(self, group: int, request: Request, find_room: FindRoom) -> bool:
        """Reserve the bundles of a placement group, all or nothing.

        Raises:
            InfeasibleRequestError: they can never be held.
        """

    @abstractmethod
    def free_group(self, group: int) -> None:
        """Give a placement group's bundles back; nothing may be leased there any more."""

    def replace_lost(self, find_room: FindRoom) -> None:
        """Reserve others in the place of bundles whose nodes are gone, as far as there is room."""

    @abstractmethod
    def _lease(self, plan: Plan, find_room: FindRoom) -> Lease | None:
        """`lease` outside of placement groups."""

    @abstractmethod
    def counts(self, lease: Lease) -> bool:
        """Whether what a lease holds would be free for all if it ended."""

    def look_again(self, now: float) -> float | None:
        """Have what was not to be had asked for anew, if it is time to; how long until it is."""
        return None

    def lease(self, plan: Plan, find_room: FindRoom) -> Lease | None:
        """What a plan asks for, in its place. None: it has to wait.

        Raises:
            InfeasibleRequestError: no node has room for it, nor will have.
        """
        if plan.spot is None:
            return self._lease(plan, find_room)
        while True:
            areas = self.areas(plan.spot.group, plan.spot.bundle)
            refusals = []
            for area in areas:
                try:
                    lease = area.take(plan.request)
                except InfeasibleRequestError as error:
                    refusals.append(error)  # it is too small, another one is not: it was checked; unless that is lost
                    continue
                if lease is not None:
                    return lease
            if refusals and len(refusals) == len(areas):
                raise next(why for why, area in zip(refusals, areas, strict=True) if isinstance(area, LostBundle))
            if not find_room():
                return None

    def areas(self, group: int, bundle: int = -1) -> Sequence[Bundle]:
        """The bundles of a placement group, or the one of that number; none while it waits for its own room."""
        if group not in self._bundles:
            return ()
        areas = self._bundles[group]
        return areas if bundle < 0 else (areas[bundle],)

    def total(self) -> Resources:
        """All that there is."""
        return labels.without(sum((node.capacity for node in self.nodes()), Resources()))


class OwnLedger(Ledger):
    """The books of this machine, which nobody else uses."""

    def __init__(self, node: Node, devices: Devices | None) -> None:
        super().__init__()
        self._node = node
        self._all = Bundle(node, devices)
        self._held: dict[int, list[Lease]] = {}

    def nodes(self) -> Sequence[Node]:
        return (self._node,)

    def free(self) -> Resources:
        return labels.without(self._all.free())

    def counts(self, lease: Lease) -> bool:
        return lease.area is self._all and lease.lent is None

    def check(self, plan: Plan) -> None:
        check_labels(plan, self.nodes())
        check_room(plan.request, self.nodes(), plan.name)

    def reserve_group(self, group: int, request: Request, find_room: FindRoom) -> bool:
        check_room(request, self.nodes())
        while (leases := self._take_all(request)) is None:
            if not find_room():
                return False
        self._held[group] = leases
        self._bundles[group] = [
            Bundle(
                Node(self._node.name, lease.request.bundles[0]),
                None if lease.gpus is None else Devices.of_shares(lease.gpus),
            )
            for lease in leases
        ]
        return True

    def _take_all(self, request: Request) -> list[Lease] | None:
        taken: list[Lease] = []
        for bundle in request.bundles:
            lease = self._all.take(Request((bundle,)))
            if lease is None:
                for earlier in taken:
                    earlier.end()
                return None
            taken.append(lease)
        return taken

    def free_group(self, group: int) -> None:
        del self._bundles[group]
        for lease in self._held.pop(group):
            lease.end()

    def _lease(self, plan: Plan, find_room: FindRoom) -> Lease | None:
        while (lease := self._all.take(plan.request)) is None:
            if not find_room():
                return None
        return lease


def check_labels(plan: Plan, nodes: Sequence[Node]) -> None:
    """Raise when none of the nodes is called as a plan wants it.

    Raises:
        InfeasibleRequestError: says what they are called.
    """
    has = {node.name: labels.called(node.capacity) for node in sorted(nodes, key=lambda node: node.name)}
    missing = [f"{key}={value}" for key, value in plan.labels if all(its.get(key) != value for its in has.values())]
    if missing:
        told = "; ".join(f"{name} has {its}" for name, its in has.items()) or "there are no nodes"
        raise InfeasibleRequestError(f"{plan.name}: no node has the label {', '.join(missing)}; {told}")


def check_room(request: Request, nodes: Sequence[Node], name: str = "") -> None:
    """Raise when the nodes could not hold a request even if all were idle.

    Raises:
        InfeasibleRequestError: says what was asked and what there is.
    """
    capacity = {node.name: node.capacity for node in nodes}
    if assign(request, capacity) is None:
        why = why_infeasible(request, capacity)
        raise InfeasibleRequestError(f"{name}: {why}" if name else why)
