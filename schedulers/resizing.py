"""Gives trials more or less of the machine while they train, beside any scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schedulers.allocation import Allocation, DistributeResources, Holdings
from schedulers.base import (
    Candidates,
    Continue,
    Decision,
    Decisions,
    Resize,
    Save,
    ScheduleContext,
    Trial,
    TrialScheduler,
)
from schedulers.fifo import FIFOScheduler


class ResourceChangingScheduler(TrialScheduler):
    """Decides as `base_scheduler`, and where that lets a trial go on, asks how much of the machine it should have.

    A trial that shall have other resources saves a checkpoint, ends, and goes on from it with them; with those that it
    had when they cannot be had, and is then not asked to change again before another trial ends. All trials begin with
    the same resources, in one bundle. A result without a checkpoint changes nothing.

    Args:
        base_scheduler: what decides otherwise; `FIFOScheduler` by default.
        resources_allocation_function: takes `Holdings`, the trial that reported and its result, and answers what it
            should have, by kind; None for no change. `DistributeResources` by default.
    """

    def __init__(
        self,
        base_scheduler: TrialScheduler | None = None,
        resources_allocation_function: Allocation | None = None,
    ) -> None:
        self._base = base_scheduler or FIFOScheduler()
        self._allocate: Allocation = resources_allocation_function or DistributeResources()
        if not isinstance(self._base, TrialScheduler):
            raise ValueError(f"base_scheduler is {base_scheduler!r}: give a scheduler")
        if not callable(self._allocate):
            raise ValueError(f"resources_allocation_function is {self._allocate!r}: give a function")
        self._total: Mapping[str, float] = {}
        self._first: Mapping[str, float] = {}
        self._seen = 0
        self._waiting: set[str] = set()
        self._running: dict[str, Trial] = {}
        self._asked: dict[str, Mapping[str, float]] = {}
        self._restarted: set[str] = set()
        self._refused: dict[str, Mapping[str, float]] = {}

    @property
    def metric(self) -> str | None:
        """What the base scheduler compares trials by."""
        return getattr(self._base, "metric", None)

    @property
    def mode(self) -> str | None:
        """Whether that is to be small or large."""
        return getattr(self._base, "mode", None)

    @property
    def time_attr(self) -> str | None:
        """What tells the base scheduler how far a trial is."""
        return getattr(self._base, "time_attr", None)

    @property
    def changes_configs(self) -> bool:
        return self._base.changes_configs

    def bind(self, context: ScheduleContext) -> None:
        super().bind(context)
        self._base.bind(context)

    def on_open(self, resources: Mapping[str, float]) -> None:
        self._total = resources
        self._base.on_open(resources)

    def complete_config(self, trial_id: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._base.complete_config(trial_id, config)

    def on_trial_add(self, trial: Trial) -> None:
        self._first = self._first or dict(trial.resources)
        self._seen += 1
        self._waiting.add(trial.trial_id)
        self._base.on_trial_add(trial)

    def on_trial_start(self, trial: Trial) -> None:
        self._waiting.discard(trial.trial_id)
        self._running[trial.trial_id] = trial
        self._restarted.add(trial.trial_id)
        self._base.on_trial_start(trial)

    def on_trial_pause(self, trial: Trial) -> None:
        self._base.on_trial_pause(trial)

    def on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> Decision | Decisions:
        decision = self._base.on_trial_result(trial, result)
        self._learn(trial)
        if not isinstance(decision, Continue | Save) or not trial.resources:
            return decision
        to_come = max((self.context.total_trials or 0) - self._seen, 0)
        holdings = Holdings(self._total, self._first, self._running, to_come + len(self._waiting))
        wished = self._allocate(holdings, trial, result)
        if wished is None or _alike(wished, trial.resources) or self._refused.get(trial.trial_id) == wished:
            return decision
        self._asked[trial.trial_id] = wished
        self._restarted.discard(trial.trial_id)
        return Resize(wished, f"{_shown(trial.resources)} -> {_shown(wished)}")

    def free_until(self, trial: Trial, iteration: int) -> int:
        """A trial may be given other resources at any result."""
        return 0

    def on_trial_complete(self, trial: Trial, result: Mapping[str, Any] | None) -> Decisions | None:
        self._forget(trial)
        return self._base.on_trial_complete(trial, result)

    def on_trial_error(self, trial: Trial) -> Decisions | None:
        self._forget(trial)
        return self._base.on_trial_error(trial)

    def choose_trial_to_run(self, trials: Candidates) -> str | None:
        return self._base.choose_trial_to_run(trials)

    def _learn(self, trial: Trial) -> None:
        """Whether what the trial asked for, and started again for, could be had."""
        asked = self._asked.pop(trial.trial_id, None)
        if asked is not None and trial.trial_id in self._restarted and not _alike(asked, trial.resources):
            self._refused[trial.trial_id] = asked

    def _forget(self, trial: Trial) -> None:
        for known in (self._running, self._asked):
            known.pop(trial.trial_id, None)
        self._waiting.discard(trial.trial_id)
        self._restarted.discard(trial.trial_id)
        self._refused.clear()


def _alike(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return all(abs(one.get(kind, 0) - other.get(kind, 0)) < 1e-4 for kind in {*one, *other})


def _shown(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{kind} {amount:g}" for kind, amount in resources.items())
