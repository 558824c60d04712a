"""Who is in a cluster, as its head knows them: nodes' agents and drivers."""

from __future__ import annotations

from dataclasses import dataclass, field

from executor.holdings import Holding
from executor.resources import Node, Request, Resources


@dataclass(slots=True)
class Agent:
    """A node whose agent has said hello, now or, as far as drivers know, to the head before this one."""

    name: str
    incarnation: str
    node: Node | None
    gpus: tuple[str, ...]
    heard_at: float
    host: str = ""
    draining: bool = False
    ends_calls_at: float | None = None
    """When what still runs on a draining node is ended, if at all."""

    @property
    def takes_calls(self) -> bool:
        """Whether it is there, and is to be given more."""
        return self.node is not None and not self.draining


@dataclass(slots=True)
class Driver:
    """Who holds room and has sessions with nodes."""

    driver: str
    heard_at: float
    owner: str = ""
    experiment: str = ""
    priority: int = 0
    known: bool = True
    """False while only an agent has told of it: then what it holds is not known."""
    holdings: dict[int, Holding] = field(default_factory=dict)
    nodes: set[str] = field(default_factory=set)
    waits_for: Request | None = None
    avoids: frozenset[str] = frozenset()
    """The nodes on which that is not to be."""
    waits_because: str = ""
    claims_until: float = 0.0
    """Until when room that it waits for is kept from who has more: it has to ask again when it is told of some."""
    leaving: set[str] | None = None
    """The nodes that have not ended its session yet, once it is to end."""

    @property
    def controller(self) -> str:
        """The controller beside the head that it is; empty when it is none."""
        return self.driver.partition("@")[2]

    def held(self) -> Resources:
        """All that it holds."""
        return sum((one.reservation.request.total for one in self.holdings.values()), Resources())
