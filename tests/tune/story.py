"""Tells an experiment by hand: events into the real machine, entries into a real journal, no processes, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from schedulers.base import Continue, Decision, Trial, TrialScheduler
from searchers.base import SearchContext, Searcher, Suggestion
from tune.machine.events import (
    CheckpointRef,
    Ended,
    Entry,
    Event,
    Failed,
    Failure,
    Opened,
    Reported,
    Saved,
    Suggested,
)
from tune.machine.experiment import Experiment
from tune.machine.plan import Plan
from tune.machine.policies import Policies
from tune.storage import journal
from tune.storage.places import DirectoryPlace

START = 1_700_000_000.0


class Unasked(Searcher):
    """Suggests nothing: the story does."""

    def suggest(self, trial_id: str) -> Suggestion:
        return None


class Ordered(TrialScheduler):
    """Decides what the story says next."""

    def __init__(self) -> None:
        self.decision: Decision = Continue()

    def on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> Decision:
        decision, self.decision = self.decision, Continue()
        return decision


class Story:
    """One experiment, as it is told. Each event comes a second after the one before."""

    def __init__(
        self,
        directory: Path,
        *,
        metrics: tuple[str, ...] = ("accuracy",),
        modes: tuple[str, ...] = ("max",),
        durability: str = "process",
        **plan: Any,
    ) -> None:
        self.directory = directory
        self.scheduler = Ordered()
        searcher = Unasked()
        searcher.bind(SearchContext(num_samples=-1))
        policies = Policies(self.scheduler, searcher, None, metrics)
        self.experiment = Experiment(Plan(metrics=metrics, modes=modes, **plan), policies)
        self.observers: list[Callable[[Entry], None]] = []
        self.time = 0.0
        facts = {"name": directory.name, "created": START, "metrics": list(metrics), "modes": list(modes), "recipe": {}}
        facts["outcome_constraints"] = [str(one) for one in plan.get("outcome_constraints", ())]
        journal.create(directory, facts)
        self._journal = journal.SqliteJournal(directory, durability=durability)

    def happens(self, event: Event) -> None:
        """Let `event` happen, and everybody know."""
        self.time += 1.0
        self.experiment.handle(event, self.time, START + self.time)
        entries = self.experiment.take_entries()
        self._journal.append(entries)
        for entry in entries:
            for observer in self.observers:
                observer(entry)

    def opens(self) -> None:
        self.happens(Opened("laptop"))

    def finishes(self) -> None:
        for event in self.experiment.ending():
            self.happens(event)

    def suggests(self, config: dict[str, Any]) -> str:
        trial_id = self.experiment.next_trial_id
        self.happens(Suggested(trial_id, config))
        return trial_id

    def starts(self, config: dict[str, Any]) -> str:
        trial_id = self.suggests(config)
        self.launches(trial_id)
        return trial_id

    def launches(self, trial_id: str) -> None:
        self.happens(self.experiment.launch(trial_id))

    def reports(self, trial_id: str, decision: Decision | None = None, *, seconds: float = 1.0, **metrics: Any) -> None:
        if decision is not None:
            self.scheduler.decision = decision
        self.happens(Reported(trial_id, self._attempt(trial_id), self._seq(), metrics, seconds))

    def saves(self, trial_id: str) -> CheckpointRef:
        """Save what the trial reported last."""
        trial = self.experiment.trials[trial_id]
        iteration = trial.totals.iteration
        saved = DirectoryPlace(str(self.directory)).save(trial_id, trial.attempt, iteration, _fill)
        self.happens(Saved(trial_id, trial.attempt, self._seq(), saved))
        return saved

    def returns(self, trial_id: str, *, by_order: bool = False, **metrics: Any) -> None:
        self.happens(Ended(trial_id, self._attempt(trial_id), by_order, metrics or None, 1.0 if metrics else 0.0))

    def fails(self, trial_id: str, failure: Failure) -> None:
        self.happens(Failed(trial_id, self._attempt(trial_id), failure))

    def closes(self) -> None:
        """Let go of the journal's file."""
        self._journal.close()

    def _attempt(self, trial_id: str) -> int:
        return self.experiment.trials[trial_id].attempt

    def _seq(self) -> int:
        return int(self.time)


def _fill(target: str) -> None:
    Path(target, "weights").write_text("1")


BOOM = Failure(
    "raised",
    "ValueError: Expected input batch_size (96) to match target (128)",
    traceback=(
        "Traceback (most recent call last):\n"
        '  File "train.py", line 84, in train_epoch\n'
        "    loss = F.cross_entropy(out, y)\n"
        "ValueError: Expected input batch_size (96) to match target (128)\n"
    ),
    where="train.py:84 in train_epoch",
)
"""A failure as a user's function makes it."""
