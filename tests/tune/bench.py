"""Drives one experiment event by event, with a scheduler that goes by a script."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from schedulers.base import Continue, Decision, Decisions, TrialScheduler
from searchers.base import Searcher, Suggestion
from tests.tune.arena import bound
from tune.machine.events import (
    CheckpointRef,
    Ended,
    Event,
    Failed,
    Failure,
    Opened,
    Reply,
    Reported,
    Saved,
    Start,
    Suggested,
)
from tune.machine.experiment import Experiment
from tune.machine.plan import Plan
from tune.machine.trial import Trial

DIED = Failure("died", "the process was ended by SIGSEGV", signal="SIGSEGV")
RAISED = Failure("raised", "ValueError: no")
KILLED = Failure("killed", "it did not end in time after it was told to")


class Script(TrialScheduler):
    """Decides by script: (trial, iteration) -> decision. Remembers what it was told."""

    def __init__(self, **decisions: Decision | Decisions) -> None:
        self.decisions = decisions
        self.told: list[tuple[str, int]] = []
        self.ended: list[str] = []
        self.started: list[str] = []

    def on_trial_start(self, trial) -> None:
        self.started.append(trial.trial_id)

    def on_trial_result(self, trial, result: Mapping[str, Any]) -> Decision | Decisions:
        self.told.append((trial.trial_id, result["training_iteration"]))
        return self.decisions.get(f"{trial.trial_id}_{result['training_iteration']}", Continue())

    def on_trial_complete(self, trial, result) -> Decisions:
        self.ended.append(trial.trial_id)
        return self.decisions.get(f"{trial.trial_id}_end", {})

    def on_trial_error(self, trial) -> Decisions:
        return self.on_trial_complete(trial, None)


class Listening(Searcher):
    """Suggests trials 0, 1, 2, ... and remembers what it was told."""

    def __init__(self) -> None:
        self.results: list[tuple[str, float]] = []
        self.completed: list[tuple[str, float | None, bool]] = []

    def suggest(self, trial_id: str) -> Suggestion:
        return {"x": int(trial_id[1:])}

    def on_trial_result(self, trial_id, result) -> None:
        self.results.append((trial_id, result["loss"]))

    def on_trial_complete(self, trial_id, result=None, error=False) -> None:
        self.completed.append((trial_id, result and result["loss"], error))


class Bench:
    """Drives one experiment event by event; its clock is `now`."""

    def __init__(self, plan: Plan | None = None, *, scheduler=None, samples: int = 4, stop=None, searcher=None) -> None:
        self.searcher = searcher or Listening()
        self.scheduler = scheduler or Script()
        self.plan = plan or make_plan()
        policies = bound({}, samples, searcher=self.searcher, scheduler=self.scheduler, stop=stop)
        self.experiment = Experiment(self.plan, policies)
        self.now = 0.0
        self._seqs = itertools.count(1)
        self.happen(Opened("here"))

    def happen(self, event: Event) -> list[Any]:
        return self.experiment.handle(event, self.now, 1000.0 + self.now)

    def trial(self, trial_id: str = "t0") -> Trial:
        return self.experiment.trials[trial_id]

    def start(self, trial_id: str = "t0") -> Start:
        if trial_id not in self.experiment.trials:
            self.happen(Suggested(trial_id, {"x": 0}))
        (command,) = self.happen(self.experiment.launch(trial_id))
        return command

    def report(self, trial_id: str = "t0", offers: bool = False, checkpoint=None, **metrics: Any) -> list[Any]:
        attempt = self.trial(trial_id).attempt
        metrics = metrics or {"loss": 1.0}
        return self.happen(Reported(trial_id, attempt, next(self._seqs), metrics, 1.0, checkpoint, offers))

    def answer(self, trial_id: str = "t0", **more: Any) -> Any:
        return only(Reply, self.report(trial_id, **more)).answer

    def save(self, trial_id: str = "t0") -> list[Any]:
        trial = self.trial(trial_id)
        return self.happen(Saved(trial_id, trial.attempt, next(self._seqs), ref(trial)))

    def end(self, trial_id: str = "t0", **more: Any) -> list[Any]:
        return self.happen(Ended(trial_id, self.trial(trial_id).attempt, **more))

    def fail(self, trial_id: str = "t0", failure: Failure = RAISED) -> list[Any]:
        return self.happen(Failed(trial_id, self.trial(trial_id).attempt, failure))

    def state(self, trial_id: str = "t0") -> str:
        return self.trial(trial_id).state.value

    def events(self, kind: type | None = None) -> list[Any]:
        return [one.event for one in self.experiment._fresh if kind is None or isinstance(one.event, kind)]


def make_plan(**more: Any) -> Plan:
    return Plan(metrics=("loss",), modes=("min",), **more)


def ref(trial: Trial) -> CheckpointRef:
    return CheckpointRef(
        f"checkpoints/{trial.trial_id}/{trial.totals.iteration}-{trial.attempt}", trial.totals.iteration
    )


def only(kind: type, commands: list[Any]) -> Any:
    (command,) = [one for one in commands if isinstance(one, kind)]
    return command
