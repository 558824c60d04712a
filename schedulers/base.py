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


@dataclass(frozen=True, slots=True)
class Exploit:
    """Become a copy of `donor`, a trial's id: go on from where it stands, with `config`, under the same id.

    The trial's own attempt ends; iteration and totals continue from the donor's checkpoint. A donor that has not saved
    since its last report is told to, and the trial goes on meanwhile; if the donor ends first, its latest checkpoint
    will do, and without any nothing comes of it. With the trial
    itself as `donor`, it saves and goes on with `config`. With `pause` the copy waits to be chosen.
    """

    donor: str
    config: Mapping[str, Any]
    reason: str = ""
    pause: bool = False


@dataclass(frozen=True, slots=True)
class Resize:
    """Save a checkpoint, and go on with `resources` (amounts by kind, all of them), or the old ones if it cannot."""

    resources: Mapping[str, float]
    reason: str = ""


Decision = Continue | Save | Pause | Stop | Exploit | Resize

Decisions = Mapping[str, Decision]
"""Decisions by the ids of the trials that they are about, for those that the scheduler decides together."""


class Trial(Protocol):
    """What a scheduler sees of a trial."""

    @property
    def trial_id(self) -> str: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def resources(self) -> Mapping[str, float]:
        """What the trial runs with, or would if it started now, by kind; empty when its configuration decides."""
        ...


class Candidates(Protocol):
    """The trials that could run now, oldest first: never started or waiting for another attempt, and paused."""

    @property
    def waiting(self) -> Mapping[str, Trial]: ...
    @property
    def paused(self) -> Mapping[str, Trial]: ...
    @property
    def search_open(self) -> bool:
        """Whether a trial that does not exist yet could start instead of them.

        Not when the search is over, nor when nothing runs and the searcher waits for something to happen.
        """
        ...


@dataclass(frozen=True, slots=True)
class ScheduleContext:
    """What a scheduler is given before it is asked anything; `mode` is ``min`` or ``max``.

    `total_trials` is how many trials the run consists of, None when that is not known.
    """

    metric: str | None = None
    mode: str | None = None
    seed: int = 0
    total_trials: int | None = None


NEVER = 2**53
"""An iteration that no trial reaches."""


class TrialScheduler:
    """Decides on results; every hook has a default, so a new scheduler writes only what it needs.

    A decision is a function of the context and the history told so far: on resume the scheduler is told the whole
    history, in order, by the same hooks, and its answers are dropped. `result` holds the trial's metrics and
    ``training_iteration``, ``time_total_s`` and the other automatic ones; a metric may be NaN, or missing.

    Decisions about other trials than the one that reported are by their ids, and carried out in that order. `Stop` ends
    a trial that waits or is paused at once. One that runs goes by them at its next report; it may be told of as many
    results as it sends until then. Whatever is decided about a trial that is over is dropped, and so is `Pause` of one
    that does not run.
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

    @property
    def changes_configs(self) -> bool:
        """Whether it changes what trials train with, so that a result is not that of the configuration begun with."""
        return False

    def on_open(self, resources: Mapping[str, float]) -> None:
        """The run begins, or goes on after a resume, on nodes that have `resources` together, by kind."""

    def complete_config(self, trial_id: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The configuration of a new trial, with what this scheduler itself varies added where it is missing."""
        return config

    def on_trial_add(self, trial: Trial) -> None:
        """A trial exists; it has not started. One that had ended may be added again: the user wants it to go on."""

    def on_trial_start(self, trial: Trial) -> None:
        """A trial starts: for the first time, after a pause, again after a failure, or as a copy."""

    def on_trial_pause(self, trial: Trial) -> None:
        """A trial that was told to pause has done so, and may be chosen to go on."""

    def on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> Decision | Decisions:
        """A running trial reported: what shall it do, or several of them? Told once for each of its iterations.

        One that is not named among several goes on. A copy's iterations are counted on from the donor's checkpoint.
        """
        return Continue()

    def free_until(self, trial: Trial, iteration: int) -> int:
        """The ``training_iteration`` before which no result of `trial` will be answered but by `Continue`.

        `trial` stands at `iteration`. It then reports without waiting for answers until there. By default a scheduler
        that decides on results promises nothing; one that never does promises `NEVER`.
        """
        return NEVER if type(self).on_trial_result is TrialScheduler.on_trial_result else 0

    def on_trial_complete(self, trial: Trial, result: Mapping[str, Any] | None) -> Decisions | None:
        """A trial ended for good, by itself, by a decision or by a stop criterion, with its last result.

        Others may have waited for it: what becomes of them is answered by their ids.
        """

    def on_trial_error(self, trial: Trial) -> Decisions | None:
        """A trial failed for good; answered as `on_trial_complete`."""

    def choose_trial_to_run(self, trials: Candidates) -> str | None:
        """Which of the candidates starts next in the room that is free; None to leave it to a new trial.

        Change nothing here: a scheduler learns from `on_trial_start` what came of its answer, also on resume. When this
        answers None, nothing runs, and the search is not open, the paused trials end.
        """
        return next(iter(trials.waiting), None) or next(iter(trials.paused), None)
