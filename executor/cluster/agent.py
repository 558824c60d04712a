"""A node's agent: holds a line to the head, and a host for each driver that has calls here."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from executor.cluster import clock, wire
from executor.cluster.line import Line, Peer, Way
from executor.cluster.members import next_life
from executor.cluster.membership import Lease
from executor.cluster.protos import cluster as pb
from executor.cluster.session import Session, Stretch
from executor.cluster.versions import versions_here
from executor.hosting.host import Host
from executor.hosting.messages import Report
from executor.resources import Resources

_log = logging.getLogger(__name__)

_MOST_KEPT_BYTES = 64 * 2**20
_FIRST_LEASE_S = 10.0
_SHORTEST_DRAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Machine:
    """What a node has, and where other nodes reach it."""

    capacity: Resources
    gpus: tuple[str, ...] = ()
    host: str = field(default_factory=socket.gethostname)
    address: str = "127.0.0.1"


class Served:
    """One driver's calls on this node, and the session in which they are talked about."""

    def __init__(self, session: Session, address: str, send: Callable[[Stretch], None]) -> None:
        self.session = session
        self._send = send
        self._room = threading.Condition()
        self._ended = False
        self._host = Host(self._report, address=address)

    def take(self, stretch: Stretch) -> None:
        """What the driver says."""
        with self._room:
            items = self.session.take(stretch)
            self._flow()
            self._room.notify_all()
        self._host.take(*map(wire.decode_order, items))
        with self._room:
            if (owed := self.session.acknowledgement()) is not None:
                self._send(owed)

    def _flow(self) -> None:
        if (more := self.session.flow()) is not None:
            self._send(more)

    def acknowledge(self) -> None:
        """Acknowledge what came in and was not answered yet."""
        with self._room:
            if (owed := self.session.acknowledgement(now=True)) is not None:
                self._send(owed)

    def say_again(self) -> None:
        """The driver may not have heard all."""
        with self._room:
            self._send(self.session.again())

    def _report(self, reports: list[Report]) -> None:
        items = [wire.encode_report(report) for report in reports]
        with self._room:
            # A driver that does not listen stops the programs that tell without waiting, and not our memory.
            self._room.wait_for(lambda: self._ended or self.session.kept_bytes < _MOST_KEPT_BYTES)
            if not self._ended and (stretch := self.session.send(items)) is not None:
                self._send(stretch)

    def end(self) -> None:
        """End all calls; nothing is told of them any more."""
        with self._room:
            self._ended = True
            self._room.notify_all()
        self._host.close()


class Agent:
    """Serves the head that is reached by `way` until it is closed.

    `succeeds` is the incarnation of the agent before it on this machine, when nothing of it is left. `gone` is told
    why, when the head will not have it any more.
    """

    def __init__(
        self,
        way: Way,
        machine: Machine,
        incarnation: str,
        *,
        succeeds: str = "",
        gone: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._machine = machine
        self._incarnation = incarnation
        self._succeeds = succeeds
        self._gone = gone
        self._cluster = self._name = ""
        self._epoch = 0
        self._lock = threading.RLock()
        self._served: dict[str, Served] = {}
        self._lease = Lease(_FIRST_LEASE_S, clock.now())
        self._gpus_lost: Mapping[str, str] = {}
        self._drain: pb.Drain | None = None
        self._drain_since = 0.0
        self._line: Line[pb.FromAgent, pb.ToAgent] = Line(
            way,
            Peer(
                "Serve",
                pb.FromAgent,
                pb.AgentSays,
                pb.AgentHears,
                hello=self._hello,
                take=self._take,
                broken=self._broken,
                refused=lambda refused: self._gone(refused.why),
                beat=self._beat,
                answered=self._answered,
            ),
        )
        self._line.start()

    @property
    def name(self) -> str:
        """Our node's name; empty until the head has given us one."""
        return self._name

    def miss(self, gpus: Mapping[str, str]) -> None:
        """Say which of our gpus cannot be used now, and why: the head gives none of them until they can."""
        with self._lock:
            fresh, self._gpus_lost = gpus.keys() ^ self._gpus_lost.keys(), dict(gpus)
            if fresh:
                self._tell_of_gpus()
        for name in sorted(fresh):
            _log.warning("gpu %s is %s", name, f"not used: {gpus[name]}" if name in gpus else "used again")

    def _tell_of_gpus(self) -> None:
        self._line.send(pb.FromAgent(gpus_lost=pb.GpusLost(gpus=self._gpus_lost)))

    def _hello(self) -> pb.FromAgent:
        with self._lock:
            if clock.now() >= self._lease.ends_at() and self._name:
                self._fence()
            hello = pb.AgentHello(
                cluster=self._cluster,
                host=self._machine.host,
                incarnation=self._incarnation,
                name=self._name,
                succeeds=self._succeeds,
                capacity=wire.resources(self._machine.capacity),
                gpus=self._machine.gpus,
                versions=versions_here(),
                drivers=list(self._served),
                highest_epoch=self._epoch,
                drain=self._drain_left(),
            )
        return pb.FromAgent(hello=hello)

    def _drain_left(self) -> pb.Drain | None:
        """What a head that has just been started has to know: that we are to be emptied, and by when."""
        if self._drain is None or not self._drain.deadline_s:
            return self._drain
        left_s = self._drain.deadline_s - (clock.now() - self._drain_since)
        return pb.Drain(deadline_s=max(left_s, _SHORTEST_DRAIN_S))

    def _take(self, message: pb.ToAgent) -> None:
        match message.WhichOneof("what"):
            case "parcel":
                self._serve(message.parcel)
            case "welcome":
                self._welcomed(message.welcome)
            case "back":
                with self._lock:
                    served = self._served.get(message.back.driver)
                if served is not None:
                    served.say_again()
            case "end":
                self._end(message.end.driver, message.end.why)
            case "drain":
                self._drain, self._drain_since = message.drain, clock.now()
                _log.info("node %s is drained", self._name)

    def _welcomed(self, welcome: pb.AgentWelcome) -> None:
        with self._lock:
            self._cluster, self._name, self._epoch = welcome.cluster, welcome.name, welcome.epoch
            self._succeeds = ""
            self._lease.renew(welcome.lease_s, clock.now())
            self._line.set_beat(welcome.beat_s)
            if self._machine.gpus:
                self._tell_of_gpus()
            served = list(self._served.values())
        _log.info("node %s of cluster %s", welcome.name, welcome.cluster)
        for one in served:
            one.say_again()

    def _serve(self, parcel: pb.Parcel) -> None:
        with self._lock:
            served = self._served.get(parcel.driver)
            if served is None or served.session.name != parcel.session:
                if parcel.first != 1:  # of a session that has ended
                    over = pb.Parcel(driver=parcel.driver, node=self._name, session=parcel.session, over=True)
                    self._line.send(pb.FromAgent(parcel=over))
                    return
                if served is not None:
                    served.end()
                send = partial(self._send, parcel.driver, parcel.session)
                served = self._served[parcel.driver] = Served(Session(parcel.session), self._machine.address, send)
        served.take(Stretch(parcel.first, parcel.seen, tuple(parcel.items)))

    def _send(self, driver: str, session: str, stretch: Stretch) -> None:
        parcel = pb.Parcel(
            driver=driver,
            node=self._name,
            session=session,
            first=stretch.first,
            seen=stretch.seen,
            items=stretch.items,
        )
        self._line.send(pb.FromAgent(parcel=parcel))

    def _end(self, driver: str, why: str) -> None:
        """End a driver's calls, aside: it takes a moment, and others are not to wait for it."""
        _log.info("the calls of driver %s end: %s", driver, why)

        def end() -> None:
            with self._lock:
                served = self._served.pop(driver, None)
            if served is not None:
                served.end()
            self._line.send(pb.FromAgent(ended=pb.SessionEnded(driver=driver)))

        threading.Thread(target=end, name="audition-ending", daemon=True).start()

    def _beat(self, number: int) -> None:
        now = clock.now()
        with self._lock:
            if now >= self._lease.ends_at() and self._name:
                self._fence()
                self._line.redial()  # as another, even if the old connection should come to life again
            self._lease.sent(number, now)
            served = list(self._served.values())
        for one in served:
            one.acknowledge()

    def _answered(self, number: int) -> None:
        with self._lock:
            self._lease.answered(number)

    def _broken(self, no_head: bool) -> None:
        if no_head:
            with self._lock:
                self._lease.refused(clock.now())

    def _fence(self) -> None:
        """The head may think us gone by now: end all that others may be given, before anything else is said."""
        if self._served:
            _log.warning("the head was not heard for too long: %d drivers' calls are ended", len(self._served))
        self._end_all()
        self._succeeds, self._incarnation = self._incarnation, next_life(self._incarnation)
        self._name = ""

    def _end_all(self) -> None:
        served, self._served = list(self._served.values()), {}
        endings = [threading.Thread(target=one.end) for one in served]
        for ending in endings:
            ending.start()
        for ending in endings:
            ending.join()

    def close(self) -> None:
        """End all calls, tell the head that nothing is left, and go."""
        with self._lock:
            self._end_all()
        self._line.close(pb.FromAgent(leaving=pb.Leaving()))


def reachable_address(head_host: str, head_port: int) -> str:
    """The address of this machine on the way to the head, where other nodes may reach it too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((head_host, head_port))  # sends nothing
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address
