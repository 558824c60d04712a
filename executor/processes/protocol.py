"""What the driver, its fork servers and their workers say to each other.

Between driver and fork server: records of fixed size, so that file descriptors stay with theirs. Between driver and
worker: frames on the data socket, `NUDGE` records on the control socket. The only peer is our own child process, so
what it pickles is trusted as much as the program it runs.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from executor.messages import Rank

COMMAND = Struct("<IIQ")
"""Driver to fork server: a `Command`, the worker's number and a value, with the descriptors that it needs."""

NUDGE = Struct("<IQ")
"""Driver to worker: which of the worker's calls, counted from 1, is meant, and a word for its program.

The two sockets keep no order between them: this may arrive before the call's own order, or after its end.
"""

CANCEL = 0
"""The word that asks the call to end soon; every other one means what the program and its caller agreed on."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""What numerical libraries read when they are loaded to know how many threads to start."""

NOTICE = Struct("<IIi")
"""Fork server to driver: a `Notice`, the worker's number and a value."""

MEMORY_USE = Struct("<QQQ")
"""Bytes used, allowed (0 without a limit) and free."""


class Command(IntEnum):
    """What a fork server is asked to do."""

    LOAD = 1  # with a file that holds a pickled `Load`
    START = 2  # a worker; value: the bytes of memory it may use, 0 without a limit; with sockets and stack file
    KILL = 3
    IMPORT = 4  # modules, for the workers to come; with a file of their names, a line each
    STACKS = 5  # have a worker write where it stands into its file


class Notice(IntEnum):
    """What a fork server tells."""

    READY = 1  # value: bytes of the text that follows, which says why workers are not forked; 0 when they are
    ENDED = 2  # value: the wait status; the worker and all that it started are gone
    REFUSED = 3  # value: the errno for which no process could be started
    MEMORY = 4  # value: bytes of the `MEMORY_USE` that follows; it was the cause of the next ending


class Load(NamedTuple):
    """All that a fork server takes over from the driver."""

    path: list[str]
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    overrides: dict[str, str]  # the part of `environment` that wins over what a call's cpus ask for
    sources: dict[str, list[str]]  # lines of code that is in no file, for tracebacks: a notebook's cells
    preload: tuple[str, ...]
    program: bytes
    can_fork: bool
    scratch: str  # a folder to remove when the driver is gone


class Order(NamedTuple):
    """How a worker runs its next call; its argument follows in a frame of its own."""

    seed: int
    last: bool
    log_path: str | None
    environment: dict[str, str]
    threads: int
    devices: str | None
    rank: Rank | None = None  # when it runs in a gang


# The kinds of frames that a worker is sent.
ORDER = 0  # plain values of an `Order`
ARGUMENT = 1  # of the order before it
ANSWER = 2  # number: the seq of the emission that it answers
POSTED = 3  # to a program that takes what its caller posts, in this order

GRANTED = 0
"""Begins what is posted as the answer to `ASKED`: its number, whether it went well, and the value or why not."""

# The kinds of frames that it sends up; the number is the emission's seq.
EMITTED = 10  # the program waits for its answer
TOLD = 11
RETURNED = 12
ASKED = 14  # not a pickle: JSON, for the host on its machine; the number is the question's
RAISED = 13  # not a pickle: a `RemoteError` as JSON, for whoever reads it without running anybody's code
