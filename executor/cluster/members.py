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
    gpus_lost: tuple[str, ...] = ()
    """Those that cannot be used now."""
    draining: bool = False
    ends_calls_at: float | None = None
    """When what still runs on a draining node is ended, if at all."""

    @property
    def process(self) -> str:
        """The start of the agent's process, whichever of its lives this is."""
        return process_of(self.incarnation)

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
        return controller_of(self.driver)

    def held(self) -> Resources:
        """All that it holds."""
        return sum((one.reservation.request.total for one in self.holdings.values()), Resources())


def controller_of(driver: str) -> str:
    """The controller beside the head that a driver says to be; empty when it says to be none."""
    return driver.partition("@")[2]


def next_life(incarnation: str) -> str:
    """What an agent calls itself that has ended all its calls, and goes on as another in the same process."""
    process, _, lives = incarnation.partition("+")
    return f"{process}+{int(lives or 0) + 1}"


def process_of(incarnation: str) -> str:
    """What the process was started as that calls itself so now."""
    return incarnation.partition("+")[0]
