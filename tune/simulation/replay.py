"""What runs in a simulated trial's place: it reports what a recorded curve says, in the worker's own words."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from executor.interface import Program, Step
from tune.machine.events import CheckpointRef, GoOn, Leave, SaveNow
from tune.simulation.curves import Source
from tune.worker.messages import Outcome, Report, Save, Task

CRASH_EXIT_CODE = 70
"""What a trial that crashes by chance exits with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overheads:
    """What recorded curves leave out.

    Args:
        start_s: seconds from a trial's start, first or again, until it trains: imports, data, its checkpoint.
        save_s: seconds that saving a checkpoint takes.
        crash_rate: how likely an epoch is to end its trial's process.
    """

    start_s: float = 0.0
    save_s: float = 0.0
    crash_rate: float = 0.0


@dataclass(frozen=True)
class Replay(Program):
    """Plays the curve of a trial's configuration, from its checkpoint on.

    No checkpoint is written: that of epoch k is the number k. Without `checkpoints` a trial that is paused starts from
    the beginning, as a real one would. `saves_often` when checkpoints are also saved while trials run.
    """

    source: Source
    overheads: Overheads
    seed: int
    checkpoints: bool = True
    saves_often: bool = False

    def curve_of(self, config: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        """What a trial of `config` reports, as a trainable would: what the experiment's recipe names."""
        for metrics, _ in self.source.curve(config):
            yield metrics

    def steps(self, argument: Any) -> Generator[Step, Any, Outcome]:
        """Play one attempt: `argument` is its task."""
        task: Task = argument
        curve = self.source.curve(task.config)
        done, free_until = task.checkpoint.iteration if task.checkpoint else 0, task.free_until
        late = self.overheads.start_s
        for epoch in range(done + 1, len(curve) + 1):
            metrics, seconds = curve[epoch - 1]
            self._crash_by_chance(task, epoch)
            waits = epoch >= free_until or (self.checkpoints and self.saves_often)
            report = Report(metrics, seconds, None, self.checkpoints)
            answer = yield Step(report, late + seconds, waits)
            late = 0.0
            if isinstance(answer, SaveNow):
                kept = CheckpointRef(f"checkpoints/{task.trial_id}/{epoch:06d}-{task.attempt}", epoch)
                answer = yield Step(Save(kept), self.overheads.save_s)
            if isinstance(answer, Leave):
                return Outcome(by_order=True)
            free_until = answer.free_until if isinstance(answer, GoOn) else free_until
        return Outcome(by_order=False)

    def _crash_by_chance(self, task: Task, epoch: int) -> None:
        rate = self.overheads.crash_rate
        if rate and Random(f"{self.seed}/{task.trial_id}.{task.attempt}/{epoch}").random() < rate:
            raise SystemExit(CRASH_EXIT_CODE)
