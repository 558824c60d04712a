"""What is free on the nodes: requests take room and give it back. Pure.

`Room` remembers enough of its answers that neither a full cluster nor one of many nodes makes the next answer slow.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from executor.assignment import able, assign
from executor.errors import InfeasibleRequestError
from executor.labels import without
from executor.resources import Node, Request, Resources, shown

_MOST_NODES_SHOWN = 5


class Room:
    """What is free on `nodes`, whose names differ."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._capacity = {node.name: node.capacity for node in nodes}
        if len(self._capacity) < len(nodes):
            twice = [name for name, count in Counter(node.name for node in nodes).items() if count > 1]
            raise ValueError(f"node names must differ, these are used twice: {', '.join(twice)}")
        self._free = dict(self._capacity)
        self._held: Counter[str] = Counter()
        self._feasible: set[Request] = set()
        self._refused: set[Request] = set()
        self._candidates: dict[Resources, _Candidates] = {}

    def add(self, node: Node) -> None:
        """There is one more node, all of it free."""
        if node.name in self._capacity:
            raise ValueError(f"node names must differ, there is a {node.name!r} already")
        self._capacity[node.name] = self._free[node.name] = node.capacity
        self._forget_answers()

    def remove(self, name: str) -> None:
        """A node is gone, with all that was taken there."""
        del self._capacity[name], self._free[name], self._held[name]
        self._forget_answers()

    def _forget_answers(self) -> None:
        self._feasible.clear()
        self._refused.clear()
        self._candidates.clear()

    def free(self) -> dict[str, Resources]:
        """What is free on each node."""
        return dict(self._free)

    def reserve(self, request: Request, avoid: Collection[str] = ()) -> tuple[str, ...] | None:
        """A node for each bundle of `request`, taken from what is free; None when it does not fit just now.

        Nodes in `avoid` are left out.

        Raises:
            InfeasibleRequestError: it would not fit even if every node were idle.
        """
        names = self._reserve_beside(request, avoid) if avoid else self._reserve(request)
        for bundle, name in zip(request.bundles, names or (), strict=names is not None):
            self._free[name] -= bundle
            self._held[name] += 1
        return names

    def _reserve_beside(self, request: Request, avoid: Collection[str]) -> tuple[str, ...] | None:
        capacity = {name: room for name, room in self._capacity.items() if name not in avoid}
        if assign(request, capacity) is None:
            raise InfeasibleRequestError(why_infeasible(request, capacity))
        return assign(request, {name: self._free[name] for name in capacity})

    def _reserve(self, request: Request) -> tuple[str, ...] | None:
        if request in self._refused:  # nothing was given back since it last did not fit
            return None
        if request not in self._feasible:
            self._check_feasible(request)
        names = self._found(request)
        if names is None:
            self._refused.add(request)
        return names

    def take(self, request: Request, nodes: Sequence[str]) -> None:
        """Take room for `request` on `nodes`, where whoever reserved it before says that it is.

        Raises:
            ValueError: it is not free.
        """
        for bundle, name in zip(request.bundles, nodes, strict=True):
            if name in self._free:
                self._free[name] -= bundle
                self._held[name] += 1

    def give_back(self, request: Request, nodes: Sequence[str]) -> None:
        """Free again what `reserve` took for `request` on `nodes`, those that are still there."""
        for bundle, name in zip(request.bundles, nodes, strict=True):
            if name in self._free:
                self._free[name] += bundle
                self._held[name] -= 1
        self._refused.clear()
        for candidates in self._candidates.values():
            candidates.add(nodes)

    def withhold(self, node: str, less: Resources, more: Resources) -> None:
        """Have `less` of a node's free room to give from now on than just now, and `more`, though nobody holds it."""
        self._free[node] = self._free[node] + more - less
        self._refused.clear()
        for candidates in self._candidates.values():
            candidates.add((node,))

    def _check_feasible(self, request: Request) -> None:
        if assign(request, self._capacity) is None:
            raise InfeasibleRequestError(why_infeasible(request, self._capacity))
        self._feasible.add(request)

    def _found(self, request: Request) -> tuple[str, ...] | None:
        if len(request.bundles) > 1:
            return assign(request, self._free)
        return self._emptiest(request.bundles[0]) if request.strategy == "SPREAD" else self._first_fit(request)

    def _emptiest(self, bundle: Resources) -> tuple[str] | None:
        """The node of which the least is taken, also by those before that took nothing that is counted."""
        names = able(bundle, self._free)
        return (min(names, key=self._burden),) if names else None

    def _burden(self, name: str) -> tuple[float, int]:
        free, capacity = self._free[name], self._capacity[name]
        return max((1 - free[kind] / capacity[kind] for kind in capacity), default=0.0), self._held[name]

    def _first_fit(self, request: Request) -> tuple[str] | None:
        (bundle,) = request.bundles
        candidates = self._candidates.get(bundle)
        if candidates is None:
            candidates = self._candidates[bundle] = _Candidates(bundle, self._capacity)
        name = candidates.first(self._free)
        return None if name is None else (name,)


class _Candidates:
    """The nodes that one bundle may fit on, best first: those which have the fewest kinds that it does not ask for.

    Every node on which it fits is among them. One that turns out to be full leaves until something is given back there,
    so that a busy cluster of many nodes is not searched from end to end each time.
    """

    def __init__(self, bundle: Resources, capacity: Mapping[str, Resources]) -> None:
        self._bundle = bundle
        self._rank = {name: (place, name) for place, name in enumerate(able(bundle, capacity))}
        self._heap = list(self._rank.values())
        self._inside = set(self._rank)

    def first(self, free: Mapping[str, Resources]) -> str | None:
        while self._heap:
            name = self._heap[0][1]
            if self._bundle.fits(free[name]):
                return name
            heapq.heappop(self._heap)
            self._inside.discard(name)
        return None

    def add(self, names: Sequence[str]) -> None:
        for name in names:
            if name in self._rank and name not in self._inside:
                heapq.heappush(self._heap, self._rank[name])
                self._inside.add(name)


def why_infeasible(request: Request, capacity: Mapping[str, Resources]) -> str:
    """What was asked and what there is, for a request that nodes of this capacity can never hold."""
    request = replace(request, bundles=tuple(map(without, request.bundles)))
    capacity = {name: without(room) for name, room in capacity.items()}
    bundles, strict_pack = request.bundles, request.strategy == "STRICT_PACK"
    if len(bundles) == 1 or strict_pack:
        together = f", all {len(bundles)} bundles together (STRICT_PACK)" if len(bundles) > 1 else ""
        return (
            f"no node can ever hold one trial: it asks for {request.total}{together}; {_shown(request.total, capacity)}"
        )
    for bundle in bundles:
        if not able(bundle, capacity):
            return f"no node can ever hold a bundle of {bundle} of the request {request}; {_shown(bundle, capacity)}"
    if request.strategy == "STRICT_SPREAD":
        reason = f"STRICT_SPREAD asks for {len(bundles)} different nodes that fit its {len(bundles)} bundles"
    else:
        reason = "each of its bundles fits on some node, but not all of them at once"
    return f"the nodes can never hold the request {request}: {reason}; {_shown(Resources(), capacity)}"


def _shown(asked: Resources, capacity: Mapping[str, Resources]) -> str:
    """What each node has and lacks of `asked`; nodes that are alike are told once."""
    if not capacity:
        return "there are no nodes"
    alike: dict[Resources, list[str]] = {}
    for name, room in capacity.items():
        alike.setdefault(room, []).append(name)
    told = [_one_shown(asked, names, room) for room, names in alike.items()]
    hidden = len(told) - _MOST_NODES_SHOWN
    return "; ".join(told[:_MOST_NODES_SHOWN]) + (f"; and {hidden} more kinds of node" if hidden > 0 else "")


def _one_shown(asked: Resources, names: Sequence[str], room: Resources) -> str:
    who = f"{names[0]} has" if len(names) == 1 else f"{names[0]} and {len(names) - 1} like it have"
    missing = [f"{shown(kind, asked[kind] - room[kind])} {kind}" for kind in asked if asked[kind] > room[kind]]
    return f"{who} {room}" + (f" ({', '.join(missing)} missing)" if missing else "")
