"""The library's workers on this machine: child processes, and all that the machine has."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from executor import devices, labels
from executor.depot.store import Place, Store
from executor.framing import gathered, pack
from executor.interrupts import Interrupts
from executor.library.backend import Backend, Take, WorkerLink, call_of
from executor.library.host import Host, Post
from executor.library.ledger import Lease, OwnLedger
from executor.library.plans import Surrounding
from executor.messages import Event
from executor.platform import check, here
from executor.processes.link import Link, RunningCall
from executor.processes.logs import LOG_CAP_BYTES
from executor.processes.pool import Pool
from executor.processes.protocol import ARGUMENT, ORDER, Order
from executor.resources import Node, Resources

_STORE_SHARE = 0.3
_NAME = "node-1"


@dataclass(frozen=True, slots=True)
class Offer:
    """What of this machine may be used; what is not given is discovered."""

    cpus: float | None = None
    gpus: float | None = None
    memory: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    store_bytes: int | None = None
    spill_folder: str | None = None


class Machine(Backend):
    """See the module."""

    is_here = True
    node = _NAME

    def __init__(self, offer: Offer) -> None:
        check()
        names = devices.names(offer.gpus)
        memory = here.usable_memory() if offer.memory is None else offer.memory
        amounts = {
            "cpu": here.usable_cpus() if offer.cpus is None else offer.cpus,
            "gpu": len(names) if offer.gpus is None else offer.gpus,
            "memory": memory,
        }
        capacity = Resources.of({**offer.resources, **amounts}) + labels.offered(offer.labels)
        self.folder = tempfile.mkdtemp(prefix="audition-")
        self.ledger = OwnLedger(Node(_NAME, capacity), devices.Devices(names) if names else None)
        self.store = Store(
            offer.store_bytes or int(memory * _STORE_SHARE), self.folder, offer.spill_folder or self.folder
        )
        pool = Pool(self._tell_gone, log_cap_bytes=LOG_CAP_BYTES, scratch=self.folder)
        self.lock, self._pool = pool.lock, pool
        self._source = pool.prepare(Host(), Host().preload(), {})

    def endings(self) -> list[Event]:
        if not self._pool.events:
            return []
        events, self._pool.events = self._pool.events, []
        return events

    def _tell_gone(self, link: Link) -> None:
        self.on_gone(link)

    def turn(
        self, timeout_s: float | None, interrupts: Interrupts | None = None, then: Callable[[], None] | None = None
    ) -> None:
        self._pool.turn(timeout_s, interrupts, then)

    def wake(self) -> None:
        self._pool.wake()

    def check_open(self) -> None:
        self._pool.check_open()

    def start(self, surrounding: Surrounding, lease: Lease, take: Take) -> WorkerLink:
        link = self._pool.open_link(self._source.digest, memory_bytes=surrounding.memory_bytes or 0)
        log_path = self.log_path(link.number)
        seed = int.from_bytes(os.urandom(8), "little")
        order = Order(seed, True, log_path, dict(surrounding.environment), surrounding.threads, lease.devices)
        argument = Post(link.number, surrounding, _NAME, is_among_nodes=False)
        call = RunningCall(call_of(link.number), log_path, listener=take)
        self._pool.begin(link, call, gathered(pack(tuple(order), ORDER), pack(argument, ARGUMENT)), last=True)
        return link

    def give_back(self, place: Place) -> None:
        self.store.give_back(place.segment)

    def preload(self, modules: list[str]) -> None:
        self._pool.preload(self._source.digest, modules)

    def kill(self, number: int, reason: str) -> None:
        self._pool.kill(call_of(number), reason)

    def stacks(self, number: int, timeout_s: float) -> str:
        return self._pool.stacks(call_of(number), timeout_s)

    def close(self) -> None:
        self._pool.close()
        self.store.close()
        shutil.rmtree(self.folder, ignore_errors=True)
