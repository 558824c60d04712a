"""Which node gets which bundle: a request and what is free -> a node for every bundle, or none. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from executor.resources import Request, Resources

_MOST_TRIES = 5_000
"""How many placements of a single bundle one search may try; small cases need far fewer."""


def assign(request: Request, free: Mapping[str, Resources]) -> tuple[str, ...] | None:
    """A node for each bundle, by the strategy of `request`, or None when there is no such assignment.

    ``STRICT_PACK`` and ``STRICT_SPREAD`` are exact. ``PACK`` prefers one node and ``SPREAD`` a node each; where that
    cannot be, a search takes any assignment, nodes already in use first (``PACK``) or last (``SPREAD``). It gives up
    after a fixed number of tries, which only a dozen and more unlike bundles on nearly full nodes can need.
    """
    match request.strategy:
        case "STRICT_PACK":
            return _on_one_node(request, free)
        case "STRICT_SPREAD":
            return _on_a_node_each(request, free)
        case "PACK":
            return _on_one_node(request, free) or _Search(request, free, spread=False).run()
        case _:
            return _on_a_node_each(request, free) or _Search(request, free, spread=True).run()


def _on_one_node(request: Request, free: Mapping[str, Resources]) -> tuple[str, ...] | None:
    names = able(request.total, free)
    return (names[0],) * len(request.bundles) if names else None


def able(bundle: Resources, free: Mapping[str, Resources]) -> list[str]:
    """The nodes where `bundle` fits, those first that have the fewest kinds which it does not ask for."""
    asked = set(bundle)
    return sorted((n for n, room in free.items() if bundle.fits(room)), key=lambda n: len(set(free[n]) - asked))


def _on_a_node_each(request: Request, free: Mapping[str, Resources]) -> tuple[str, ...] | None:
    """Different nodes for all bundles: a matching of bundles and nodes, by augmenting paths."""
    bundles = request.bundles
    names_for = {bundle: able(bundle, free) for bundle in set(bundles)}
    if len(set().union(*names_for.values())) < len(bundles):
        return None
    bundle_on: dict[str, int] = {}

    def place(index: int, tried: set[str]) -> bool:
        names = [name for name in names_for[bundles[index]] if name not in tried]
        for name in sorted(names, key=bundle_on.__contains__):  # a node that is still empty moves nobody
            if name in tried:
                continue
            tried.add(name)
            if name not in bundle_on or place(bundle_on[name], tried):
                bundle_on[name] = index
                return True
        return False

    if not all(place(index, set()) for index in range(len(bundles))):
        return None
    node_of = {index: name for name, index in bundle_on.items()}
    return tuple(node_of[index] for index in range(len(bundles)))


class _Search:
    """Depth first over bundles, the largest first, for any assignment; `spread` says which nodes are tried first."""

    def __init__(self, request: Request, free: Mapping[str, Resources], *, spread: bool) -> None:
        self._bundles = request.bundles
        self._order = sorted(range(len(self._bundles)), key=lambda index: -_share(self._bundles[index], free))
        self._free = dict(free)
        self._spread = spread
        self._chosen: dict[int, str] = {}
        self._hopeless: set[tuple[int, frozenset[tuple[str, Resources]]]] = set()
        self._tries = 0

    def run(self) -> tuple[str, ...] | None:
        if not self._place(0):
            return None
        return tuple(self._chosen[index] for index in range(len(self._bundles)))

    def _place(self, depth: int) -> bool:
        if depth == len(self._order):
            return True
        # What the used nodes have left says all: equal bundles that swapped places need no second look.
        state = depth, frozenset((name, self._free[name]) for name in self._chosen.values())
        if state in self._hopeless:
            return False
        index = self._order[depth]
        bundle = self._bundles[index]
        for name in self._names_to_try(bundle):
            self._tries += 1
            if self._tries > _MOST_TRIES:
                return False
            room = self._free[name]
            self._chosen[index], self._free[name] = name, room - bundle
            if self._place(depth + 1):
                return True
            del self._chosen[index]
            self._free[name] = room
        self._hopeless.add(state)
        return False

    def _names_to_try(self, bundle: Resources) -> list[str]:
        """The nodes where `bundle` fits, in order of preference; of nodes with equal room one is enough."""
        used = Counter(self._chosen.values())
        by_use = sorted(able(bundle, self._free), key=lambda name: used[name] if self._spread else -used[name])
        first_with: dict[Resources, str] = {}
        for name in by_use:
            first_with.setdefault(self._free[name], name)
        return list(first_with.values())


def _share(bundle: Resources, free: Mapping[str, Resources]) -> float:
    """How large `bundle` is: the largest part that it takes of what there is of a kind."""
    return max((bundle[kind] / (sum(room[kind] for room in free.values()) or 1.0) for kind in bundle), default=0.0)
