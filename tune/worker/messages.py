"""What a trial's process sends up while it runs; the answers are those of `tune.machine.events`."""

from __future__ import annotations

from typing import Any, NamedTuple

from searchers.domain import Domain
from tune.machine.events import CheckpointRef


class Task(NamedTuple):
    """What one attempt is given: everything else is the same for all trials of the experiment."""

    trial_id: str
    attempt: int
    config: dict[str, Any]
    checkpoint: CheckpointRef | None
    resources: dict[str, float]
    free_until: int = 0


class Process(NamedTuple):
    """Which process an attempt runs in."""

    pid: int
    hostname: str


class Report(NamedTuple):
    """A result, after `seconds` of work; `offers` when a checkpoint could be saved if asked, `saves` when one is.

    `process` comes with the first result of an attempt.
    """

    metrics: dict[str, Any]
    seconds: float
    checkpoint: CheckpointRef | None = None
    offers: bool = False
    process: Process | None = None
    saves: bool = False


class Begin(NamedTuple):
    """The user's code is about to run."""


class Bring(NamedTuple):
    """A checkpoint is being saved that the next report brings along."""


class Stage(NamedTuple):
    """The files of the checkpoint that was asked for are written; it is saved while the trial goes on."""


class Save(NamedTuple):
    """A checkpoint is complete."""

    checkpoint: CheckpointRef


class Unsaved(NamedTuple):
    """The checkpoint was not saved."""

    why: str


class Piece(NamedTuple):
    """A piece of a file of the checkpoint `name`, from a machine that does not see where it is kept."""

    name: str
    file: str
    offset: int
    content: bytes


class Arrived(NamedTuple):
    """All pieces of the checkpoint `name` were sent: it is to be kept."""

    name: str


class Want(NamedTuple):
    """A trial asks for a piece of a file of the checkpoint `name`: bytes, None when there is no such file."""

    name: str
    file: str
    offset: int


class Trouble(NamedTuple):
    """The answer to one of these three that could not be done: the system's number of the error, 0 when it has none."""

    errno: int
    why: str


class Ask(NamedTuple):
    """A define-by-run trial asks for the value of a parameter."""

    name: str
    domain: Domain


class Refuse(NamedTuple):
    """The checkpoint to start from is damaged; the answer names another, or None."""

    checkpoint: CheckpointRef
    why: str


class Outcome(NamedTuple):
    """What the call returns: whether it ended because it was told to, and the last metrics it returned."""

    by_order: bool
    metrics: dict[str, Any] | None = None
    seconds: float = 0.0
    process: Process | None = None


Emission = Report | Begin | Bring | Stage | Save | Unsaved | Piece | Arrived | Want | Ask | Refuse
