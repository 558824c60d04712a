"""What happens to an experiment (events), what it then wants done (commands), and what the journal keeps (entries).

Events are facts, named in the past; a verdict is what a policy decided on one; an entry is both, with its time. Folding
the entries, in order, gives the experiment's state: nothing else is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schedulers.base import Continue, Decision
from searchers.domain import Domain


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """A saved checkpoint: its directory relative to the experiment's, the iteration it was saved at, its size."""

    path: str
    iteration: int
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt ended early.

    `kind` is ``raised``, ``died``, ``timed_out``, ``refused`` (its report could not be taken), or ``killed`` when we
    ended it. Of a process that died at most one of `exit_code` and `signal` is known.
    """

    kind: str
    summary: str
    traceback: str = ""
    where: str = ""
    log_tail: str = ""
    exit_code: int | None = None
    signal: str = ""
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided on a report: the decision, whether a checkpoint is wanted now, and how far it may go on freely.

    Results before iteration `free_until` will be answered by nothing but to go on, so the trial need not wait.
    """

    decision: Decision = Continue()
    save: bool = False
    free_until: int = 0


# Events about the experiment as a whole.


@dataclass(frozen=True, slots=True)
class Opened:
    """A process on `host` took the experiment up: for the first time, or again. Whatever ran before is gone.

    `resources` is what all nodes have together, by kind.
    """

    host: str
    resources: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchEnded:
    """The searcher will suggest nothing more; `error` says what went wrong when it failed."""

    error: str = ""


@dataclass(frozen=True, slots=True)
class Closing:
    """No trial shall start any more, and those that run shall end.

    With ``keep=True`` running trials save and wait for a resume (Ctrl-C); otherwise they end for good (a time budget, a
    stopper, a first failure with ``fail_fast``). `error` is set when the run cannot go on, `signal` to the name of the
    signal that asked for it.
    """

    reason: str
    keep: bool = False
    error: str = ""
    signal: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing runs and nothing more can start."""


@dataclass(frozen=True, slots=True)
class HeldUp:
    """The run itself, or its storage, let trials wait for `seconds`: no timeout of theirs goes on meanwhile."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """A `part` of the run raised too often and is asked, or told, nothing more until the experiment is taken up again.

    `part` is ``scheduler``, ``stopper``, ``callback`` or ``searcher``, `name` its class, `why` what it raised last.
    """

    part: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class SpaceChanged:
    """The run goes on with another search space, of which the trials from number `first` on are.

    The searcher knows those of the earlier ones that fit it, and not the `foreign` ones.
    """

    first: int
    foreign: tuple[str, ...] = ()


# Events about one trial.


@dataclass(frozen=True, slots=True)
class Suggested:
    """There is a new trial with `config`. The searcher knew the first `asked_after` entries; 0: all so far."""

    trial_id: str
    config: dict[str, Any]
    asked_after: int = 0


@dataclass(frozen=True, slots=True)
class Launched:
    """An attempt begins from `checkpoint` (None: from the beginning); see `Verdict` for `free_until`."""

    trial_id: str
    attempt: int
    checkpoint: CheckpointRef | None = None
    free_until: int = 0


@dataclass(frozen=True, slots=True)
class Begun:
    """The user's code runs; told only where it is waited for with a timeout.

    With a `seq` the trial waits for an answer: it was told before that something was decided about it.
    """

    trial_id: str
    attempt: int
    seq: int = 0


@dataclass(frozen=True, slots=True)
class ParameterGiven:
    """A running define-by-run trial asked for a parameter of `domain` and was given `value`."""

    trial_id: str
    attempt: int
    seq: int
    name: str
    domain: Domain
    value: Any


@dataclass(frozen=True, slots=True)
class Reported:
    """A trial reported `metrics` after `seconds` of work.

    `seq` is 0 when the trial did not wait for an answer. `checkpoint` is set when it came saved with the report,
    `saves` when one is being saved aside, `offers` when the trial could save one if asked. The first report of an
    attempt says which process it runs in.
    """

    trial_id: str
    attempt: int
    seq: int
    metrics: dict[str, Any]
    seconds: float
    checkpoint: CheckpointRef | None = None
    offers: bool = False
    pid: int | None = None
    hostname: str = ""
    saves: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """What the scheduler decided about a trial when another, `by`, reported or ended."""

    trial_id: str
    decision: Decision
    by: str = ""


@dataclass(frozen=True, slots=True)
class Exploited:
    """A trial that does not run became a copy: its next attempt starts from the donor's `checkpoint` with `config`.

    `seconds`, `timesteps` and `episodes` are the donor's totals when it saved the checkpoint: the copy counts on.
    """

    trial_id: str
    donor: str
    checkpoint: CheckpointRef
    config: dict[str, Any]
    seconds: float = 0.0
    timesteps: float | None = None
    episodes: float | None = None


@dataclass(frozen=True, slots=True)
class ExploitDropped:
    """A trial will not become a copy of `donor` after all."""

    trial_id: str
    donor: str
    why: str


@dataclass(frozen=True, slots=True)
class ResizeDropped:
    """A trial goes on with the resources that it had: the others cannot be had."""

    trial_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Evicted:
    """The node that an attempt runs on is to be emptied: it shall save at its next report, and go on elsewhere."""

    trial_id: str
    attempt: int
    why: str


@dataclass(frozen=True, slots=True)
class SaveBegun:
    """The files of a checkpoint that was asked for are written; the trial goes on while it is saved aside.

    With `seq` 0 it is one that the trial saves before the report that it comes with.
    """

    trial_id: str
    attempt: int
    seq: int


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint is complete: one that was asked for, or with `seq` 0 one that was saved aside."""

    trial_id: str
    attempt: int
    seq: int
    checkpoint: CheckpointRef


@dataclass(frozen=True, slots=True)
class SaveFailed:
    """A checkpoint could not be saved: the trial's latest is the one before; `seq` is 0 when it waits for no answer."""

    trial_id: str
    attempt: int
    seq: int
    why: str


@dataclass(frozen=True, slots=True)
class CheckpointRefused:
    """The worker found `checkpoint` torn or changed and will not load it."""

    trial_id: str
    attempt: int
    seq: int
    checkpoint: CheckpointRef
    why: str


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt's function returned; `by_order` when it was told to stop or pause.

    `metrics` is what it returned, a last report without an answer.
    """

    trial_id: str
    attempt: int
    by_order: bool = False
    metrics: dict[str, Any] | None = None
    seconds: float = 0.0
    pid: int | None = None
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt raised or its process died. `final` when the trial's failures are used up."""

    trial_id: str
    attempt: int
    failure: Failure
    final: bool = False


@dataclass(frozen=True, slots=True)
class Overdue:
    """An attempt that was told to end has not done so in time."""

    trial_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TimedOut:
    """An attempt has been silent, or has run, for too long."""

    trial_id: str
    attempt: int
    why: str


@dataclass(frozen=True, slots=True)
class Rested:
    """A trial that failed by no fault of its own may start again."""

    trial_id: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The process that ran the experiment was gone, and this attempt with it.

    `again` when the trial had been told to leave and was still saving: it comes to the same place again to do so.
    """

    trial_id: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Dismissed:
    """A trial that waited or was paused will not run again: the experiment is over."""

    trial_id: str


@dataclass(frozen=True, slots=True)
class Reopened:
    """A trial that had ended goes on, by the user's wish: from its latest checkpoint, or with `restart` from zero."""

    trial_id: str
    restart: bool = False


ExperimentEvent = Opened | SearchEnded | Closing | Finished | HeldUp | SwitchedOff | SpaceChanged
TrialEvent = (
    Suggested
    | Launched
    | Begun
    | ParameterGiven
    | Reported
    | Decided
    | Exploited
    | ExploitDropped
    | ResizeDropped
    | Evicted
    | SaveBegun
    | Saved
    | SaveFailed
    | CheckpointRefused
    | Ended
    | Failed
    | Overdue
    | TimedOut
    | Rested
    | Interrupted
    | Dismissed
    | Reopened
)
Event = ExperimentEvent | TrialEvent


class Entry(NamedTuple):
    """One row of the journal: an event, the verdict on it, when (seconds of the experiment's life, and wall time).

    `iteration` is the trial's, for results, checkpoints and launches; `state` is where the trial then stands.
    """

    time: float
    wall: float
    event: Event
    verdict: Verdict | None = None
    iteration: int | None = None
    state: str | None = None


# Commands: done only after the entry that led to them is committed.


@dataclass(frozen=True, slots=True)
class Start:
    """Start an attempt, from `checkpoint` on."""

    trial_id: str
    attempt: int
    config: dict[str, Any]
    seed: int
    checkpoint: CheckpointRef | None
    free_until: int = 0


class GoOn(NamedTuple):
    """Answer: carry on, and wait for no answer to results before iteration `free_until`."""

    free_until: int = 0


class SaveNow(NamedTuple):
    """Answer: save the checkpoint you offered, tell, and wait for the next answer."""


class Leave(NamedTuple):
    """Answer: end now; `why` is shown to nobody but the logs."""

    why: str = ""


class Take(NamedTuple):
    """Answer: the value asked for."""

    value: Any


Answer = GoOn | SaveNow | Leave | Take


class Reply(NamedTuple):
    """Answer emission `seq` of an attempt."""

    trial_id: str
    attempt: int
    seq: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Nudge:
    """Let an attempt know that it shall end soon (it sees `should_stop()`)."""

    trial_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End an attempt's process; with `stacks` it is asked first where it stands."""

    trial_id: str
    attempt: int
    reason: str
    stacks: bool = False


@dataclass(frozen=True, slots=True)
class DeleteCheckpoint:
    """Remove a checkpoint that nothing refers to any more."""

    checkpoint: CheckpointRef


@dataclass(frozen=True, slots=True)
class SetAside:
    """Keep a damaged checkpoint, which nothing refers to any more, for people to look at."""

    checkpoint: CheckpointRef


Command = Start | Reply | Nudge | Kill | DeleteCheckpoint | SetAside
