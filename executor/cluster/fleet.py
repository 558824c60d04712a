"""A driver's end of the cluster: its line to the head, and a session with each node that it has room on."""

from __future__ import annotations

import getpass
import logging
import secrets
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from executor.cluster import wire
from executor.cluster.dialing import Dial, asked, way
from executor.cluster.line import Line, Peer
from executor.cluster.mail import ClusterMail
from executor.cluster.noroom import NoRoom
from executor.cluster.patience import Patience
from executor.cluster.protos import cluster as pb
from executor.cluster.talks import Talks
from executor.cluster.versions import versions_here
from executor.devices import Shares
from executor.errors import ClusterError, ExecutorClosedError
from executor.hosting.bookings import Bookings, holds
from executor.hosting.fleet import Arrival, Arrive, Dismissed, DriverGone, Fleet, NodeLost, Reported
from executor.hosting.messages import Freed, Order
from executor.hosting.questions import Questions
from executor.messages import NodeDraining, Reservation, RoomAdded, RoomFreed
from executor.resources import Node, Request, Resources

_log = logging.getLogger(__name__)

_ANSWER_S = 10.0
_GOODBYE = pb.FromDriver(goodbye=pb.Goodbye())


@dataclass(frozen=True, slots=True)
class Identity:
    """How a driver shows in the cluster. A higher `priority` gets room first; equal ones share it.

    `controller` is the name of the controller beside the head that it is, if it is one, and `token` proves that.
    """

    experiment: str = ""
    priority: int = 0
    controller: str = ""
    token: str = field(default="", repr=False)


class ClusterFleet(Fleet):
    """The nodes of the cluster whose head `dial` reaches; `folder` is where it would be if it is on this machine.

    The head has to answer within `within_s`. A request that no node can hold waits up to `patience_s` for one that can,
    and is refused then.

    Raises:
        ClusterError: the head cannot be reached, or will not have us.
    """

    def __init__(
        self,
        dial: Dial,
        identity: Identity | None = None,
        *,
        folder: Path | None = None,
        patience_s: float = 0.0,
        within_s: float = 15.0,
    ) -> None:
        self._dial = dial
        self._identity = identity or Identity()
        beside = f"@{self._identity.controller}" if self._identity.controller else ""
        self._driver = secrets.token_hex(8) + beside
        self._patience = Patience(patience_s)
        self._no_room = NoRoom()
        self.waits_for_nodes = patience_s > 0
        self._lock = threading.RLock()
        self._nodes: dict[str, Node] = {}
        self._talks = Talks(self._driver, lambda parcel: self._line.send(pb.FromDriver(parcel=parcel)))
        self.mail: ClusterMail = ClusterMail(
            self._driver,
            self._post,
            self._asked_head,
            self._lock,
            owner=owner(),
            reads_all=bool(self._identity.controller),
        )
        self._draining: set[str] = set()
        self._bookings = Bookings()
        self._asked: Questions[pb.Answered] = Questions()
        self._welcomed = threading.Event()
        self._refusal = ""
        self._connected = False
        self._closed = False
        self._early: list[Arrival] = []
        self._arrive: Arrive = self._early.extend
        self._line: Line[pb.FromDriver, pb.ToDriver] = Line(
            way(dial, folder),
            Peer(
                "Drive",
                pb.FromDriver,
                pb.DriverSays,
                pb.DriverHears,
                hello=self._hello,
                take=self._take,
                broken=self._broken,
                refused=self._refused,
                beat=self._beat,
            ),
        )
        self._line.start()
        if not self._welcomed.wait(within_s) or self._refusal:
            self._line.close()
            raise ClusterError(self._refusal or f"the head of the cluster did not answer within {within_s:g} s")

    def open(self, arrive: Arrive) -> None:
        with self._lock:
            self._arrive = arrive
            if self._early:
                arrive(self._early)

    def nodes(self) -> tuple[Node, ...]:
        with self._lock:
            return tuple(self._nodes.values())

    # ------------------------------------------------------------------------------------------------------- the line

    def _hello(self) -> pb.FromDriver:
        with self._lock:
            hello = pb.DriverHello(
                driver=self._driver,
                owner=owner(),
                experiment=self._identity.experiment,
                priority=self._identity.priority,
                versions=versions_here(),
                holdings=[wire.holding(holding) for holding in self._bookings.holdings()],
                nodes=self._talks.sessions.peers(),
                peers=self.mail.sessions.peers(),
                token=self._identity.token,
            )
        return pb.FromDriver(hello=hello)

    def _take(self, message: pb.ToDriver) -> None:
        match message.WhichOneof("what"):
            case "parcel":
                self._hear(message.parcel)
            case "answered":
                self._take_answer(message.answered)
            case "freed":
                self._add_room()
            case "joined":
                self._join(wire_node(message.joined.node))
            case "lost":
                self._lose(message.lost.name, message.lost.why)
            case "draining":
                self._leave([message.draining])
            case "back":
                with self._lock:
                    self._talks.sessions.say_again(message.back.name)
            case "welcome":
                self._take_welcome(message.welcome)
            case _:
                self._take_mail(message)

    def _take_mail(self, message: pb.ToDriver) -> None:
        match message.WhichOneof("what"):
            case "letter":
                with self._lock:
                    written = self.mail.read(message.letter)
                if written:
                    self._arrive(written)
            case "driver_back":
                with self._lock:
                    self.mail.sessions.say_again(message.driver_back.driver)
            case "driver_left":
                self._part(message.driver_left.driver)

    def _take_answer(self, answer: pb.Answered) -> None:
        """Book what we are given before anything else is heard: what we say to have is what the head says we have."""
        with self._lock:  # who is answered takes it too before he uses what he got
            taken = self._asked.answer(answer.number, answer)
            if answer.HasField("holding"):
                if taken:
                    self._bookings.book(wire.holding_of(answer.holding))
                else:
                    self._give_back(answer.holding.reservation_id)

    def _take_welcome(self, welcome: pb.DriverWelcome) -> None:
        self._line.set_beat(welcome.beat_s)
        for lost in welcome.lost:
            self._lose(lost.name, lost.why)
        with self._lock:
            self._connected = True
            self._nodes = {message.name: wire_node(message) for message in welcome.nodes}
            self._talks.sessions.say_all_again()
            self.mail.sessions.say_all_again()
        self._leave(welcome.draining)
        self._welcomed.set()
        self._add_room()

    def _broken(self, no_head: bool) -> None:
        with self._lock:
            self._connected = False
            self._asked.give_up()

    def _refused(self, refused: pb.Refused) -> None:
        first = not self._welcomed.is_set()
        if not first:
            self._arrive([Dismissed(refused.why, refused.stopped)])  # before what comes of it
        with self._lock:  # from now on nobody begins to talk to anybody
            self._refusal = f"the head of the cluster refuses us: {refused.why}"
            nodes = {*self._nodes, *self._draining, *self._talks.sessions.peers()}
            drivers = self.mail.sessions.peers()
            self._asked.give_up()
        self._welcomed.set()
        if not first:
            for name in nodes:
                self._lose(name, self._refusal)
            for name in drivers:
                self._part(name)
        threading.Thread(target=self._line.close, args=(_GOODBYE,), daemon=True).start()

    def _beat(self, number: int) -> None:
        with self._lock:
            self._talks.sessions.acknowledge()
            self.mail.sessions.acknowledge()

    def _post(self, letter: pb.Letter) -> None:
        """Bring a letter on its way to another driver; when the head will not pass it on, that is gone for us."""
        if self._refusal:
            self._part(letter.reader)
        else:
            self._line.send(pb.FromDriver(letter=letter))

    def _part(self, driver: str) -> None:
        with self._lock:
            self.mail.sessions.end(driver)
        self._arrive([DriverGone(driver)])

    # ----------------------------------------------------------------------------------------------------------- nodes

    def _join(self, node: Node) -> None:
        with self._lock:
            self._nodes[node.name] = node
        self._add_room()

    def _lose(self, name: str, why: str) -> None:
        with self._lock:
            self._nodes.pop(name, None)
            self._draining.discard(name)
            is_ours = self._talks.sessions.end(name) or self._bookings.is_on(name)
            settled = self._bookings.lose(name)
            for holding in settled:
                self._give_back(holding.reservation.reservation_id)
        if is_ours:
            self._arrive([NodeLost(name, why), *(RoomFreed() for _ in settled)])

    def _leave(self, draining: Sequence[pb.NodeDraining]) -> None:
        """Nodes that are to be emptied, each told once."""
        with self._lock:
            fresh = [one for one in draining if one.name not in self._draining]
            self._draining.update(one.name for one in fresh)
            for one in draining:
                self._nodes.pop(one.name, None)
        if fresh:
            self._arrive([NodeDraining(one.name, one.why) for one in fresh])

    def send(self, node: str, order: Order) -> None:
        with self._lock:
            if node in self._nodes or node in self._draining or node in self._talks.sessions:
                self._talks.send(node, order)

    @contextmanager
    def together(self) -> Iterator[None]:
        with self._lock, self._talks.together():
            yield

    def _hear(self, parcel: pb.Parcel) -> None:
        arrivals: list[Arrival] = []
        with self._lock:
            is_over = self._talks.is_over(parcel)
            for report in self._talks.hear(parcel):
                if not isinstance(report, Freed):
                    arrivals.append(Reported(parcel.node, report))
                elif self._bookings.freed(parcel.node, report.reservation_id):
                    self._give_back(report.reservation_id)
                    arrivals.append(RoomFreed())
        if arrivals:
            self._arrive(arrivals)
        if is_over:
            self._note_over(parcel.node)

    def _note_over(self, node: str) -> None:
        """A node has ended our calls. One that is drained does so in the end; others had it from a head of before."""
        if node in self._draining:
            self._lose(node, f"node {node} was drained, and has ended what ran there")
        else:
            why = f"it was silent for too long, and node {node} has ended its calls"
            self._refused(pb.Refused(why=why, for_good=True))

    # ------------------------------------------------------------------------------------------------------------ room

    def reserve(self, request: Request, avoid: Collection[str] = ()) -> Reservation | None:
        changes, now = self._no_room.changes, time.monotonic()
        answer = self._ask(request, avoid, now)
        if answer is None:
            return None
        if answer.infeasible:
            self._patience.wear(request, answer.infeasible, now)
        else:
            self._patience.restore(request)
        with self._lock:
            if not answer.HasField("holding"):
                self._no_room.refuse(request, avoid, changes, now)
                return None
            self._no_room.change()  # the head takes whoever was given something for one that waits for nothing more
        holding = wire.holding_of(answer.holding)
        for node, hold in holds(holding).items():
            self.send(node, hold)
        return holding.reservation

    def free(self) -> Resources:
        found: pb.StatusReply = self._asked_head("Status", pb.StatusRequest(), pb.StatusReply)
        return sum((wire.resources_of(node.free) for node in found.nodes), Resources())

    def _ask(self, request: Request, avoid: Collection[str], now: float) -> pb.Answered | None:
        """The head's answer; None when it cannot be reached just now, or has just said that there is no room."""
        with self._lock:
            if self._closed:
                raise ExecutorClosedError("this executor was closed: open a new one")
            self._check_served()
            if not self._connected or self._no_room.is_refused(request, avoid, now):
                return None
            question = self._asked.open()
            ask = pb.Ask(number=question.number, request=wire.request(request), avoid=avoid)
            self._line.send(pb.FromDriver(ask=ask))
        return self._asked.wait(question, _ANSWER_S)

    def _asked_head(self, call: str, question: Any, reply: Any) -> Any:
        """The head's answer to what is asked beside the line."""
        self._check_served()
        return asked(self._dial, call, question, reply)

    def _check_served(self) -> None:
        if self._refusal:
            raise ClusterError(self._refusal)

    def shares(self, reservation: Reservation) -> tuple[Shares | None, ...]:
        with self._lock:
            return self._bookings.shares(reservation.reservation_id)

    def release(self, reservation: Reservation) -> None:
        number = reservation.reservation_id
        with self._lock:
            frees, settled = self._bookings.release(number)
            for node, free in frees.items():
                self.send(node, free)
            if settled:
                self._give_back(number)
        if settled:
            self._arrive([RoomFreed()])

    def _give_back(self, number: int) -> None:
        self._line.send(pb.FromDriver(give_back=pb.GiveBack(reservation_id=number)))
        self._no_room.change()

    def _add_room(self) -> None:
        with self._lock:
            self._no_room.change()
        self._arrive([RoomAdded()])

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._line.close(_GOODBYE)


def wire_node(message: pb.Node) -> Node:
    """A node from a message."""
    return Node(message.name, wire.resources_of(message.capacity))


def owner() -> str:
    """Who runs this process, as others see it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
