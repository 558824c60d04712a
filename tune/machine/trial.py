"""One trial: its life as a transition table, and all that is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from executor.resources import Request
from tune.machine.events import CheckpointRef, Failure
from tune.machine.saving import Saving
from tune.machine.totals import Point, Totals


class TrialState(StrEnum):
    """Where a trial stands. The last two are final, unless the user reopens the trial."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    STOPPING = "STOPPING"
    SUSPENDING = "SUSPENDING"
    TERMINATED = "TERMINATED"
    ERROR = "ERROR"

    @property
    def final(self) -> bool:
        """Whether the trial will not run again of itself."""
        return self in _FINAL

    @property
    def live(self) -> bool:
        """Whether a process runs for it."""
        return self in _LIVE


class Turn(StrEnum):
    """What can happen to a trial's life."""

    LAUNCHED = "launched"
    TOLD_TO_PAUSE = "told to pause"
    TOLD_TO_STOP = "told to stop"
    TOLD_TO_SUSPEND = "told to suspend"
    LEFT = "left as told"
    RETURNED = "returned by itself"
    FAILED = "failed, another attempt is allowed"
    FAILED_FOR_GOOD = "failed for good"
    INTERRUPTED = "its controller was gone"
    INTERRUPTED_SAVING = "its controller was gone before it had saved what it was told to leave with"
    DISMISSED = "will never be chosen again"
    REOPENED = "goes on by the user's wish"


_S, _T = TrialState, Turn
_LIVE = (_S.RUNNING, _S.PAUSING, _S.STOPPING, _S.SUSPENDING)
_FINAL = (_S.TERMINATED, _S.ERROR)

# A decision taken stands, however the process then ends: a trial that was told to stop and crashed on its way out is
# stopped, not failed; one that was told to pause and finished instead is finished. One that leaves to go on, as a copy
# or with other resources, and uses up its failures on the way has failed: told so again, it would fail again, for ever.
# One that leaves unasked (an Optuna objective may prune itself) is finished as well: it would leave again, for ever.
# One whose controller dies before its last checkpoint is saved comes to the same place again, saves and leaves then.
TRANSITIONS: dict[TrialState, dict[Turn, TrialState]] = {
    _S.PENDING: {_T.LAUNCHED: _S.RUNNING, _T.DISMISSED: _S.TERMINATED},
    _S.RUNNING: {
        _T.TOLD_TO_PAUSE: _S.PAUSING,
        _T.TOLD_TO_STOP: _S.STOPPING,
        _T.TOLD_TO_SUSPEND: _S.SUSPENDING,
        _T.LEFT: _S.TERMINATED,
        _T.RETURNED: _S.TERMINATED,
        _T.FAILED: _S.PENDING,
        _T.FAILED_FOR_GOOD: _S.ERROR,
        _T.INTERRUPTED: _S.PENDING,
    },
    _S.PAUSING: {
        _T.TOLD_TO_PAUSE: _S.PAUSING,
        _T.TOLD_TO_STOP: _S.STOPPING,
        _T.TOLD_TO_SUSPEND: _S.PAUSING,
        _T.LEFT: _S.PAUSED,
        _T.RETURNED: _S.TERMINATED,
        _T.FAILED: _S.PAUSED,
        _T.FAILED_FOR_GOOD: _S.ERROR,
        _T.INTERRUPTED: _S.PAUSED,
        _T.INTERRUPTED_SAVING: _S.PENDING,
    },
    _S.STOPPING: {
        _T.TOLD_TO_PAUSE: _S.STOPPING,
        _T.TOLD_TO_STOP: _S.STOPPING,
        _T.TOLD_TO_SUSPEND: _S.STOPPING,
        _T.LEFT: _S.TERMINATED,
        _T.RETURNED: _S.TERMINATED,
        _T.FAILED: _S.TERMINATED,
        _T.FAILED_FOR_GOOD: _S.TERMINATED,
        _T.INTERRUPTED: _S.TERMINATED,
        _T.INTERRUPTED_SAVING: _S.PENDING,
    },
    _S.SUSPENDING: {
        _T.TOLD_TO_PAUSE: _S.PAUSING,
        _T.TOLD_TO_STOP: _S.STOPPING,
        _T.TOLD_TO_SUSPEND: _S.SUSPENDING,
        _T.LEFT: _S.PENDING,
        _T.RETURNED: _S.TERMINATED,
        _T.FAILED: _S.PENDING,
        _T.FAILED_FOR_GOOD: _S.ERROR,
        _T.INTERRUPTED: _S.PENDING,
    },
    _S.PAUSED: {_T.LAUNCHED: _S.RUNNING, _T.DISMISSED: _S.TERMINATED},
    _S.TERMINATED: {_T.REOPENED: _S.PENDING},
    _S.ERROR: {_T.REOPENED: _S.PENDING},
}


AUTOMATIC = frozenset(
    "training_iteration time_this_iter_s time_total_s iterations_since_restore time_since_restore timestamp trial_id"
    " timesteps_total episodes_total pid hostname done".split()
)
"""The names in a result that we fill in."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What a trial shall become: `donor` as it was at `checkpoint` (None until there is one), with `config`.

    `point` is where the checkpoint was saved; with `pause` the copy waits to be chosen.
    """

    donor: str
    config: dict[str, Any]
    reason: str = ""
    pause: bool = False
    checkpoint: CheckpointRef | None = None
    point: Point | None = None


@dataclass(slots=True)
class Trial:
    """A trial as the machine knows it. Only the machine's fold changes it.

    `request` is what it runs with, `wished` what it shall ask for when it starts next. `barren_deaths` are those of its
    process since it last came to something new. Of an attempt that runs, `launched_at` and `heard_at` are seconds of
    the experiment's life; `lived_s` is how long the attempts before it ran. `points` are where its checkpoints were
    saved, by their paths.
    """

    number: int
    trial_id: str
    config: dict[str, Any]
    state: TrialState = TrialState.PENDING
    attempt: int = 0
    failures: int = 0
    infra_failures: int = 0
    barren_deaths: list[str] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)
    restored: Totals = field(default_factory=Totals)
    told_iteration: int = 0
    last_result: dict[str, Any] | None = None
    checkpoints: list[CheckpointRef] = field(default_factory=list)
    points: dict[str, Point] = field(default_factory=dict)
    saving: Saving = field(default_factory=Saving)
    failure: Failure | None = None
    reason: str = ""
    cut_short: bool = False
    deadline: float | None = None
    rests_until: float | None = None
    launched_at: float = 0.0
    heard_at: float = 0.0
    lived_s: float = 0.0
    has_begun: bool = False
    timed_out: str = ""
    time_is_spent: bool = False
    told_to_leave: bool = False
    displaced: bool = False
    copy: Copy | None = None
    request: Request | None = None
    wished: Request | None = None
    pid: int | None = None
    hostname: str = ""

    @property
    def resources(self) -> dict[str, float]:
        """What it runs with, or would if it started now, by kind; empty when its configuration decides."""
        return self.request.total.as_dict() if self.request else {}

    @property
    def checkpoint(self) -> CheckpointRef | None:
        """The latest checkpoint, where the next attempt starts."""
        return self.checkpoints[-1] if self.checkpoints else None

    @property
    def interrupted(self) -> bool:
        """Whether it is on its way out because the run was interrupted."""
        return self.cut_short and self.state in (TrialState.SUSPENDING, TrialState.PAUSING)

    @property
    def copies_itself(self) -> bool:
        """Whether it shall go on with another configuration, once it has saved where it was told so."""
        return self.copy is not None and self.copy.donor == self.trial_id and self.copy.checkpoint is None

    @property
    def becomes_copy(self) -> bool:
        """Whether it shall go on as a copy whose checkpoint is there."""
        return self.copy is not None and self.copy.checkpoint is not None

    @property
    def may_save(self) -> bool:
        """Whether there may soon be a checkpoint of where it stands, or stood when its controller died."""
        return self.state.live or (self.state is TrialState.PENDING and self.saving.due > 0)

    @property
    def leaves_saving(self) -> bool:
        """Whether it was told to leave, and is to save first."""
        return self.saving.owed is not None and self.state in (TrialState.PAUSING, TrialState.STOPPING)

    @property
    def has_caught_up(self) -> bool:
        """Whether it stands where it has been: an attempt may begin far before."""
        return self.totals.iteration >= self.told_iteration

    def checkpoint_before(self, refused: CheckpointRef) -> CheckpointRef | None:
        """The latest checkpoint but for one that turned out to be damaged."""
        return next((one for one in reversed(self.checkpoints) if one.path != refused.path), None)

    def turn(self, turn: Turn) -> None:
        """Move on by the table; anything that is not in it is a defect of ours."""
        following = TRANSITIONS[self.state].get(turn)
        assert following is not None, f"{self.trial_id}: {turn} in {self.state}"
        self.state = following

    def result(self, metrics: dict[str, Any], seconds: float, wall: float) -> dict[str, Any]:
        """`metrics` with the automatic ones that follow from the totals so far. Changes nothing."""
        totals = self.totals.add(metrics, seconds)
        result = {
            **metrics,
            "training_iteration": totals.iteration,
            "time_this_iter_s": seconds,
            "time_total_s": totals.seconds,
            "iterations_since_restore": totals.iteration - self.restored.iteration,
            "time_since_restore": totals.seconds - self.restored.seconds,
            "timestamp": wall,
            "trial_id": self.trial_id,
        }
        if totals.timesteps is not None:
            result["timesteps_total"] = totals.timesteps
        if totals.episodes is not None:
            result["episodes_total"] = totals.episodes
        if self.pid is not None:
            result["pid"], result["hostname"] = self.pid, self.hostname
        result.setdefault("done", False)
        return result

    def restore(self, checkpoint: CheckpointRef | None) -> None:
        """Go back to where `checkpoint` was saved; None goes back to the beginning."""
        point = self.points.get(checkpoint.path) if checkpoint else None
        unknown = Totals(iteration=checkpoint.iteration if checkpoint else 0)
        self.totals = self.restored = point.totals if point else unknown
