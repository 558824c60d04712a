"""What a trainable may call: `report`, `get_checkpoint`, `get_context`, `should_stop`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune.storage.checkpoints import Checkpoint
from tune.worker.session import CheckpointSource, Session, current

__audition_internal__ = True


def report(
    metrics: Mapping[str, Any] | None = None, /, *, checkpoint: CheckpointSource | None = None, **named: Any
) -> None:
    """Report one result of the running trial; waits for the decision on it, where there can be one.

    Args:
        metrics: a dictionary of metrics. Any JSON value is kept, numpy and torch scalars are converted; what trials
            are compared by must be a number.
        checkpoint: a directory already written (or a `Checkpoint`), saved with this result; or a function of a
            directory that writes the files into it, called only when a save is wanted.
        **named: further metrics, as keywords.

    Raises:
        TypeError: a metric cannot be kept.
        NotInTrialError: no trial runs in this process.
        NotRankZeroError: this worker is not rank 0 of its gang.
        TrialLeave: the trial shall end; let it pass (it is no `Exception`).
    """
    current("tune.report").report({**(metrics or {}), **named} if named else metrics or {}, checkpoint)


def get_checkpoint() -> Checkpoint | None:
    """The checkpoint to go on from, None when the trial starts from the beginning. In a gang all have the same."""
    files = current("tune.get_checkpoint").files
    return Checkpoint(files) if files else None


def should_stop() -> bool:
    """Whether the trial was told to end: for training loops whose callbacks swallow exceptions.

    In a gang rank 0 is told; the others see it once rank 0 has left.
    """
    return current("tune.should_stop").should_stop


class TuneContext:
    """Facts about the running trial."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_trial_id(self) -> str:
        """The trial's id, for example ``t12``."""
        return self._session.task.trial_id

    def get_trial_name(self) -> str:
        """The experiment's name and the trial's id."""
        return f"{self._session.setting.experiment}_{self._session.task.trial_id}"

    def get_trial_dir(self) -> str:
        """A directory for the trial's own files, made when first asked for."""
        path = Path(self._session.setting.directory, "artifacts", self._session.task.trial_id)
        path.mkdir(parents=True, exist_ok=True)
        return str(path)

    def get_trial_resources(self) -> dict[str, float]:
        """What is reserved for the trial, by kind; in a gang, for each worker."""
        return dict(self._session.task.resources)

    def get_experiment_name(self) -> str:
        """The experiment's name."""
        return self._session.setting.experiment

    def get_attempt(self) -> int:
        """Which attempt of the trial this is, from 1."""
        return self._session.task.attempt

    def get_world_rank(self) -> int:
        """Which worker of the trial this is, from 0; always 0 but in a gang."""
        return self._session.rank.number

    def get_world_size(self) -> int:
        """How many workers run the trial; 1 but in a gang."""
        return self._session.rank.size

    def get_local_rank(self) -> int:
        """Which of the trial's workers on this machine this is, from 0."""
        return self._session.rank.local_number

    def get_local_world_size(self) -> int:
        """How many of the trial's workers run on this machine."""
        return self._session.rank.local_size

    def get_rendezvous_dir(self) -> str:
        """A new directory that the workers of this attempt share: made when it is asked for, removed at the end.

        Raises:
            StorageNotSharedError: they run on several nodes, and share none.
        """
        self._session.meeting_place.mkdir(parents=True, exist_ok=True)
        return str(self._session.meeting_place)


def get_context() -> TuneContext:
    """Facts about the running trial: ids, directory, resources."""
    return TuneContext(current("tune.get_context"))
