"""Where a remote executor's nodes come from, and how it reaches their hosts: all that an engine must give."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from executor.devices import Shares
from executor.hosting.messages import Order, Report
from executor.messages import NodeDraining, Reservation, RoomAdded, RoomFreed
from executor.resources import Node, Request, Resources


@dataclass(frozen=True, slots=True)
class Reported:
    """The host of `node` told something."""

    node: str
    report: Report


@dataclass(frozen=True, slots=True)
class NodeLost:
    """A node is gone, and all that ran there; nothing that it still says arrives. `why` is a sentence."""

    node: str
    why: str


@dataclass(frozen=True, slots=True)
class Written:
    """Another driver has written to us."""

    driver: str
    content: bytes


@dataclass(frozen=True, slots=True)
class DriverGone:
    """A driver that we have written to, or that has written to us, is no more, and reads nothing."""

    driver: str


@dataclass(frozen=True, slots=True)
class Dismissed:
    """We will never be served again, for the reason `why`; `stopped` when the cluster was, and nobody will be."""

    why: str
    stopped: bool


Arrival = Reported | NodeLost | NodeDraining | RoomFreed | RoomAdded | Written | DriverGone | Dismissed

Arrive = Callable[[Sequence[Arrival]], None]


class Mail(ABC):
    """The way to the other drivers of the same nodes. What they write arrives as `Written`, in order, each once."""

    @abstractmethod
    def find(self, controller: str, within_s: float) -> str | None:
        """The driver that is this controller beside the head, once it is there; None when none is to be.

        Raises:
            ClusterError: it did not come in time, or nobody can tell.
        """

    @abstractmethod
    def have(self, controller: str, within_s: float) -> str:
        """The driver that is this controller, which is started where there is none.

        Raises:
            ClusterError: it could not be had in time, or none is taken.
        """

    @abstractmethod
    def write(self, driver: str, content: bytes) -> None:
        """Write to a driver; to one that is no more it goes nowhere, and `DriverGone` arrives."""


class Fleet(ABC):
    """Nodes with a host each. Methods may be called from any thread, and but for `reserve` none waits for a node.

    Orders to one node arrive in the order of `send`, after the `Hold` of the reservation that they are about; reports
    of one node are handed to `arrive` in the order in which they were made, each once, from any one thread at a time.
    """

    waits_for_nodes = False
    """Whether a request that no node can hold is not refused at once."""

    mail: Mail | None = None
    """The way to other drivers, where there may be some."""

    @abstractmethod
    def open(self, arrive: Arrive) -> None:
        """Begin; called once."""

    @abstractmethod
    def nodes(self) -> tuple[Node, ...]:
        """The nodes there are just now. A node that was lost and came back has another name."""

    @abstractmethod
    def free(self) -> Resources:
        """What nobody holds just now, of all nodes together, labels left out; may take a moment.

        Raises:
            ClusterError: nobody can tell.
        """

    @abstractmethod
    def reserve(self, request: Request, avoid: Collection[str] = ()) -> Reservation | None:
        """Hold room on nodes not in `avoid`, all or none; None when it does not fit just now, or nobody can tell.

        Raises:
            InfeasibleRequestError: it would not fit even if everything were idle.
        """

    @abstractmethod
    def shares(self, reservation: Reservation) -> tuple[Shares | None, ...]:
        """The gpus in each bundle of room that is held; None for a bundle on a node whose gpus have no names."""

    @abstractmethod
    def release(self, reservation: Reservation) -> None:
        """Give room back. `RoomFreed` arrives once, when it can be reserved again."""

    @abstractmethod
    def send(self, node: str, order: Order) -> None:
        """Send an order; one to a node that is lost goes nowhere."""

    def together(self) -> AbstractContextManager[object]:
        """Let what is sent within it go out at the end of it, where orders to one node can go as one."""
        return nullcontext()

    @abstractmethod
    def close(self) -> None:
        """End all hosts' processes that serve us, and let go. Nothing arrives any more."""
