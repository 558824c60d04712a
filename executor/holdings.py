"""Who holds what: requests become reservations of room on nodes, with the gpus that are in it. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from executor.devices import Devices, Shares
from executor.errors import InfeasibleRequestError
from executor.messages import Reservation
from executor.placement import Room
from executor.resources import Node, Request, Resources


@dataclass(frozen=True, slots=True)
class Holding:
    """A reservation and the gpus in each of its bundles; None for a bundle on a node whose gpus have no names."""

    reservation: Reservation
    gpus: tuple[Shares | None, ...]

    def visible(self, bundle: int) -> str | None:
        """The gpus of a bundle as ``CUDA_VISIBLE_DEVICES`` says them; None to leave the variable as it is."""
        shares = self.gpus[bundle]
        return None if shares is None else ",".join(name for name, _ in shares)

    def is_on(self, node: str) -> bool:
        """Whether something of a node is held."""
        return node in self.reservation.nodes


class Holdings:
    """What is held on `nodes`, and what is free; `gpus` names the gpus of those nodes that have any.

    Reservations are numbered from `first`.
    """

    def __init__(
        self, nodes: Sequence[Node] = (), gpus: Mapping[str, Sequence[str]] | None = None, *, first: int = 1
    ) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._room = Room(nodes)
        self._devices = {name: Devices(names) for name, names in (gpus or {}).items() if names}
        self._withheld: dict[str, float] = {}
        self._numbers = itertools.count(first)

    def nodes(self) -> tuple[Node, ...]:
        """The nodes there are, with all that each has."""
        return tuple(self._nodes.values())

    def add(self, node: Node, gpus: Sequence[str] = ()) -> None:
        """There is one more node, with nothing held on it."""
        self._nodes[node.name] = node
        self._room.add(node)
        if gpus:
            self._devices[node.name] = Devices(gpus)

    def remove(self, name: str) -> None:
        """A node is gone; what was held there need not be given back, but may."""
        del self._nodes[name]
        self._room.remove(name)
        self._devices.pop(name, None)
        self._withheld.pop(name, None)

    def free(self) -> dict[str, Resources]:
        """What is free on each node."""
        return self._room.free()

    def reserve(self, request: Request, avoid: Collection[str] = ()) -> Holding | None:
        """Hold room for `request` on nodes not in `avoid`, all of it or none; None when it does not fit just now.

        Raises:
            InfeasibleRequestError: it would not fit even if everything were idle.
        """
        for bundle in request.bundles:
            if bundle["gpu"] > 1 and bundle["gpu"] % 1:
                raise InfeasibleRequestError(f"more than one gpu must be whole ones, got {bundle['gpu']:g}")
        nodes = self._room.reserve(request, avoid)
        if nodes is None:
            return None
        gpus = self._take_gpus(request, nodes)
        if gpus is None:
            self._room.give_back(request, nodes)
            return None
        return Holding(Reservation(next(self._numbers), request, nodes), gpus)

    def take(self, holding: Holding, node: str) -> None:
        """Hold again on `node` what was reserved before it was added, as its holder says.

        Raises:
            ValueError: somebody else holds it.
        """
        reservation = holding.reservation
        for bundle, name, shares in zip(reservation.request.bundles, reservation.nodes, holding.gpus, strict=True):
            if name == node:
                if shares and name in self._devices:
                    self._devices[name].take_these(shares)
                    self._settle(name)
                self._room.take(Request((bundle,)), (name,))

    def give_back(self, holding: Holding) -> None:
        """Free what was held, but for what is withheld."""
        self._room.give_back(holding.reservation.request, holding.reservation.nodes)
        self._give_gpus_back(holding.reservation.nodes, holding.gpus)
        for name in set(holding.reservation.nodes):
            self._settle(name)

    def withhold(self, node: str, gpus: Collection[str]) -> None:
        """Give no part of these gpus of a node from now on, but of all its others. What is held of them stays so."""
        if devices := self._devices.get(node):
            devices.withhold(gpus)
            self._settle(node)

    def _settle(self, node: str) -> None:
        """Have what is free of gpus that are not given no longer count as room."""
        devices = self._devices.get(node)
        if devices is None or devices.withheld == self._withheld.get(node, 0.0):
            return
        before = self._withheld.get(node, 0.0)
        self._withheld[node] = min(devices.withheld, before + self._room.free()[node]["gpu"])
        self._room.withhold(node, Resources.of(gpu=self._withheld[node]), Resources.of(gpu=before))

    def _take_gpus(self, request: Request, nodes: Sequence[str]) -> tuple[Shares | None, ...] | None:
        taken: list[Shares | None] = []
        for bundle, name in zip(request.bundles, nodes, strict=True):
            devices = self._devices.get(name)
            shares = devices.take(bundle["gpu"]) if devices else None
            if devices and shares is None:
                self._give_gpus_back(nodes, taken)
                return None
            taken.append(shares)
        return tuple(taken)

    def _give_gpus_back(self, nodes: Sequence[str], taken: Sequence[Shares | None]) -> None:
        for name, shares in zip(nodes, taken, strict=False):
            if shares and name in self._devices:
                self._devices[name].give_back(shares)
