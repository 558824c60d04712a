"""What the nodes of a cluster are called, also when their machines come again. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping


class NodeNames:
    """Each node has a name of its own, also when a machine comes again: its old name stays with what was lost.

    Unless it left in good order, and nobody is left who was told so. `counts` says how many nodes each host had, `free`
    of which host the names are that may be given again.
    """

    def __init__(self, counts: Mapping[str, int] | None = None, free: Mapping[str, str] | None = None) -> None:
        self.counts = dict(counts or {})
        self._left: dict[str, tuple[str, frozenset[str]]] = {
            name: (host, frozenset()) for name, host in (free or {}).items()
        }

    def of(self, host: str, drivers: Collection[str]) -> str:
        """The name of a node that comes from a host, while `drivers` are there."""
        for name, its_host in self.free(drivers).items():
            if its_host == host:
                del self._left[name]
                return name
        self.counts[host] = count = self.counts.get(host, 0) + 1
        return host if count == 1 else f"{host}-{count}"

    def leave(self, name: str, host: str, drivers: Collection[str]) -> None:
        """A node leaves in good order, which `drivers` are told."""
        self._left[name] = host, frozenset(drivers)

    def free(self, drivers: Collection[str]) -> dict[str, str]:
        """The names that may be given again while `drivers` are there, and of which host they are."""
        return {name: host for name, (host, told) in self._left.items() if told.isdisjoint(drivers)}
