"""All that a caller such as `tune` needs of an executor: the contract that every implementation keeps in full."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

from executor.messages import Call, Event, Rank, Reservation
from executor.resources import Node, Request


@dataclass(frozen=True, slots=True)
class Step:
    """What a stepwise program emits next, and how many seconds of its life that took (virtual time uses them).

    With ``waits=False`` it goes on at once, answered None; once the call is cancelled it waits for its answer too.
    In a gang only rank 0 emits: the steps of the others hold None, take their time, and are answered None.
    """

    payload: Any
    seconds: float = 0.0
    waits: bool = True


class Channel(ABC):
    """The program's end of its call, inside the worker."""

    rank: Rank = Rank()
    """The worker's place in its gang; alone it is 0 of 1."""

    @abstractmethod
    def emit(self, payload: Any) -> Any:
        """Send `payload` up and wait for the answer to it.

        Raises:
            RuntimeError: the worker is not rank 0 of its gang.
        """

    @abstractmethod
    def tell(self, payload: Any) -> None:
        """Send `payload` up and go on; waits only while the caller is too far behind with what was sent before."""

    @property
    @abstractmethod
    def cancelled(self) -> bool:
        """Whether the caller asked this call to end soon."""


class Program(ABC):
    """What calls run. It is pickled once and sent to every worker, so it must not hold locks, sockets or open files.

    A program is written as `steps`, a generator that yields what to emit and receives the answers; then every executor
    runs it, the simulated one in virtual time. One that cannot be cut into steps overrides `run`, and does not
    simulate.
    """

    def preload(self) -> Sequence[str]:
        """Modules worth importing before workers are forked; those that fail to import are left to the worker."""
        return ()

    @abstractmethod
    def steps(self, argument: Any) -> Generator[Step, Any, Any]:
        """Run on `argument`: yield what is emitted, receive each answer, return the call's value."""

    def steps_of(self, rank: Rank, argument: Any) -> Generator[Step, Any, Any]:
        """Run on `argument` as one worker of a gang; by default as `steps`, whatever the rank."""
        return self.steps(argument)

    def run(self, channel: Channel, argument: Any) -> Any:
        """Run on `argument` in a process of its own; by default drives `steps_of`."""
        return drive(channel, self.steps_of(channel.rank, argument))


def drive(channel: Channel, steps: Generator[Step, Any, Any]) -> Any:
    """Emit what `steps` yields, send it the answers, and return what it returns; once cancelled every step waits."""
    answer = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return end.value
        if channel.rank.number and step.payload is None:
            answer = None
            continue
        waits = step.waits or channel.cancelled
        answer = channel.emit(step.payload) if waits else channel.tell(step.payload)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A program that an executor has taken over; `digest` names its code."""

    program: Program
    digest: str


class TrialExecutor(ABC):
    """Runs calls on reservations. A trial is one streaming call on one reservation.

    For each started call, `events` yields any number of `Emitted`, with `seq` 1, 2, 3 and so on, then exactly one of
    `Returned`, `Raised` or `Died`, and nothing after it. A program waits in `emit` until its `Emitted` is answered by
    `reply`. All methods may be called from any thread, `events` from one thread at a time.

    A call on a reservation for a gang runs in every bundle and is one call all the same. Rank 0 alone emits, and its
    value is the call's. When a worker dies, the others are ended at once; when it raises, half a second later, because
    who loses its partner may speak first. The call then ends as that worker did, by its `rank`: the first that died,
    else the first that raised, with the tracebacks of all that raised. When rank 0 returns, the others are cancelled,
    and ended after `Call.grace_s`. Once the caller has cancelled the call only rank 0's end counts: then others may
    fail for having lost it.

    Where somebody empties a node, `NodeDraining` says so to those who hold room there. Their calls go on.
    """

    real_time = True
    """False when time is virtual and passes only inside `events`: answer what was emitted before asking for more."""

    @abstractmethod
    def nodes(self) -> tuple[Node, ...]:
        """The machines there are, with all that each has."""

    @abstractmethod
    def clock(self) -> float:
        """Seconds on this executor's own clock, which only goes forward."""

    @abstractmethod
    def wall_clock(self) -> float:
        """Seconds since 1970, for people to read; never used to decide anything."""

    @abstractmethod
    def prepare(self, program: Program, *, environment: Mapping[str, str] | None = None) -> Prepared:
        """Take over `program`, so that calls of it start quickly; returns at once, warming up goes on behind.

        Raises:
            ProgramNotPicklableError: the program cannot be sent to a worker process.
        """

    @abstractmethod
    def reserve(self, request: Request) -> Reservation | None:
        """Hold room for `request`, all of it or none; None when it does not fit just now.

        Raises:
            InfeasibleRequestError: it would not fit even if everything were idle.
        """

    @abstractmethod
    def release(self, reservation: Reservation) -> None:
        """Give the room back and end the worker process in it. `RoomFreed` follows once it can be reserved again.

        A call that still runs there is killed and ends as `Died`. Releasing twice does nothing.
        """

    @abstractmethod
    def start(self, prepared: Prepared, reservation: Reservation, call: Call) -> None:
        """Begin `call` on a reservation that runs no other call. Failing to start is told as `Raised` or `Died`.

        It runs in the first bundle, in all of them when the reservation is for a gang.

        Raises:
            ValueError: the reservation was released or runs another call, or a call of this id is running.
        """

    @abstractmethod
    def reply(self, call_id: str, seq: int, answer: Any) -> None:
        """Answer the emission `seq`; does nothing when the call has ended, or when `seq` does not wait for an answer.

        Raises:
            TypeError: `answer` cannot be sent to a worker process; the emission still waits.
        """

    def together(self) -> AbstractContextManager[object]:
        """Let all that calls are told within it be on its way at the end of it: many answers at a time cost less so.

        Nothing is to wait within it.
        """
        return nullcontext()

    @abstractmethod
    def cancel(self, call_id: str) -> None:
        """Ask the call to end soon; does nothing when it has ended.

        A program that overrides `run` sees `channel.cancelled`. One that is written as steps waits from now on for an
        answer to what it would have told, `Emitted` with ``waits=True``, and can be told to end in that. In a gang rank
        0 is asked, so that the others do not leave it alone in the middle of what they do together.
        """

    @abstractmethod
    def kill(self, call_id: str, reason: str) -> None:
        """End the call's process or processes and all that they started, at once; `Died` with `reason` follows."""

    def stacks(self, call_id: str, *, timeout_s: float = 5.0) -> str:
        """Where the call's process stands right now, all its threads, innermost frames first; for people to read.

        Harms nobody. A sentence says so when there is no answer in time; empty where calls have no process.
        """
        return ""

    @abstractmethod
    def events(self, until: float | None) -> list[Event]:
        """What happened since the last call, waiting for the first until the clock reads `until` (None: no limit).

        Returns an empty list when the time has come, and may do so earlier.
        """

    @abstractmethod
    def wake(self) -> None:
        """Make a waiting `events` return now; safe from any thread and from a signal handler."""

    @abstractmethod
    def close(self) -> None:
        """End every process, give everything back. Bounded in time, and calling it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
