"""The class form of a trainable: set up once, step again and again, saved and loaded between steps."""

from __future__ import annotations

import atexit
import os
import pickle
from collections.abc import Generator
from pathlib import Path
from typing import Any

from executor.interface import Step
from tune.machine.events import Answer
from tune.worker.session import Session

__audition_internal__ = True

_DICT_FILE = "_dict_checkpoint.pkl"


class Trainable:
    """Base of class trainables; only `step` must be written.

    The life of one: ``setup(config)``, then ``load_checkpoint`` when the trial goes on from one, then ``step()`` until
    it returns ``done=True`` or is told to end, ``save_checkpoint`` whenever a save is wanted, at last ``cleanup()``.
    With ``reuse_actors=True`` the object is kept for the next trial when ``reset_config(config)`` returns True.
    """

    config: dict[str, Any]
    _session: Session

    def setup(self, config: dict[str, Any]) -> None:
        """Build the model and load the data. Values given by `tune.with_parameters` come as keywords."""

    def step(self) -> dict[str, Any]:
        """Train for one iteration and return its metrics; ``done=True`` among them ends the trial."""
        raise NotImplementedError(f"{type(self).__name__} must define step()")

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any] | str | None:
        """Write the state into `checkpoint_dir` (and return None or the directory), or return it as a dictionary."""
        raise NotImplementedError(f"{type(self).__name__} must define save_checkpoint() to be saved")

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Take the state back: the dictionary that `save_checkpoint` returned, or the directory it wrote."""
        raise NotImplementedError(f"{type(self).__name__} must define load_checkpoint() to go on from a checkpoint")

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become a fresh trial with `new_config`; False (the default) when a new object is needed."""
        return False

    def cleanup(self) -> None:
        """Let go of whatever `setup` took; called once, however the trial ends."""

    @property
    def iteration(self) -> int:
        """How many iterations are complete."""
        return self._session.iteration

    @property
    def training_iteration(self) -> int:
        """The same as `iteration`."""
        return self._session.iteration

    @property
    def trial_id(self) -> str:
        """The trial's id, for example ``t12``."""
        return self._session.task.trial_id

    @property
    def trial_name(self) -> str:
        """The experiment's name and the trial's id."""
        return f"{self._session.setting.experiment}_{self._session.task.trial_id}"

    @property
    def trial_resources(self) -> dict[str, float]:
        """What is reserved for the trial, by kind."""
        return dict(self._session.task.resources)


# The object of the process's last trial, kept for the next when the process is.
_kept: Trainable | None = None


def live_steps(
    session: Session, cls: type[Trainable], parameters: dict[str, Any]
) -> Generator[Step, Answer, dict[str, Any] | None]:
    """Run a class trainable as a dialogue: every emission is a report, a save, or a refused checkpoint."""
    yield from session.announcing()
    if session.told_to_leave:
        return None
    trainable = _make(session, cls, parameters)
    whole = False
    try:
        yield from session.starting()
        if session.files is not None:
            _load(trainable, session.files)
        while True:
            result = trainable.step()
            saves = _saver(trainable) if _can_save(cls) else None
            yield from session.reporting(result, saves)
            if session.told_to_leave or result.get("done"):
                whole = True
                return None
    finally:
        if whole and session.setting.reuse and cls.reset_config is not Trainable.reset_config:
            _keep(trainable)
        else:
            trainable.cleanup()


def _make(session: Session, cls: type[Trainable], parameters: dict[str, Any]) -> Trainable:
    global _kept
    config = session.task.config
    kept, _kept = _kept, None
    if kept is not None:
        kept._session, before = session, kept._session  # noqa: SLF001 (ours)
        if type(kept) is cls and kept.reset_config(config):
            kept.config = config
            return kept
        kept._session = before  # noqa: SLF001 (ours)
        kept.cleanup()
    trainable = cls()
    trainable.config = config
    trainable._session = session
    trainable.setup(config, **parameters)
    return trainable


def _keep(trainable: Trainable) -> None:
    """Keep the object for the next trial of this process; the last one cleans up when the process ends."""
    global _kept
    _kept = trainable
    atexit.unregister(_clean_up)
    atexit.register(_clean_up)


def _clean_up() -> None:
    if _kept is not None:
        _kept.cleanup()


def _can_save(cls: type[Trainable]) -> bool:
    return cls.save_checkpoint is not Trainable.save_checkpoint


def _saver(trainable: Trainable) -> Any:
    def fill(directory: str) -> None:
        saved = trainable.save_checkpoint(directory)
        if isinstance(saved, dict):
            Path(directory, _DICT_FILE).write_bytes(pickle.dumps(saved))
        elif saved is not None and Path(saved).resolve() != Path(directory).resolve():
            raise ValueError(
                f"save_checkpoint must write into {directory} or return a dictionary, it returned {saved!r}"
            )

    return fill


def _load(trainable: Trainable, path: Path) -> None:
    """Load what this trial, or the one that it is a copy of, saved: the dictionary was pickled by the same class."""
    file = path / _DICT_FILE
    state = pickle.loads(file.read_bytes()) if file.is_file() else os.fspath(path)  # noqa: S301 (of this run, verified)
    trainable.load_checkpoint(state)
