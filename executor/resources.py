"""The arithmetic of resources: amounts of cpu, gpu, memory and custom kinds, exact to 1/10,000 of a unit.

Amounts are kept as whole numbers of 1/10,000 so that ten times 0.1 is exactly 1: no epsilon anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_UNIT = 10_000


@dataclass(frozen=True, slots=True)
class Resources:
    """Amounts by kind, for example ``Resources.of(cpu=2, gpu=0.5, memory=2**30)``; kinds with nothing are left out.

    ``cpu`` and ``gpu`` count devices, ``memory`` counts bytes, any other name is a custom kind. All are at least zero.
    """

    _units: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, amounts: Mapping[str, float] | None = None, /, **more: float) -> Resources:
        """From amounts by kind; ``CPU`` and ``GPU`` are accepted for ``cpu`` and ``gpu``.

        Raises:
            ValueError: an amount is negative, or not a number.
        """
        units: dict[str, int] = {}
        for given, amount in {**(amounts or {}), **more}.items():
            kind = {"CPU": "cpu", "GPU": "gpu"}.get(given, given)
            if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < float("inf"):
                raise ValueError(f"resource {given!r} must be a number of at least 0, got {amount!r}")
            units[kind] = units.get(kind, 0) + round(amount * _UNIT)
        return cls.of_units(units)

    @classmethod
    def of_units(cls, units: Mapping[str, int]) -> Resources:
        """From whole numbers of 1/10,000."""
        return cls(tuple(sorted((kind, count) for kind, count in units.items() if count)))

    def __getitem__(self, kind: str) -> float:
        return dict(self._units).get(kind, 0) / _UNIT

    def __iter__(self) -> Iterator[str]:
        return (kind for kind, _ in self._units)

    def __bool__(self) -> bool:
        return bool(self._units)

    def __add__(self, other: Resources) -> Resources:
        units = dict(self._units)
        for kind, count in other._units:
            units[kind] = units.get(kind, 0) + count
        return self.of_units(units)

    def __sub__(self, other: Resources) -> Resources:
        """What is left after taking `other` away; `other` must fit."""
        units = dict(self._units)
        for kind, count in other._units:
            units[kind] = units.get(kind, 0) - count
            if units[kind] < 0:
                raise ValueError(f"{other} does not fit into {self}")
        return self.of_units(units)

    def fits(self, room: Resources) -> bool:
        """Whether these amounts fit into `room`."""
        have = dict(room._units)
        return all(have.get(kind, 0) >= count for kind, count in self._units)

    def units(self) -> dict[str, int]:
        """Whole numbers of 1/10,000 by kind."""
        return dict(self._units)

    def as_dict(self) -> dict[str, float]:
        """Amounts by kind, whole numbers as `int`."""
        return {kind: count // _UNIT if count % _UNIT == 0 else count / _UNIT for kind, count in self._units}

    def __str__(self) -> str:
        return ", ".join(f"{kind} {shown(kind, amount)}" for kind, amount in self.as_dict().items()) or "nothing"


def shown(kind: str, amount: float) -> str:
    """`amount` for people to read: memory in the unit that suits it, everything else as the number it is."""
    if kind != "memory":
        return f"{amount:g}"
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} GiB"


@dataclass(frozen=True, slots=True)
class Request:
    """What one trial needs: one or more bundles, each held by a single node, reserved all or nothing.

    The program runs in the first bundle, or with `gang` in every bundle, each a worker of its own. `strategy` says how
    several bundles spread over nodes: ``PACK`` (few nodes, best effort), ``SPREAD`` (many, best effort),
    ``STRICT_PACK`` (one node), ``STRICT_SPREAD`` (a node each).
    """

    bundles: tuple[Resources, ...] = (Resources((("cpu", _UNIT),)),)
    strategy: str = "PACK"
    gang: bool = False

    def __post_init__(self) -> None:
        if not self.bundles:
            raise ValueError("a request needs at least one bundle")
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {self.strategy!r}")

    @property
    def total(self) -> Resources:
        """All bundles together."""
        return sum(self.bundles, Resources())

    def __str__(self) -> str:
        return " + ".join(f"({bundle})" for bundle in self.bundles) if len(self.bundles) > 1 else str(self.bundles[0])


STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")


@dataclass(frozen=True, slots=True)
class Node:
    """One machine that can hold bundles: its name and all it has."""

    name: str
    capacity: Resources
