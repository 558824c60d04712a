"""Hooks that a user may hang on a run: each does nothing by default, and one that raises ends nothing.

One that raises again and again is told nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tune.machine.events import CheckpointRef


@dataclass(frozen=True, slots=True)
class TrialFacts:
    """A trial as an event left it; what happens afterwards does not change it."""

    trial_id: str
    config: Mapping[str, Any]
    state: str
    last_result: Mapping[str, Any] | None


class Callback:
    """Told what happens, in order, in the driver's process, on a thread that all callbacks of a run share.

    A slow one holds up no trial. While ten thousand notices wait for it, results and checkpoints are left out, never
    starts and ends; what still waits at the end of the run is told within half a minute. `trials` and `trial` are as
    they were at the event. Everything is given as keywords, so that a hook may name what it needs and take the rest as
    ``**information``. `iteration` counts all results of the experiment.
    """

    def setup(self, *, directory: str, name: str) -> None:
        """The run begins, or goes on: it waits for this."""

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
