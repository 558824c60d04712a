"""What a trial scheduler is: something that decides, at each result, which trial goes on, pauses or stops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on."""


@dataclass(frozen=True, slots=True)
class Save:
    """Save a checkpoint, then go on."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Save a checkpoint, give up the resources, and wait to be chosen again; `reason` is shown to people."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the trial for good; `reason` is kept with its result: ``9th of 12 at rung 2 (epoch 9), needed 4th``.

    `complete` when it ran its full course, rather than being cut short.
    """

    reason: str = ""
    complete: bool = False


Decision = Continue | Save | Pause | Stop


class Trial(Protocol):
    """What a scheduler sees of a trial."""

    @property
    def trial_id(self) -> str: ...
    @property
    def config(self) -> Mapping[str, Any]: ...


class Candidates(Protocol):
    """The trials that could run now, oldest first: never started or waiting for another attempt, and paused."""

    @property
    def waiting(self) -> Mapping[str, Trial]: ...
    @property
    def paused(self) -> Mapping[str, Trial]: ...


@dataclass(frozen=True, slots=True)
class ScheduleContext:
    """What a scheduler is given before it is asked anything; `mode` is ``min`` or ``max``."""

    metric: str | None = None
    mode: str | None = None
    seed: int = 0


NEVER = 2**53
"""An iteration that no trial reaches."""


class TrialScheduler:
    """Decides on results; every hook has a default, so a new scheduler writes only what it needs.

    A decision is a function of the context and the history told so far: on resume the scheduler is told the whole
    history, in order, by the same hooks, and its answers are dropped. `result` holds the trial's metrics and
    ``training_iteration``, ``time_total_s`` and the other automatic ones; a metric may be NaN, or missing.
    """

    init_arguments: tuple[tuple[Any, ...], dict[str, Any]]
    context: ScheduleContext

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the constructor's arguments: the experiment's recipe keeps them as data."""
        self = super().__new__(cls)
        self.init_arguments = (args, kwargs)
        return self

    def bind(self, context: ScheduleContext) -> None:
        """Take metric, mode and seed. Called once, before anything else.

        Raises:
            ValueError: the scheduler needs a metric and has none, or was given another than the run's.
        """
        self.context = context

    def on_trial_add(self, trial: Trial) -> None:
        """A trial exists; it has not started."""

    def on_trial_start(self, trial: Trial) -> None:
        """A trial starts: for the first time, after a pause, or again after a failure."""

    def on_trial_pause(self, trial: Trial) -> None:
        """A trial that was told to pause has done so, and may be chosen to go on."""

    def on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> Decision:
        """A running trial reported: what shall it do? Told once for each of its iterations."""
        return Continue()

    def free_until(self, trial: Trial, iteration: int) -> int:
        """The ``training_iteration`` before which no result of `trial` will be answered but by `Continue`.

        `trial` stands at `iteration`. It then reports without waiting for answers until there. By default a scheduler
        that decides on results promises nothing; one that never does promises `NEVER`.
        """
        return NEVER if type(self).on_trial_result is TrialScheduler.on_trial_result else 0

    def on_trial_complete(self, trial: Trial, result: Mapping[str, Any] | None) -> None:
        """A trial ended for good, by itself, by a decision or by a stop criterion, with its last result."""

    def on_trial_error(self, trial: Trial) -> None:
        """A trial failed for good."""

    def choose_trial_to_run(self, trials: Candidates) -> str | None:
        """Which of the candidates starts next in the room that is free; None to leave it to a new trial.

        When this answers None, nothing runs, and no new trial can be had, the paused trials end.
        """
        return next(iter(trials.waiting), None) or next(iter(trials.paused), None)
