"""Whole experiments in virtual time: the real loop, machine, journal and worker code, into a directory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from executor.resources import Node, Resources
from executor.simulated import Fault, SimulatedExecutor
from schedulers.base import Decision, ScheduleContext, TrialScheduler
from schedulers.fifo import FIFOScheduler
from searchers.base import SearchContext, Searcher
from searchers.variants import BasicVariantGenerator
from tune.crew import Crew
from tune.loop import Amending, Loop, Observer
from tune.machine.events import Entry, Reported, Suggested
from tune.machine.experiment import Experiment
from tune.machine.plan import Plan
from tune.machine.policies import Policies
from tune.machine.stopping import StopCriterion, as_stopper
from tune.storage import directory, journal
from tune.storage.journal import SqliteJournal
from tune.storage.places import DirectoryPlace
from tune.worker.program import TrialProgram
from tune.worker.session import Setting
from tune.worker.trainable import Trainable


def bound(
    space: dict[str, Any],
    num_samples: int,
    *,
    searcher: Searcher | None = None,
    scheduler: TrialScheduler | None = None,
    stop: StopCriterion | Sequence[StopCriterion] | None = None,
    metric: str | None = "loss",
    mode: str = "min",
    seed: int = 7,
) -> Policies:
    """Fresh policies, bound as a run binds them."""
    metrics, modes = ((metric,), (mode,)) if metric else ((), ())
    searcher, scheduler = searcher or BasicVariantGenerator(), scheduler or FIFOScheduler()
    searcher.bind(SearchContext(space, metrics, modes, seed, num_samples))
    scheduler.bind(ScheduleContext(metric, mode if metric else None, seed, searcher.total_trials))
    return Policies(
        scheduler,
        searcher,
        as_stopper(stop, modes=dict(zip(metrics, modes, strict=True))),
        metrics,
        getattr(scheduler, "time_attr", None),
    )


@dataclass
class Arena:
    """One experiment: `run` takes it from where its directory stands to its end, with a fresh machine and policies."""

    directory: Path
    trainable: Callable[..., Any] | type[Trainable]
    policies: Callable[[], Policies]
    plan: Plan = field(default_factory=lambda: Plan(metrics=("loss",), modes=("min",), seed=7))
    cpus: int = 1

    def run(
        self,
        *,
        faults: Iterable[Fault] = (),
        open_journal: Callable[[Path], SqliteJournal] = SqliteJournal,
        observers: Callable[[Loop], Sequence[Observer]] = lambda loop: (),
        amending: Amending | None = None,
    ) -> Experiment:
        experiment = self.fresh()
        if not (self.directory / journal.DATABASE).exists():
            journal.create(self.directory, {"name": "arena", "seed": self.plan.seed})
        self._read_back(experiment)
        program = TrialProgram(self.trainable, Setting(str(self.directory), "arena", self.plan.metrics))
        nodes = [Node("sim", Resources.of(cpu=self.cpus))]
        with (
            SimulatedExecutor(nodes, faults=faults) as executor,
            contextlib.closing(open_journal(self.directory)) as written,
        ):
            crew = Crew(executor, executor.prepare(program), self.directory, logs=False)
            loop = Loop(experiment, executor, written, crew)
            for observer in observers(loop):
                loop.observe(observer)
            loop.open(amending)
            loop.run()
        return experiment

    def fresh(self) -> Experiment:
        return Experiment(self.plan, self.policies())

    def entries(self) -> list[Entry]:
        with contextlib.closing(journal.open_readonly(self.directory)) as connection:
            return [entry for _, entry in journal.entries(connection, code=True)]

    def export(self) -> list[str]:
        with contextlib.closing(journal.open_readonly(self.directory)) as connection:
            return list(journal.export(connection))

    def configurations(self) -> dict[str, dict[str, Any]]:
        return {
            entry.event.trial_id: entry.event.config for entry in self.entries() if isinstance(entry.event, Suggested)
        }

    def decisions(self) -> dict[tuple[str, int], Decision]:
        """What was decided when a trial first reported an iteration."""
        found: dict[tuple[str, int], Decision] = {}
        for entry in self.entries():
            if isinstance(entry.event, Reported):
                assert entry.iteration is not None
                assert entry.verdict is not None
                found.setdefault((entry.event.trial_id, entry.iteration), entry.verdict.decision)
        return found

    def _read_back(self, experiment: Experiment) -> None:
        for entry in self.entries():
            experiment.replay(entry)
        directory.sweep(self.directory)
        DirectoryPlace(str(self.directory)).sweep(experiment.kept_checkpoints)


class Crash(BaseException):
    """Stands for the death of the process that runs the experiment."""


class MortalJournal(SqliteJournal):
    """Dies at its append number `at`: before it is committed, or after, but before its effects."""

    def __init__(self, directory: Path, at: int, *, committed: bool) -> None:
        super().__init__(directory)
        self._left = at
        self._committed = committed

    def append(self, entries: Sequence[Entry], then: Callable[[], None] | None = None) -> None:
        self._left -= 1
        if self._left > 0:
            super().append(entries, then)
            return
        if self._committed:
            super().append(entries)
        raise Crash


class CountingJournal(SqliteJournal):
    """Knows how often it was appended to, and which entries came each time."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.appended: list[Sequence[Entry]] = []

    def append(self, entries: Sequence[Entry], then: Callable[[], None] | None = None) -> None:
        self.appended.append(entries)
        super().append(entries, then)
