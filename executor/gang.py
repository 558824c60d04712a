"""A call on several workers as one: what a worker's end means for the others, and what is told of them all.

An executor runs the workers of a gang as calls of their own, called members, and has `Gangs` sift what it tells of
them. Pure: it is given the time, and ends members through what it was made with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from executor.messages import (
    Call,
    DeathCause,
    Died,
    Event,
    Raised,
    Rank,
    RemoteError,
    Reservation,
    Returned,
)

Ending = Returned | Raised | Died

HEARING_S = 0.5
"""How long after an exception the others are listened to before they are ended.

Who lost its partner in the middle of a collective may tell of it sooner than the partner tells what went wrong.
"""


def ranks_of(reservation: Reservation) -> tuple[Rank, ...]:
    """The ranks that a call on `reservation` runs as: one for each bundle of a gang, else only one."""
    if not reservation.request.gang:
        return (Rank(),)
    nodes, seen, ranks = reservation.nodes, Counter[str](), []
    for number, node in enumerate(nodes):
        ranks.append(Rank(number, len(nodes), seen[node], nodes.count(node)))
        seen[node] += 1
    return tuple(ranks)


def log_of(path: str | None, rank: Rank) -> str | None:
    """Where `rank` prints, when rank 0 prints to `path`."""
    if path is None or not rank.number:
        return path
    log = Path(path)
    return str(log.with_name(f"{log.stem}.rank{rank.number}{log.suffix}"))


def refusal(rank: Rank) -> str:
    """What a program is told that emits although it may not."""
    return f"rank {rank.number} of {rank.size} cannot emit: in a gang only rank 0 does"


class Gang:
    """One call's workers between its start and its end."""

    def __init__(self, call: Call, size: int, hearing_s: float) -> None:
        self.call_id = call.call_id
        self.size = size
        self.running = set(range(size))
        self.asked = False
        """Whether the caller asked the call to end: then what the others do on the way out does not count."""
        self.killed: str | None = None
        self.deadline: float | None = None
        """When those that still run are ended."""
        self._doomed = False
        self._grace_s, self._hearing_s = call.grace_s, hearing_s
        self._endings: list[tuple[int, Ending]] = []
        self._deaths: list[tuple[int, DeathCause]] = []
        """But for those whom we ended, who had done nothing."""

    def take(self, rank: int, ending: Ending, now: float) -> None:
        """A worker has ended."""
        self.running.remove(rank)
        self._endings.append((rank, ending))
        if isinstance(ending, Died) and not (self._doomed and ending.cause.killed):
            self._deaths.append((rank, ending.cause))
        patience_s = self._patience_s(rank, ending)
        if patience_s is not None and not self._doomed:
            until = now + patience_s
            self.deadline = until if self.deadline is None else min(until, self.deadline)

    def _patience_s(self, rank: int, ending: Ending) -> float | None:
        """How long the others may go on after this end; None when it does not matter to them."""
        if isinstance(ending, Returned):
            return None if rank else self._grace_s
        if self.asked and rank:
            return None
        return 0.0 if isinstance(ending, Died) else self._hearing_s

    def doom(self) -> None:
        """All that still run are being ended."""
        self._doomed, self.deadline = True, None

    def ending(self) -> Ending:
        """How the call ended, once no worker runs any more."""
        first = dict(self._endings)[0]
        if self.killed is not None:
            tail = first.cause.log_tail if isinstance(first, Died) else ""
            return Died(self.call_id, DeathCause(killed=self.killed, log_tail=tail))
        if self.asked and isinstance(first, Returned):
            return first
        if self._deaths:
            rank, cause = self._deaths[0]
            return Died(self.call_id, replace(cause, rank=self._named(rank)))
        errors = [(rank, one.error) for rank, one in self._endings if isinstance(one, Raised)]
        return Raised(self.call_id, self._together(errors)) if errors else first

    def _together(self, errors: Sequence[tuple[int, RemoteError]]) -> RemoteError:
        """The first error, with the tracebacks of all."""
        rank, error = errors[0]
        if self.size == 1:
            return error
        alike: dict[str, list[str]] = {}  # as a mistake in what all of them run is
        for number, one in errors:
            alike.setdefault(one.traceback, []).append(str(number))
        told = [
            f"In rank{'s' if len(ranks) > 1 else ''} {', '.join(ranks)} of {self.size}:\n{traceback}"
            for traceback, ranks in alike.items()
        ]
        return replace(error, rank=rank, traceback="\n".join(told))

    def _named(self, rank: int) -> int | None:
        return rank if self.size > 1 else None


class Gangs:
    """The gangs that run on one executor, which `kill` and `cancel` members as they are told to."""

    def __init__(
        self, kill: Callable[[str, str], None], cancel: Callable[[str], None], *, hearing_s: float = HEARING_S
    ) -> None:
        self._kill, self._cancel, self._hearing_s = kill, cancel, hearing_s
        self._gangs: dict[str, Gang] = {}
        self._members: dict[str, tuple[Gang, int]] = {}

    def __len__(self) -> int:
        return len(self._gangs)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._gangs

    def open(self, call: Call, ranks: Sequence[Rank]) -> list[str]:
        """The members that run as `ranks`; rank 0's is the call itself, to which its emissions belong."""
        gang = self._gangs[call.call_id] = Gang(call, len(ranks), self._hearing_s)
        self._members |= {_member(call.call_id, rank): (gang, rank) for rank in gang.running}
        return [_member(call.call_id, rank.number) for rank in ranks]

    def call_of(self, member: str) -> str:
        """The call that `member` belongs to: itself unless it is one of a gang."""
        return self._members[member][0].call_id if member in self._members else member

    def ask(self, call_id: str) -> None:
        """The caller asks the call to end soon."""
        if gang := self._gangs.get(call_id):
            gang.asked = True

    def kill(self, call_id: str, reason: str) -> bool:
        """End all members at once; whether the call is a gang's."""
        gang = self._gangs.get(call_id)
        if gang is None:
            return False
        if gang.killed is None:
            gang.killed = reason
            self._end(gang, reason)
        return True

    def until(self, limit: float | None = None) -> float | None:
        """How long to wait for events at most: until `limit`, or until `sift` is due even if there are none."""
        if not self._gangs:
            return limit
        times = [limit, *(gang.deadline for gang in self._gangs.values())]
        return min((time for time in times if time is not None), default=None)

    def sift(self, events: Iterable[Event], now: float) -> list[Event]:
        """What is told of `events`: of a gang rank 0's emissions, and one ending once every member has ended."""
        if not self._gangs:
            return list(events)
        told: list[Event] = []
        for event in events:
            if not isinstance(event, Ending) or event.call_id not in self._members:
                told.append(event)
                continue
            gang, rank = self._members.pop(event.call_id)
            gang.take(rank, event, now)
            if isinstance(event, Returned) and not rank:
                for other in gang.running:
                    self._cancel(_member(gang.call_id, other))
            if not gang.running:
                del self._gangs[gang.call_id]
                told.append(gang.ending())
        for gang in list(self._gangs.values()):
            if gang.deadline is not None and now >= gang.deadline:
                self._end(gang, "another rank had ended")
        return told

    def _end(self, gang: Gang, reason: str) -> None:
        gang.doom()
        for rank in sorted(gang.running):
            self._kill(_member(gang.call_id, rank), reason)


def _member(call_id: str, rank: int) -> str:
    return f"{call_id}\0rank {rank}" if rank else call_id
