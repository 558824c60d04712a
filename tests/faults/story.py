"""What goes wrong in a round on a cluster, and when: decided by a seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

CUTS = (("up", "down"), ("up",), ("down",))
"""The directions in which nothing gets through: to the head, and back."""


class Kind(StrEnum):
    """What happens; but for the head's, to one node or the drivers' machine."""

    HEAD_KILLED = "the head is killed"
    AGENT_KILLED = "the agent is killed"
    MACHINE_KILLED = "everything on it is killed, and nobody is told"
    CUT = "it is cut off"
    FROZEN = "it stands still"
    DRIVERS_CUT = "the drivers' machine is cut off"


@dataclass(frozen=True, slots=True)
class Fault:
    """One misfortune: after `reports` acknowledged reports, for `lasts` leases."""

    reports: int
    kind: Kind
    node: int
    lasts: float
    directions: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"node {self.node}: " if self.kind not in (Kind.HEAD_KILLED, Kind.DRIVERS_CUT) else ""
        cut = f" ({' and '.join(self.directions)})" if self.directions else ""
        return f"after {self.reports} reports, {where}{self.kind}{cut}, for {self.lasts:.2f} leases"


def story(seed: int, *, nodes: int, reports: int) -> list[Fault]:
    """Twelve faults among the first `reports` reports: the head dies twice, each cut comes once, the rest is drawn."""
    chance = random.Random(seed)
    kinds: list[tuple[Kind, tuple[str, ...]]] = [
        (Kind.HEAD_KILLED, ()),
        (Kind.HEAD_KILLED, ()),
        (Kind.MACHINE_KILLED, ()),
        (Kind.AGENT_KILLED, ()),
        (Kind.FROZEN, ()),
        (Kind.DRIVERS_CUT, chance.choice(CUTS)),
        *((Kind.CUT, directions) for directions in CUTS),
    ]
    more = (Kind.MACHINE_KILLED, Kind.AGENT_KILLED, Kind.FROZEN, Kind.CUT)
    kinds += [(kind, chance.choice(CUTS) if kind is Kind.CUT else ()) for kind in chance.choices(more, k=3)]
    chance.shuffle(kinds)
    moments = sorted(chance.sample(range(5, reports), len(kinds)))
    return [
        Fault(moment, kind, chance.randrange(nodes), _lasts(kind, chance), directions)
        for moment, (kind, directions) in zip(moments, kinds, strict=True)
    ]


def _lasts(kind: Kind, chance: random.Random) -> float:
    """Shorter than a lease or longer; the head and the drivers come back before anybody gives them up."""
    longest = 1.0 if kind in (Kind.HEAD_KILLED, Kind.DRIVERS_CUT) else 2.0
    return chance.uniform(0.1, longest)
