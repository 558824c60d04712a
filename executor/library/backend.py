"""Where a hub's workers are: started, spoken to and heard, and what room there is for them.

There are two: `Machine`, the processes of this machine, and `Nodes`, those of a fleet's nodes.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from executor.depot.store import Place, Store
from executor.interrupts import Interrupts
from executor.library.ledger import Lease, Ledger
from executor.library.plans import Code, Surrounding
from executor.messages import Event

if TYPE_CHECKING:
    from executor.hosting.fleet import Mail


class WorkerLink(Protocol):
    """What a hub has of one worker process."""

    number: int
    """Never used twice in this process, also by another hub."""

    def post(self, message: tuple[Any, ...]) -> None:
        """Send a message, after all that was sent before."""

    def nudge(self, word: int) -> None:
        """Say a word past all that waits to be read."""

    def leave(self) -> None:
        """Let the worker end by itself."""


Take = Callable[[tuple[Any, ...]], None]
"""Takes what one worker says."""


def call_of(number: int) -> str:
    """How a worker's process is known outside of the library."""
    return f"worker-{number}"


def _ignore(*_: Any) -> None:
    """Until somebody wants to know."""


class Backend(ABC):
    """Workers' processes. What several steps need in one piece holds `lock`.

    `turn` is called by one thread at a time, all else by any. What a worker says goes to whom it was started with, that
    it is gone to `on_gone`, and by then how it ended is among the `endings`; all under the lock.
    """

    lock: threading.RLock
    on_gone: Callable[[WorkerLink], None]
    on_draining: Callable[[str], None]
    """Told that a node is to be emptied."""
    on_room: Callable[[], None]
    """Told when there may be room that there was not before, for another reason than that a lease has ended."""
    ledger: Ledger
    store: Store
    mail: Mail | None = None
    """The way to other drivers of the same nodes, where there may be some."""
    on_written: Callable[[str, bytes], None] = staticmethod(_ignore)
    """Told, under the lock, what another driver writes."""
    on_driver_gone: Callable[[str], None] = staticmethod(_ignore)
    """Told, under the lock, that a driver that we have written to is no more."""
    on_dismissed: Callable[[str, bool], None] = staticmethod(_ignore)
    """Told, under the lock, why we will never be served again, and whether that is because the cluster was stopped."""
    folder: str
    """A folder that goes with us."""
    node = ""
    """The node that the driver is on, if it is on one."""
    is_here: bool
    """Whether the workers are processes of this machine."""

    def log_path(self, number: int) -> str:
        """Where a worker's output is to be found."""
        return f"{self.folder}/logs/worker-{number}.log"

    @abstractmethod
    def endings(self) -> list[Event]:
        """How workers have ended since this was last asked."""

    @abstractmethod
    def start(self, surrounding: Surrounding, lease: Lease, take: Take) -> WorkerLink:
        """A worker in a new process, where the lease is.

        Raises:
            OSError: none can be started.
        """

    def allocate(self, size: int) -> Place:
        """A place on this machine for an object of the driver.

        Raises:
            ObjectStoreFullError: there is room for it neither in memory nor on disk.
        """
        return self.store.allocate(size)

    @abstractmethod
    def give_back(self, place: Place) -> None:
        """Nobody refers to what lies there any more."""

    def path_of(self, place: Place) -> str:
        """The file on this machine that has what lies there; waits for it where that comes from another one.

        Raises:
            ObjectLostError: it is nowhere any more.
        """
        return place.path

    def bring(self, place: Place, then: Callable[[str], None]) -> None:
        """Have what lies there on this machine; `then` is told why it cannot be, or nothing, now or by any thread."""
        then("")

    def carry(self, code: Code) -> None:
        """Have code at hand for the workers that need it; not under the lock, for it may take a while.

        Raises:
            ValueError: it is too large to be sent, or empty.
            OSError: it cannot be read.
        """

    @abstractmethod
    def preload(self, modules: list[str]) -> None:
        """Have these modules in every worker that starts from now on."""

    @abstractmethod
    def turn(
        self, timeout_s: float | None, interrupts: Interrupts | None = None, then: Callable[[], None] | None = None
    ) -> None:
        """Wait until something happens, at most so long, and take it in; under the lock, do `then`."""

    @abstractmethod
    def wake(self) -> None:
        """Make a waiting `turn` return."""

    @abstractmethod
    def kill(self, number: int, reason: str) -> None:
        """End a worker at once."""

    @abstractmethod
    def stacks(self, number: int, timeout_s: float) -> str:
        """Where a worker stands right now; or why that is not to be had."""

    @abstractmethod
    def check_open(self) -> None:
        """Raise unless it is open, and belongs to this process.

        Raises:
            ExecutorClosedError: it does not.
        """

    @abstractmethod
    def close(self) -> None:
        """End all workers."""
