"""What there is just now: actors, calls, resources, objects, processes; as values, and as a table to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from executor import labels
from executor.depot.store import StoreUse
from executor.platform import here
from executor.resources import Resources, shown

if TYPE_CHECKING:
    from executor.library.hub import Hub


@dataclass(frozen=True, slots=True)
class ActorStatus:
    """One actor: its state, the process that it runs in, how many calls wait for it or run, how often it restarted."""

    name: str
    registered_name: str | None
    state: str
    pid: int | None
    pending_calls: int
    restarts: int
    resources: Resources
    node: str = ""
    """Where it is, if there are several nodes."""


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One worker process: its work, and the bytes of memory that are its own alone or its share of.

    None where that is unknown; `node` is where it is, if there are several.
    """

    pid: int
    work: str
    memory_bytes: int | None
    node: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What there is just now."""

    total: Resources
    available: Resources
    actors: tuple[ActorStatus, ...]
    processes: tuple[ProcessStatus, ...]
    running_calls: int
    waiting_calls: tuple[tuple[str, int], ...]
    objects: int
    awaited_objects: int
    store: StoreUse

    def __str__(self) -> str:
        free = {kind: self.available[kind] for kind in self.total}
        amounts = ", ".join(
            f"{shown(kind, free[kind])} of {shown(kind, self.total[kind])} {kind}" for kind in self.total
        )
        store = f"{shown('memory', self.store.memory_bytes)} of {shown('memory', self.store.budget_bytes)} memory"
        disk = f", {shown('memory', self.store.disk_bytes)} on disk" if self.store.disk_bytes else ""
        large = f"{self.store.objects} large: {store}{disk}"
        lines = [
            f"free       {amounts}",
            f"objects    {self.objects} there, {self.awaited_objects} awaited; {large}",
            f"calls      {self.running_calls} run"
            + "".join(f"; {count} wait for {needs}" for needs, count in self.waiting_calls),
            "",
            *_table(
                ("actor", "name", "state", "node", "pid", "calls", "restarts", "holds"),
                [
                    (a.name, a.registered_name or "", a.state, a.node, str(a.pid or ""), str(a.pending_calls),
                     str(a.restarts), str(a.resources))
                    for a in self.actors
                ],
            ),
            "",
            *_table(
                ("process", "node", "memory", "work"),
                [
                    (str(p.pid), p.node, "" if p.memory_bytes is None else shown("memory", p.memory_bytes), p.work)
                    for p in self.processes
                ],
            ),
        ]  # fmt: skip
        return "\n".join(line.rstrip() for line in lines)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]


def available(hub: Hub, free: Resources) -> Resources:
    """What can be had, of which `free` is held by nobody: what idle workers hold they give to whoever asks."""
    idle = [lease for lease in hub.tasks.idle_leases() if hub.ledger.counts(lease)]
    return labels.without(sum((lease.request.total for lease in idle), free))


def status_of(hub: Hub, free: Resources) -> Status:
    """The status of a hub, where nobody holds what is `free`; its lock is held."""
    actors = []
    for actor in hub.actors.all.values():
        pid, where = (actor.worker.pid or None, actor.worker.where) if actor.worker is not None else (None, "")
        plan = actor.plan
        actors.append(
            ActorStatus(
                actor.name, plan.registered_name, actor.state.value, pid, actor.pending, actor.restarts,
                plan.plan.resources, where,
            )
        )  # fmt: skip
    processes = []
    for worker in hub.workers.all.values():
        if worker.lease is None and not worker.pid:
            continue  # a detached actor's, which is its caretaker's process
        if worker.actor is not None:
            work = f"actor {worker.actor.name}"
        else:
            work = ", ".join(call.plan.name for call in list(worker.running.values())[:1]) or "idle"
        memory_bytes = here.memory_of(worker.pid) if worker.pid and not worker.where else None
        processes.append(ProcessStatus(worker.pid, work, memory_bytes, worker.where))
    entries = [entry for number, entry in hub.objects.entries.items() if number not in hub.actors.all]
    there = sum(entry.outcome is not None for entry in entries)
    running = sum(len(worker.running) for worker in hub.workers.all.values())
    waiting = tuple((str(plan.resources), count) for plan, count in hub.tasks.waiting())
    return Status(
        hub.ledger.total(), available(hub, free), tuple(actors), tuple(processes), running, waiting, there,
        len(entries) - there, hub.store.use(),
    )  # fmt: skip
