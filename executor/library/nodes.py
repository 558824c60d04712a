"""The library's workers on a fleet's nodes. The driver owns everything; its workers speak to it through their hosts.

Who decides stays in one place: the hub in the driver gives out every call and knows every object, as on one machine.
What changes is how far away its workers are. A lease is a reservation of the head's, or cpus that another worker of
ours has lent; a message to a worker is an order to the host of its node, and what it says is a report. Nodes and the
head pass on what users' programs say to each other without opening it.
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import queue
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from executor.depot.depot import Key
from executor.depot.store import Place, Store
from executor.errors import ExecutorClosedError
from executor.framing import Sealed, opened, seal
from executor.hosting.fleet import Arrival, Dismissed, DriverGone, Fleet, NodeLost, Reported, Written
from executor.hosting.messages import (
    Allocated,
    AskStacks,
    Copied,
    DepotOpened,
    Dismiss,
    Employ,
    Kept,
    Kill,
    Nudge,
    Order,
    Piece,
    Preload,
    Prepare,
    Printed,
    Report,
    Stacks,
    Stocked,
    Wanted,
)
from executor.hosting.messages import Post as PostTo
from executor.hosting.runtime_env import Shipped
from executor.hosting.shipping import Shipping
from executor.interrupts import Interrupts, interruptible, uninterrupted
from executor.library.backend import Backend, Take, WorkerLink, call_of
from executor.library.depots import Depots
from executor.library.host import Host, Post
from executor.library.ledger import Lease
from executor.library.messages import ALLOCATED
from executor.library.plans import Code, Surrounding
from executor.library.sending import packed
from executor.library.tenancy import FleetLedger
from executor.messages import DeathCause, Died, Emitted, Event, NodeDraining, Raised, Returned, RoomAdded, RoomFreed
from executor.platform import here
from executor.processes.link import link_numbers
from executor.spinning import AdaptiveSpin

_log = logging.getLogger(__name__)

_STACKS_LATE_S = 5.0
_STORE_SHARE = 0.3


class NodeLink:
    """One worker on a node."""

    __slots__ = ("_send", "killed", "node", "number", "take")

    def __init__(self, number: int, node: str, take: Take, send: Callable[[str, Order], None]) -> None:
        self.number = number
        self.node = node
        self.take = take
        self.killed: str | None = None
        self._send = send

    @property
    def call_id(self) -> str:
        """How its node knows it."""
        return call_of(self.number)

    def post(self, message: tuple[object, ...]) -> None:
        """Send a message, after all that was sent before."""
        self._send(self.node, PostTo(self.call_id, Sealed((pickle.dumps(message, 5),))))

    def nudge(self, word: int) -> None:
        """Say a word past all that waits to be read."""
        self._send(self.node, Nudge(self.call_id, word))

    def leave(self) -> None:
        """Let the worker end by itself."""
        self._send(self.node, Dismiss(self.call_id))


class Nodes(Backend):
    """See the module."""

    is_here = False

    def __init__(
        self,
        fleet: Fleet,
        variables: Mapping[str, str],
        along: Sequence[Shipped],
        *,
        store_bytes: int | None = None,
    ) -> None:
        """Workers find `variables` set, and the code of `along` to import and to work in."""
        self.lock = threading.RLock()
        self.folder = tempfile.mkdtemp(prefix="audition-")
        self._shipping = Shipping(fleet.send, variables, along)
        self.ledger = self._tenancy = FleetLedger(fleet, self._tell_of_room, self._shipping.unfit)
        self.store = Store(store_bytes or int(here.usable_memory() * _STORE_SHARE), self.folder, self.folder)
        self._fleet = fleet
        self.mail = fleet.mail
        self._depots = Depots(fleet.send, self.store, store_bytes or 0)
        self._shipments = {Code(): self._shipping.shipment(Host(), {})}
        self._preloaded: list[str] = []
        self._prepared: dict[str, set[str]] = {}
        self._links: dict[str, NodeLink] = {}
        self._endings: list[Event] = []
        self._arrived: deque[Arrival] = deque()
        self._asked: dict[int, queue.SimpleQueue[str]] = {}
        self._numbers = itertools.count(1)
        self._poller = here.poller()
        self._spin = AdaptiveSpin()
        self._pid = os.getpid()
        self._closed = False
        fleet.open(self._arrive)

    # What is said to workers.

    def start(self, surrounding: Surrounding, lease: Lease, take: Take) -> WorkerLink:
        number, node = next(link_numbers), lease.node
        if why := self._shipping.unfit.get(node):  # in the bundle of a group that was placed before
            raise OSError(why)
        link = NodeLink(number, node, take, self._shipping.send)
        self._links[link.call_id] = link
        shipment = self._shipments[surrounding.code]
        self._prepare(node, shipment)
        self._shipping.send(
            node,
            Employ(
                link.call_id,
                shipment.digest,
                seal(Post(number, surrounding, node, is_among_nodes=True)),
                int.from_bytes(os.urandom(8), "little"),
                dict(surrounding.environment),
                surrounding.threads,
                lease.devices,
                surrounding.memory_bytes or 0,
            ),
        )
        return link

    def _prepare(self, node: str, shipment: Prepare) -> None:
        """Have a node get ready for workers."""
        if node not in self._prepared:
            self._prepared[node] = set()
            self._depots.open(node)
        if shipment.digest not in self._prepared[node]:
            self._prepared[node].add(shipment.digest)
            self._shipping.ship(node, shipment)
            if self._preloaded:
                self._shipping.send(node, Preload(shipment.digest, tuple(self._preloaded)))

    def carry(self, code: Code) -> None:
        if code not in self._shipments:
            sent = packed(code)
            with self.lock:
                self._shipments[code] = self._shipping.shipment(Host(), {}, sent)

    def shipped(self, code: Code) -> tuple[dict[str, str], tuple[Shipped, ...]]:
        """The variables and the code that workers with this code of their own find, as they are sent.

        Raises:
            ValueError: it is too large to be sent, or empty.
            OSError: it cannot be read.
        """
        return self._shipping.given(packed(code))

    def take_over(self, shipped: Sequence[Shipped]) -> Code:
        """Have code for workers as another driver has sent it; what it is called here."""
        code = Code(modules=tuple(one.package.digest for one in shipped))
        if code not in self._shipments:
            self._shipments[code] = self._shipping.shipment(Host(), {}, shipped)
        return code

    def preload(self, modules: list[str]) -> None:
        self._preloaded += modules
        for node, digests in self._prepared.items():
            for digest in digests:
                self._shipping.send(node, Preload(digest, tuple(modules)))

    def kill(self, number: int, reason: str) -> None:
        with self.lock:
            link = self._links.get(call_of(number))
            if link is not None and link.killed is None:
                link.killed = reason
                self._shipping.send(link.node, Kill(link.call_id, reason))

    def stacks(self, number: int, timeout_s: float) -> str:
        with self.lock:
            link = self._links.get(call_of(number))
            if link is None:
                return "the process has ended"
            request = next(self._numbers)
            answer = self._asked[request] = queue.SimpleQueue()
            self._fleet.send(link.node, AskStacks(request, link.call_id, timeout_s))
        try:
            return answer.get(timeout=timeout_s + _STACKS_LATE_S)
        except queue.Empty:
            return f"no answer within {timeout_s + _STACKS_LATE_S:g} s: node {link.node} cannot be reached just now"
        finally:
            del self._asked[request]

    # What comes from them.

    def _arrive(self, arrivals: Sequence[Arrival]) -> None:
        """Note what came, in the fleet's thread: it is opened by who turns us."""
        self._arrived.extend(arrivals)
        self._poller.wake()

    def wake(self) -> None:
        if not self._closed:
            self._poller.wake()

    def turn(
        self, timeout_s: float | None, interrupts: Interrupts | None = None, then: Callable[[], None] | None = None
    ) -> None:
        if interrupts is not None and interrupts.came:
            interrupts.catch_up()
        if not self._arrived:
            self._wait(timeout_s)
        self._take_in(then)
        if interrupts is not None and interrupts.came:
            interrupts.catch_up()

    @interruptible
    def _wait(self, timeout_s: float | None) -> None:
        try:
            self._spin.wait(self._poller.poll, timeout_s)
        except (ValueError, OSError):
            if not self._closed:  # by another thread, just now
                raise

    @uninterrupted
    def _take_in(self, then: Callable[[], None] | None) -> None:
        with self.lock:
            if self._closed:
                return
            while self._arrived:
                self._take(self._arrived.popleft())
            if then is not None:
                then()

    def _take(self, arrival: Arrival) -> None:
        match arrival:
            case Reported(node, DepotOpened() | Wanted() | Allocated() | Copied() | Piece() as report):
                self._hear_of_objects(node, report)
            case Reported(node, Stocked() as stocked):
                self._hear_of_packages(node, stocked)
            case Reported(_, report):
                self._hear(report)
            case NodeLost(node, why):
                self._lose(node, why)
            case RoomFreed():
                self._tenancy.was_freed()
                self.on_room()
            case RoomAdded():
                self._tenancy.was_added()
                self.on_room()
            case NodeDraining(node, why):
                _log.warning("%s: what runs there goes on until it ends, and no more is sent there", why)
                self._tenancy.leave_node(node)
                self.on_draining(node)
            case Written() | DriverGone() | Dismissed():
                self._take_from_afar(arrival)

    def _take_from_afar(self, arrival: Written | DriverGone | Dismissed) -> None:
        match arrival:
            case Written(driver, content):
                self.on_written(driver, content)
            case DriverGone(driver):
                self.on_driver_gone(driver)
            case Dismissed(why, stopped):
                self.on_dismissed(why, stopped)

    def _hear(self, report: Report) -> None:
        match report:
            case Emitted(call_id, _, payload):
                if (link := self._links.get(call_id)) is not None and link.killed is None:
                    self._open(link, payload)
            case Died(call_id) | Raised(call_id) | Returned(call_id):
                if (link := self._links.pop(call_id, None)) is not None:
                    killed = isinstance(report, Returned | Raised) and link.killed is not None
                    self._bury(link, Died(call_id, DeathCause(killed=link.killed)) if killed else report)
            case Printed(call_id, text):
                if text:
                    self._print(call_id, text)
            case Stacks(number, text):
                if (answer := self._asked.get(number)) is not None:
                    answer.put(text)
            case _:
                pass  # about room, which the fleet has heard, and about gangs, which are other calls

    def _hear_of_packages(self, node: str, stocked: Stocked) -> None:
        """It has our code by now, lacks some of it, or cannot have it: then others are at work instead."""
        for order in self._shipping.hear(node, stocked):
            if isinstance(order, Employ):
                self._hear(Died(order.call_id, DeathCause(killed=self._shipping.unfit[node])))

    def _hear_of_objects(self, node: str, report: Kept) -> None:
        match report:
            case DepotOpened(address, port):
                self._depots.opened(node, (address, port) if port else None)
            case Wanted(home, segment, size, why, offset):
                self._depots.wanted(node, Key(home, segment), size, why, offset)
            case Piece(home, segment, offset, content):
                self._depots.piece(node, Key(home, segment), offset, content)
            case Allocated(call_id, segment):
                self._note_allocated(node, call_id, segment)
            case Copied(home, segment):
                self._depots.copied(node, Key(home, segment))

    def _note_allocated(self, node: str, call_id: str, segment: int) -> None:
        """A worker has room for an object: it is the worker's until that hands the object over."""
        self._depots.allocated(Key(node, segment))
        if (link := self._links.get(call_id)) is not None:
            link.take((ALLOCATED, segment))
        else:
            self._depots.give_back(Place(segment, "", 0, home=node))

    def allocate(self, size: int) -> Place:
        with self.lock:
            return self._depots.allocate(size)

    def give_back(self, place: Place) -> None:
        self._depots.give_back(place)

    def path_of(self, place: Place) -> str:
        return self._depots.path_of(place)

    def bring(self, place: Place, then: Callable[[str], None]) -> None:
        self._depots.bring(place, then)

    def _open(self, link: NodeLink, payload: Sealed) -> None:
        try:
            message = opened(payload)
        except Exception as error:  # noqa: BLE001 - whatever the class of a value raises when it is loaded
            self.kill(link.number, f"what it sent cannot be loaded here: {type(error).__name__}: {error}")
            return
        link.take(message)

    def _tell_of_room(self) -> None:
        self.on_room()

    def _lose(self, node: str, why: str) -> None:
        self._tenancy.lose(node)
        self._shipping.lose(node)
        self._depots.lose(node)
        self._prepared.pop(node, None)
        for call_id, link in list(self._links.items()):
            if link.node == node:
                del self._links[call_id]
                self._bury(link, Died(call_id, DeathCause(lost=f"node {node} was lost: {why}")))
        self.on_room()

    def _bury(self, link: NodeLink, event: Event) -> None:
        self._endings.append(event)
        self.on_gone(link)

    def endings(self) -> list[Event]:
        if not self._endings:
            return []
        endings, self._endings = self._endings, []
        return endings

    def _print(self, call_id: str, text: bytes) -> None:
        """Add to a worker's log here; what cannot be written is lost, as it would be on one machine."""
        path = Path(self.folder, "logs", f"{call_id}.log")
        try:
            path.parent.mkdir(exist_ok=True)
            with path.open("ab") as file:
                file.write(text)
        except OSError as error:
            _log.warning("%s: what it printed cannot be kept: %s", call_id, error)

    # Ending.

    def check_open(self) -> None:
        if os.getpid() != self._pid:
            raise ExecutorClosedError(
                "this executor belongs to the process that this one was forked from: open another"
            )
        if self._closed:
            raise ExecutorClosedError("this executor was closed: open a new one")

    def close(self) -> None:
        with self.lock:
            if self._closed:
                return
            self._closed = True
        self._fleet.close()
        self._tenancy.close()
        self._poller.wake()
        self._depots.close()
        shutil.rmtree(self.folder, ignore_errors=True)
