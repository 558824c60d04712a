"""What travels between a caller, its executor and the programs it runs. All values are frozen."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from executor.resources import Request, shown


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room held on nodes until released: one node name a bundle, the program's own first."""

    reservation_id: int
    request: Request
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rank:
    """A worker's place in the gang that runs a call: `number` of `size`, and the same among those on its node."""

    number: int = 0
    size: int = 1
    local_number: int = 0
    local_size: int = 1


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a prepared program on a reservation.

    `call_id` is chosen by the caller and never used twice. `seed` seeds Python's, numpy's and torch's random state
    before the program runs. With `fresh=False` the reservation's idle worker process is taken over when it ran the same
    program before; otherwise, and always with `fresh=True`, the call gets a process of its own. `log_path` is where the
    process's stdout and stderr go; None lets them pass through to the caller's own. `environment` is added to the
    process's own.

    On a reservation for a gang the program runs in every bundle, with the same argument and the same seed, always in
    processes of its own. Rank 0 is the first bundle's and prints to `log_path`, the others to ``NAME.rank1.EXT`` and so
    on beside it. `grace_s` is how long the others may go on after rank 0 has returned.
    """

    call_id: str
    argument: Any
    seed: int = 0
    fresh: bool = True
    log_path: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    grace_s: float = 5.0


class Emitted(NamedTuple):
    """The program sent `payload`; `seq` counts from 1 within the call. `waits` when it stands still until answered."""

    call_id: str
    seq: int
    payload: Any
    waits: bool = True


@dataclass(frozen=True, slots=True)
class Returned:
    """The program ended and returned `value`. Nothing of this call follows."""

    call_id: str
    value: Any


@dataclass(frozen=True, slots=True)
class RemoteError:
    """An exception as text: safe to keep and to show, whatever its class.

    `traceback` has the user's own frames only, `where` the innermost of them as ``file:line in function``; `log_tail`
    the last lines that the process printed; `rank` which worker of a gang it was; `unloaded` says that the program
    did not even begin, since it could not be loaded where it was to run.
    """

    type_name: str
    message: str
    traceback: str
    where: str = ""
    log_tail: str = ""
    rank: int | None = None
    unloaded: bool = False

    def as_json(self) -> str:
        """All of it as text."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `as_json` made."""
        return cls(**json.loads(text))

    def __str__(self) -> str:
        told = f"{self.type_name}: {self.message}" if self.message else self.type_name
        return told if self.rank is None else f"rank {self.rank}: {told}"


@dataclass(frozen=True, slots=True)
class Raised:
    """The program ended by an exception. Nothing of this call follows."""

    call_id: str
    error: RemoteError


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """How much memory there was when it ran out.

    `used_bytes` is what the process and all that it started used, as far as it is known; `allowed_bytes` the limit that
    they were above, None when it was the machine that had no more; `free_bytes` what the machine had free just after.
    """

    used_bytes: int
    allowed_bytes: int | None
    free_bytes: int

    def __str__(self) -> str:
        used, free = shown("memory", self.used_bytes), shown("memory", self.free_bytes)
        if self.allowed_bytes is None:
            return (
                "the machine ran out of memory, and the system probably ended the process: "
                f"it used up to {used}, and {free} are free now"
            )
        allowed = shown("memory", self.allowed_bytes)
        return f"the process ran out of memory: it used {used} of {allowed} allowed, and the machine had {free} free"


@dataclass(frozen=True, slots=True)
class DeathCause:
    """Why a worker process ended without returning or raising.

    Exactly one of `exit_code` and `signal` (by name, ``SIGKILL``) is set when the system told us; `killed` is the
    reason given to `kill` when the executor itself ended it; `log_tail` the last lines it printed; `memory` is set when
    it ended because memory ran out; `rank` says which worker of a gang it was; `unstarted` why there never was one;
    `lost` that its node is gone, and why that is thought.
    """

    exit_code: int | None = None
    signal: str | None = None
    killed: str | None = None
    log_tail: str = ""
    memory: MemoryUse | None = None
    rank: int | None = None
    unstarted: str = ""
    lost: str = ""

    def __str__(self) -> str:
        return self._told if self.rank is None else f"rank {self.rank}: {self._told}"

    @property
    def _told(self) -> str:
        if self.killed or self.unstarted or self.lost:
            return self.killed or self.unstarted or self.lost
        if self.memory:
            return str(self.memory)
        if self.signal:
            return f"the process was ended by {self.signal}"
        if self.exit_code is not None:
            return f"the process exited with code {self.exit_code} before the function returned"
        return "the process is gone"


@dataclass(frozen=True, slots=True)
class Died:
    """The worker process ended without the program returning or raising. Nothing of this call follows."""

    call_id: str
    cause: DeathCause


@dataclass(frozen=True, slots=True)
class RoomFreed:
    """Room that had been released can now be reserved again."""


@dataclass(frozen=True, slots=True)
class RoomAdded:
    """There may be room that there was not before: a node has joined, or somebody else has given some back."""


@dataclass(frozen=True, slots=True)
class NodeDraining:
    """A node is to be emptied: room on it is to be given back soon, and no more of it is given. `why` is a phrase."""

    node: str
    why: str


Event = Emitted | Returned | Raised | Died | RoomFreed | RoomAdded | NodeDraining
