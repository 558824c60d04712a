"""Hooks that a user may hang on a run: each does nothing by default, and one that raises ends nothing.

One that raises again and again is told nothing more.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from tune.machine.events import (
    CheckpointRef,
    Decided,
    Dismissed,
    Ended,
    Entry,
    Failed,
    Finished,
    Launched,
    Reported,
    Saved,
)
from tune.machine.experiment import Experiment
from tune.machine.trial import Trial, TrialState

log = logging.getLogger(__name__)

MOST_ERRORS = 10
"""How often a callback may raise."""


class TrialFacts(Protocol):
    """What a callback sees of a trial."""

    @property
    def trial_id(self) -> str: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def state(self) -> str: ...
    @property
    def last_result(self) -> Mapping[str, Any] | None: ...


class Callback:
    """Told what happens, in the driver's process, on the loop's thread: return quickly.

    Everything is given as keywords, so that a hook may name what it needs and take the rest as ``**information``.
    `iteration` counts all results of the experiment.
    """

    def setup(self, *, directory: str, name: str) -> None:
        """The run begins, or goes on."""

    def on_trial_start(self, *, iteration: int, trials: Sequence[TrialFacts], trial: TrialFacts) -> None:
        """An attempt of `trial` starts."""

    def on_trial_result(
        self, *, iteration: int, trials: Sequence[TrialFacts], trial: TrialFacts, result: Mapping[str, Any]
    ) -> None:
        """`trial` reported `result`."""

    def on_trial_save(self, *, iteration: int, trials: Sequence[TrialFacts], trial: TrialFacts) -> None:
        """A checkpoint of `trial` is complete."""

    def on_checkpoint(
        self, *, iteration: int, trials: Sequence[TrialFacts], trial: TrialFacts, checkpoint: CheckpointRef
    ) -> None:
        """The same, with the checkpoint."""

    def on_trial_complete(self, *, iteration: int, trials: Sequence[TrialFacts], trial: TrialFacts) -> None:
        """`trial` ended for good."""

    def on_trial_error(self, *, iteration: int, trials: Sequence[TrialFacts], trial: TrialFacts) -> None:
        """`trial` failed for good."""

    def on_experiment_end(self, *, trials: Sequence[TrialFacts]) -> None:
        """The run ends."""


class Dispatcher:
    """Turns the experiment's entries into the hooks of callbacks."""

    def __init__(self, experiment: Experiment, callbacks: Sequence[Callback]) -> None:
        self._experiment = experiment
        self._callbacks = list(callbacks)
        self._errors: Counter[int] = Counter()

    def __call__(self, entry: Entry) -> None:
        event = entry.event
        if isinstance(event, Finished):
            self._each(lambda callback: callback.on_experiment_end(trials=self._trials()))
        elif isinstance(event, Launched | Reported | Decided | Saved | Ended | Failed | Dismissed):
            ended = entry.state == TrialState.TERMINATED
            self._trial(event, self._experiment.trials[event.trial_id], ended=ended)

    def setup(self, directory: str, name: str) -> None:
        """The run begins, or goes on."""
        self._each(lambda callback: callback.setup(directory=directory, name=name))

    def _trial(
        self, event: Launched | Reported | Decided | Saved | Ended | Failed | Dismissed, trial: Trial, *, ended: bool
    ) -> None:
        about: dict[str, Any] = {"iteration": self._experiment.results, "trials": self._trials(), "trial": trial}
        if isinstance(event, Launched):
            self._each(lambda callback: callback.on_trial_start(**about))
        if isinstance(event, Reported | Ended) and event.metrics is not None and trial.last_result is not None:
            result = {**trial.last_result, "config": trial.config}
            self._each(lambda callback: callback.on_trial_result(**about, result=result))
        if isinstance(event, Reported | Saved) and event.checkpoint is not None:
            checkpoint = event.checkpoint
            self._each(lambda callback: callback.on_trial_save(**about))
            self._each(lambda callback: callback.on_checkpoint(**about, checkpoint=checkpoint))
        if ended:
            self._each(lambda callback: callback.on_trial_complete(**about))
        if isinstance(event, Failed) and trial.state is TrialState.ERROR:
            self._each(lambda callback: callback.on_trial_error(**about))

    def _trials(self) -> Sequence[TrialFacts]:
        return _Everyone(self._experiment.trials)

    def _each(self, call: Callable[[Callback], None]) -> None:
        for callback in list(self._callbacks):
            try:
                call(callback)
            except Exception:
                self._errors[id(callback)] += 1
                over = self._errors[id(callback)] >= MOST_ERRORS
                more = f" for the {MOST_ERRORS}th time and is told nothing more" if over else ""
                log.exception("callback %s raised%s", type(callback).__name__, more)
                if over:
                    self._callbacks.remove(callback)


class _Everyone(Sequence[TrialFacts]):
    """All trials, in order, without copying them for every event."""

    def __init__(self, trials: Mapping[str, Trial]) -> None:
        self._by_id = trials

    def __len__(self) -> int:
        return len(self._by_id)

    def __getitem__(self, at: Any) -> Any:
        return list(self._by_id.values())[at]

    def __iter__(self) -> Iterator[TrialFacts]:
        return iter(self._by_id.values())
