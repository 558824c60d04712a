"""A node's end: takes the orders of one caller, runs its calls in worker processes here, and reports."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from executor import devices
from executor.framing import keep_sealed, pack_sealed
from executor.hosting.keeper import Keeper
from executor.hosting.messages import (
    Answer,
    AskMeeting,
    AskPackages,
    AskStacks,
    Begin,
    Cancel,
    Discard,
    Dismiss,
    Employ,
    Fill,
    Free,
    Freed,
    Hold,
    Kill,
    Meeting,
    Missing,
    Neighbour,
    Nudge,
    OpenDepot,
    Order,
    Post,
    Preload,
    Prepare,
    Report,
    Send,
    Ship,
    Stacks,
    Stocked,
)
from executor.hosting.packages import PackageCache
from executor.hosting.prints import Prints
from executor.hosting.staff import Staff
from executor.hosting.stock import Stock
from executor.messages import DeathCause, Died, Emitted, Event, NodeDraining, Raised, Returned, RoomAdded, RoomFreed
from executor.platform import here
from executor.processes.link import Link
from executor.processes.logs import LOG_CAP_BYTES
from executor.processes.meeting import MeetingPoints, variables
from executor.processes.protocol import ANSWER, ARGUMENT, Load
from executor.processes.servers import Source
from executor.processes.site import Seat, Site, Start

_LOOK_S = 0.5
_STAYS_LOST_S = 5.0

Deliver = Callable[[list[Report]], None]


class Host:
    """Runs what one caller orders. `take` may be called from any thread and never waits.

    Reports are delivered in order, from a thread of the host's own. `address` is where this machine can be reached by
    those that run the other workers of a gang. `lost` says which of some gpus are lost, and why.
    """

    def __init__(
        self,
        deliver: Deliver,
        *,
        address: str = "127.0.0.1",
        log_cap_bytes: int = LOG_CAP_BYTES,
        cache: PackageCache | None = None,
        lost: Callable[[Sequence[str]], Mapping[str, str]] = devices.lost,
    ) -> None:
        self._deliver = deliver
        self._address = address
        self._folder = Path(tempfile.mkdtemp(prefix="audition-"))
        self._keeper = Keeper(lambda: self._pool, str(self._folder), address, self._report)
        self._site = Site(
            self._seat_freed,
            self._gone,
            log_cap_bytes=log_cap_bytes,
            scratch=str(self._folder),
            load=keep_sealed,
            on_asked=self._keeper.asked,
        )
        self._pool = self._site.pool
        self._sources: dict[str, Source] = {}
        self._held: dict[int, dict[int, Seat]] = {}
        self._lost = lost
        self._known_lost: Mapping[str, str] = {}
        self._known_until = 0.0
        self._asking = threading.Lock()
        self._gpus: dict[str, list[str]] = {}
        self._reports: list[Report] = []
        self._prints = Prints(self._folder)
        self._stock = Stock(self._folder / "packages", self._tell_stocked, cache)
        self._staff = Staff(self._pool, self._sources, self._prints, self._report)
        self._meeting_points = MeetingPoints()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="audition-host", daemon=True)
        self._thread.start()

    def take(self, *orders: Order) -> None:
        """Obey, one order after the other."""
        with self._pool.lock:
            if not self._pool.is_closed():
                for order in orders:
                    self._take(order)

    def _take(self, order: Order) -> None:
        match order:
            case Answer() | Begin() | Cancel() | Kill():
                self._conduct(order)
            case Prepare():
                self._sources[order.digest] = self._pool.prepare_load(self._load_of(order))
            case Hold():
                seats = {one.number: Seat(one.resources, one.devices) for one in order.bundles}
                self._held[order.reservation_id] = seats
            case Free():
                self._free(order.reservation_id)
            case Employ() | Post() | Nudge() | Dismiss() | Preload():
                self._staff.take(order)
            case OpenDepot() | Neighbour() | Discard() | Missing() | Fill() | Send():
                self._keeper.take(order)
            case _:
                self._attend(order)

    def _attend(self, order: AskStacks | AskMeeting | AskPackages | Ship) -> None:
        match order:
            case AskStacks():
                threading.Thread(target=self._tell_stacks, args=(order,), daemon=True).start()
            case AskMeeting():
                self._report(Meeting(order.number, self._address, self._meeting_points.choose()))
            case AskPackages() | Ship():
                self._stock.take(order)

    def _conduct(self, order: Answer | Begin | Cancel | Kill) -> None:
        match order:
            case Answer():
                self._pool.answer(order.call_id, order.seq, pack_sealed(order.answer, ANSWER, order.seq))
            case Begin():
                self._begin(order)
            case Cancel():
                self._pool.cancel(order.call_id)
            case Kill():
                if not self._pool.is_silent(order.call_id):  # then it died, and what of is to be told
                    self._pool.kill(order.call_id, order.reason)

    def _begin(self, order: Begin) -> None:
        seat = self._held.get(order.reservation_id, {}).get(order.bundle)
        source = self._sources.get(order.digest)
        if seat is None or seat.left or source is None:
            what = "its program was not prepared" if source is None else "its reservation is not held"
            self._report(Died(order.call_id, DeathCause(unstarted=f"{what} on {socket.gethostname()}")))
            return
        environment = order.environment
        if order.rank is not None and order.meeting is not None:
            environment = {**variables(order.rank, *order.meeting), **environment}
        try:
            (link,) = self._site.seat([seat], source.digest, fresh=order.fresh)
        except OSError as error:
            cause = DeathCause(unstarted=f"no worker process could be started: {error}")
            self._report(Died(order.call_id, cause))
            return
        log_path = self._prints.follow(order.call_id, link.number)
        start = Start(order.call_id, order.seed, order.fresh, log_path, environment, order.rank)
        if seat.devices:
            self._gpus[order.call_id] = seat.devices.split(",")
        self._site.begin(seat, link, start, pack_sealed(order.argument, ARGUMENT))

    def _load_of(self, order: Prepare) -> Load:
        """What a fork server here takes over: what was sent along comes before what is here too."""
        load = _load_here(order)
        sent = [str(self._stock.path(digest)) for digest in order.modules]
        folder = str(self._stock.path(order.folder)) if order.folder else load.folder
        return load._replace(path=[*sent, *load.path], folder=folder)

    def _free(self, reservation_id: int) -> None:
        seats = self._held.get(reservation_id)
        if seats is None:
            self._report(Freed(reservation_id))
            return
        for seat in seats.values():
            if (running := seat.running()) is not None:
                self._pool.kill(running, "its reservation was released")
            self._site.leave(seat)

    def _seat_freed(self, seat: Seat) -> None:
        number, seats = next((number, seats) for number, seats in self._held.items() if seat in seats.values())
        if all(one.left and not one.links for one in seats.values()):
            del self._held[number]
            self._report(Freed(number))

    def _gone(self, link: Link) -> None:
        self._staff.leave(link)
        self._reports += self._prints.leave(link.number)

    def _tell_stacks(self, order: AskStacks) -> None:
        text = self._pool.stacks(order.call_id, order.timeout_s)
        with self._pool.lock:
            if not self._pool.is_closed():
                self._report(Stacks(order.number, text))

    def _tell_stocked(self, stocked: Stocked) -> None:
        with self._pool.lock:
            if not self._pool.is_closed():
                self._report(stocked)

    def _report(self, report: Report) -> None:
        self._reports.append(report)
        self._pool.wake()

    def _serve(self) -> None:
        look_at = time.monotonic() + _LOOK_S
        while not self._closed:
            self._pool.turn(max(0.0, look_at - time.monotonic()) if self._prints else None)
            with self._pool.lock:
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + _LOOK_S
                    self._reports += self._prints.fresh()
                reports = self._taken()
            if certain := self._certain(reports):
                self._deliver(certain)

    def _taken(self) -> list[Report]:
        """What is to be reported now: of each call what it printed comes before its end."""
        taken, self._reports = self._reports, []
        for event in self._pool.events:
            taken += self._told(event)
        self._pool.events.clear()
        return taken

    def _told(self, event: Event) -> list[Report]:
        assert not isinstance(event, RoomFreed | RoomAdded | NodeDraining)
        return [event] if isinstance(event, Emitted) else [*self._prints.fresh_of(event.call_id), event]

    def _certain(self, reports: list[Report]) -> list[Report]:
        """What can be told at once. What failed on a gpu is told once it is known whether that is lost."""
        in_use = {name for gpus in list(self._gpus.values()) for name in gpus}
        suspected = self._suspected(reports)
        if not suspected:
            return reports
        doubtful = [report for report in reports if isinstance(report, Raised | Died) and report.call_id in suspected]
        threading.Thread(
            target=self._blame, args=(doubtful, suspected, in_use), name="audition-blame", daemon=True
        ).start()
        return [report for report in reports if report not in doubtful]

    def _blame(self, doubtful: list[Raised | Died], suspected: Mapping[str, list[str]], in_use: set[str]) -> None:
        """Have calls whose gpus are lost died of that: their code saw some error of CUDA's."""
        with self._asking:
            lost = self._lost_of({name for gpus in suspected.values() for name in gpus}, in_use)
        told: list[Report] = [
            _died_of(report, {name: lost[name] for name in gpus})
            if (gpus := [name for name in suspected[report.call_id] if name in lost])
            else report
            for report in doubtful
        ]
        with self._pool.lock:
            if not self._pool.is_closed():
                self._reports += told
                self._pool.wake()

    def _suspected(self, reports: list[Report]) -> dict[str, list[str]]:
        """The gpus of the calls that failed by themselves."""
        found = {}
        for report in reports:
            if not isinstance(report, Returned | Raised | Died):
                continue
            gpus = self._gpus.pop(report.call_id, [])
            failed = isinstance(report, Raised) or (isinstance(report, Died) and not report.cause.killed)
            if gpus and failed:
                found[report.call_id] = gpus
        return found

    def _lost_of(self, suspects: set[str], in_use: set[str]) -> Mapping[str, str]:
        """Which gpus are lost, and why. All in use are asked about at once, and what is lost stays so for a while.

        A driver in trouble takes its time for each answer, and what uses them fails together.
        """
        if time.monotonic() >= self._known_until or not suspects <= self._known_lost.keys():
            self._known_lost = self._lost(sorted(in_use))
            self._known_until = time.monotonic() + _STAYS_LOST_S
        return self._known_lost

    def close(self) -> None:
        """End all processes; nothing is reported any more."""
        self._closed = True
        self._pool.wake()
        if self._thread is not threading.current_thread():
            self._thread.join()
        self._pool.close()
        self._keeper.close()
        self._stock.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _died_of(report: Raised | Died, lost: Mapping[str, str]) -> Died:
    """How a call ended that had these gpus, which are lost."""
    told = "; ".join(f"gpu {name} of {socket.gethostname()} is lost: {why}" for name, why in lost.items())
    log_tail = report.error.log_tail if isinstance(report, Raised) else report.cause.log_tail
    return Died(report.call_id, DeathCause(lost=told, log_tail=log_tail))


def _load_here(order: Prepare) -> Load:
    """What a fork server on this machine takes over: the caller's surroundings as far as they are here too."""
    around = order.surroundings
    own = [entry or str(Path.cwd()) for entry in sys.path]
    theirs = [entry for entry in around.path if Path(entry).exists()]
    folder = around.folder if Path(around.folder).is_dir() else str(Path.cwd())
    return Load(
        path=list(dict.fromkeys([*theirs, *own])),
        arguments=list(around.arguments),
        folder=folder,
        environment={**os.environ, **order.environment},
        overrides=dict(order.environment),
        sources=dict(around.sources),
        preload=order.preload,
        program=order.program,
        can_fork=here.can_fork(),
        scratch="",
    )
