"""What an executor says to the hosts of its nodes, and what they tell. All values are frozen.

What users' programs give and take stays sealed on the way: only the caller and the workers open it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from executor.framing import Sealed
from executor.hosting.packages import Package
from executor.messages import Died, Emitted, Raised, Rank, Returned
from executor.resources import Resources


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the caller stands: its `sys.path`, `sys.argv`, current folder, and code that is in no file by its name.

    A host takes over what there is of it on its own machine.
    """

    path: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    folder: str = ""
    sources: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Get ready for calls of a program, a pickle that only workers load; said once to a host, before the first call."""

    digest: str
    program: bytes = field(repr=False)
    preload: tuple[str, ...]
    environment: dict[str, str]
    surroundings: Surroundings = field(repr=False)
    modules: tuple[str, ...] = ()
    """The packages, by their names, from which it may import; the host has them by then."""
    folder: str = ""
    """The one of these in which calls work, if any."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One bundle of a reservation: its place in the request, what it holds, and its gpus as Cuda names them."""

    number: int
    resources: Resources
    devices: str | None


@dataclass(frozen=True, slots=True)
class Hold:
    """Have these bundles of a reservation on your node."""

    reservation_id: int
    bundles: tuple[Bundle, ...]


@dataclass(frozen=True, slots=True)
class Free:
    """Have the reservation no longer; what still runs in it is killed. `Freed` follows once it is gone."""

    reservation_id: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Run a call, or one worker of a gang's call, in a bundle."""

    call_id: str
    reservation_id: int
    bundle: int
    digest: str
    argument: Sealed = field(repr=False)
    seed: int
    fresh: bool
    environment: dict[str, str]
    rank: Rank | None = None
    meeting: tuple[str, int] | None = None
    """Where the workers of a gang find rank 0: an address and a port."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call's emission."""

    call_id: str
    seq: int
    answer: Sealed = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask the call to end soon."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Kill:
    """End the call at once."""

    call_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class AskStacks:
    """Tell where the call's process stands; `Stacks` of this number follows."""

    number: int
    call_id: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class AskMeeting:
    """Tell where a gang whose rank 0 runs on your node may meet; `Meeting` of this number follows."""

    number: int


@dataclass(frozen=True, slots=True)
class AskPackages:
    """Have these packages, and tell in `Stocked` which are missing; they are sent then."""

    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ship:
    """Here is a package. `Stocked` follows once none is missing any more."""

    package: Package


@dataclass(frozen=True, slots=True)
class Employ:
    """Start a worker that its caller talks to as long as it lives: what it holds is the caller's own affair.

    Its first call begins with it and has `call_id`; `Kill` and `AskStacks` are about it too.
    """

    call_id: str
    digest: str
    argument: Sealed = field(repr=False)
    seed: int
    environment: dict[str, str]
    threads: int
    devices: str | None
    memory_bytes: int
    """How much it may use with all that it starts; 0 for any."""


@dataclass(frozen=True, slots=True)
class Post:
    """Say something to an employed worker, after all that was said before."""

    call_id: str
    message: Sealed = field(repr=False)


@dataclass(frozen=True, slots=True)
class Nudge:
    """Say a word to an employed worker past all that waits to be read."""

    call_id: str
    word: int


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Let an employed worker end by itself."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Preload:
    """Have the workers of a prepared program that start from now on find these modules imported."""

    digest: str
    modules: tuple[str, ...]


Employing = Employ | Post | Nudge | Dismiss | Preload
"""What a host is told about workers that it employs."""


@dataclass(frozen=True, slots=True)
class OpenDepot:
    """Keep large objects, as the node called so, and serve who shows the same certificate. `DepotOpened` follows."""

    name: str
    certificate: bytes
    key: bytes = field(repr=False)
    store_bytes: int
    """How much memory they may take; 0 for a share of all that there is."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another node keeps objects too, and is to be reached there."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Nobody needs an object any more: one of your own, or your copy of another's."""

    home: str
    segment: int


@dataclass(frozen=True, slots=True)
class Missing:
    """What you `Wanted` cannot be had."""

    home: str
    segment: int
    why: str


@dataclass(frozen=True, slots=True)
class Fill:
    """A piece of what you `Wanted`, from a driver that cannot reach you. It is to be asked for the next one."""

    home: str
    segment: int
    offset: int
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Send:
    """Tell a `Piece` of an object of yours, for a driver that cannot reach you."""

    home: str
    segment: int
    offset: int


Keeping = OpenDepot | Neighbour | Discard | Missing | Fill | Send
"""What a host is told about objects."""

Order = (
    Prepare | Hold | Free | Begin | Answer | Cancel | Kill | AskStacks | AskMeeting | AskPackages | Ship
    | Employing | Keeping
)  # fmt: skip
"""What a host is told."""


@dataclass(frozen=True, slots=True)
class Printed:
    """What the call's process printed since it was last told; nothing once it is gone and prints no more."""

    call_id: str
    text: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Freed:
    """Nothing of the reservation is left on this node."""

    reservation_id: int


@dataclass(frozen=True, slots=True)
class Stacks:
    """Where a process stands, for people to read."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where a gang may meet."""

    number: int
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Stocked:
    """Which packages the host has not; or why it cannot have them."""

    missing: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DepotOpened:
    """Objects are kept, and to be had there; where the port is 0, by nobody directly."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object of another node, or of the driver, is needed here and cannot be fetched; what follows on `offset`."""

    home: str
    segment: int
    size: int
    why: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Allocated:
    """A call's process was given room for an object here; told before that process can say so, or end."""

    call_id: str
    segment: int


@dataclass(frozen=True, slots=True)
class Copied:
    """There is a copy of it here."""

    home: str
    segment: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an object, as asked for; it may go on past its end. Empty when there is no such object."""

    home: str
    segment: int
    offset: int
    content: bytes = field(repr=False)


Kept = DepotOpened | Wanted | Allocated | Copied | Piece
"""What a host tells of objects."""

Report = Emitted | Returned | Raised | Died | Printed | Freed | Stacks | Meeting | Stocked | Kept
"""What a host tells; payloads and values are `Sealed`."""
