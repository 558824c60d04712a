"""What the trials of a world do: they report, save and end in the worker's own words, and meet their fates."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Generator
from typing import Any

from executor.interface import Program, Step
from searchers.space import uniform
from tests.worlds.world import Mishap, World
from tune.machine.events import CheckpointRef, GoOn, Leave, SaveNow
from tune.worker.messages import Ask, Begin, Outcome, Refuse, Report, Save, Stage, Task, Unsaved

EXIT_CODE = 3
_SAVE_S, _SLOW_SAVE_S = 0.25, 60.0

Acknowledge = Callable[[str, int, int], None]


class Disk:
    """The checkpoints that are saved, by their paths, and whether each is whole; keeps them for the crew."""

    def __init__(self) -> None:
        self.whole: dict[str, bool] = {}

    def save(self, task: Task, iteration: int) -> CheckpointRef:
        path = f"checkpoints/{task.trial_id}/{iteration:06d}-{task.attempt}"
        self.whole[path] = True
        return CheckpointRef(path, iteration, 10)

    def damage(self, path: str) -> None:
        self.whole[path] = False

    def delete(self, checkpoint: CheckpointRef) -> None:
        self.whole.pop(checkpoint.path, None)

    def set_aside(self, checkpoint: CheckpointRef) -> str:
        self.delete(checkpoint)
        return ""

    def sweep(self, kept: set[str]) -> None:
        self.whole = {path: whole for path, whole in self.whole.items() if path in kept}


class Life(Program):
    """One attempt after the other; `fates` says what will happen to a call at its next step.

    What is acknowledged to a trial is passed on to `acknowledge`: trial, attempt, iteration.
    """

    def __init__(self, world: World, disk: Disk, fates: dict[str, Mishap], acknowledge: Acknowledge) -> None:
        self._world = world
        self._habits = world.habits
        self._disk = disk
        self._fates = fates
        self._acknowledge = acknowledge
        self._under_way: dict[str, int] = {}

    def steps(self, argument: Any) -> Generator[Step, Any, Outcome]:
        """Live one attempt: `argument` is its task."""
        task: Task = argument
        habits, number = self._habits, int(task.trial_id[1:])
        iteration, asked = yield from self._begin(task)
        free_until = task.free_until
        last = self._last_epoch(number)
        while iteration < last:
            iteration += 1
            if self._fates.get(f"{task.trial_id}.{task.attempt}") is Mishap.HANG:  # a save aside does not hang with it
                yield from self._finish_aside(task)
            metrics = self._metrics(task, number, iteration, asked)
            seconds = self._seconds(number, iteration) * self._meet_fate(task)
            brings, offers = self._saving(iteration)
            brought = (yield from self._bring(task, iteration)) if brings else None
            saves = brings and task.trial_id in self._under_way
            waits = offers or iteration >= free_until or bool(metrics.get("done"))
            answer = yield Step(Report(metrics, seconds, brought, offers, saves=saves), seconds, waits)
            if isinstance(answer, SaveNow):
                answer = yield from self._save(task, iteration)
            if answer is not None:
                self._acknowledge(task.trial_id, task.attempt, iteration)
                free_until = answer.free_until if isinstance(answer, GoOn) else 0
            if isinstance(answer, Leave) or self._chance("aside", number, iteration) < 0.5:
                answer = (yield from self._finish_aside(task)) or answer
            if isinstance(answer, Leave) and not self._takes(task, Mishap.LINGER):
                return Outcome(by_order=True)
        yield from self._finish_aside(task)
        return Outcome(False, {"loss": 0.5} if habits.returns else None, 0.0)

    def _begin(self, task: Task) -> Generator[Step, Any, tuple[int, float]]:
        """Find a checkpoint that is whole, and ask for a parameter; the iteration there, and the parameter's value."""
        self._under_way.pop(task.trial_id, None)
        checkpoint, asked = task.checkpoint, 0.0
        while checkpoint is not None and not self._disk.whole.get(checkpoint.path):
            answer = yield Step(Refuse(checkpoint, "it is damaged"))
            checkpoint = answer.value
        if self._world.announces:
            yield Step(Begin(), waits=False)
        if self._habits.asks:
            answer = yield Step(Ask("asked", uniform(0, 1)))
            asked = answer.value
        return checkpoint.iteration if checkpoint else 0, asked

    def _last_epoch(self, number: int) -> int:
        """Where the trial's function returns, whatever attempt it is in."""
        short = self._chance("early end", number) < self._habits.early_end
        return 1 + number % self._habits.epochs if short else self._habits.epochs

    def _chance(self, what: str, *where: int) -> float:
        """From 0 to 1, and always the same; a generator for each would take longer than all the rest of a trial."""
        return zlib.crc32(f"{self._world.seed} {what} {where}".encode()) / 2**32

    def _metrics(self, task: Task, number: int, iteration: int, asked: float) -> dict[str, Any]:
        habits, x = self._habits, float(task.config.get("x", 1))
        if habits.missing and iteration > 1 and self._chance("missing", number, iteration) < habits.missing:
            return {"other": 1}
        loss = abs(x - 1.3) + self._chance("noise", number, iteration) / iteration + asked
        if habits.nan and self._chance("nan", number, iteration) < habits.nan:
            loss = math.nan
        return {"loss": loss, "done": True} if habits.says_done and iteration == habits.epochs else {"loss": loss}

    def _seconds(self, number: int, iteration: int) -> float:
        return 0.5 + (number * 7 + iteration * 3) % 5 / 4 if self._habits.uneven else 1.0

    def _saving(self, iteration: int) -> tuple[bool, bool]:
        match self._habits.saving:
            case "offers":
                return False, True
            case "brings":
                return True, False
            case "never":
                return False, False
            case _:
                return iteration % 3 == 0, iteration % 3 == 1

    def _meet_fate(self, task: Task) -> float:
        """What the next step's seconds are to be multiplied with, if there is a next step."""
        if self._takes(task, Mishap.RAISE):
            raise ValueError("the trial's own mistake")
        if self._takes(task, Mishap.EXIT):
            raise SystemExit(EXIT_CODE)
        return math.inf if self._takes(task, Mishap.HANG) else 1.0

    def _bring(self, task: Task, iteration: int) -> Generator[Step, Any, CheckpointRef | None]:
        """Save what comes with the next report, or begin to; None while it is not complete."""
        yield from self._finish_aside(task)  # one save at a time is under way
        if self._habits.aside:
            self._under_way[task.trial_id] = iteration
            return None
        saved = self._saved(task, iteration)
        if isinstance(saved, Save):
            return saved.checkpoint
        yield Step(saved, waits=False)
        return None

    def _save(self, task: Task, iteration: int) -> Generator[Step, Any, Any]:
        """Save what was asked for, or begin to; nobody answers when that raises, and the trial goes on."""
        yield from self._finish_aside(task)
        if self._takes(task, Mishap.SAVE_RAISES):
            return (yield Step(Unsaved("PermissionError: not yours"), waits=False))
        if self._habits.aside:
            self._under_way[task.trial_id] = iteration
            return (yield Step(Stage()))
        return (yield Step(self._saved(task, iteration), self._save_takes(task)))

    def _finish_aside(self, task: Task) -> Generator[Step, Any, Any]:
        """Tell of the save that is under way, if one is, with nobody waiting for the answer."""
        iteration = self._under_way.pop(task.trial_id, None)
        if iteration is None:
            return None
        return (yield Step(self._saved(task, iteration), self._save_takes(task), waits=False))

    def _save_takes(self, task: Task) -> float:
        return _SLOW_SAVE_S if self._takes(task, Mishap.SLOW_SAVE) else _SAVE_S

    def _saved(self, task: Task, iteration: int) -> Save | Unsaved:
        if self._takes(task, Mishap.DISK_FULL):
            return Unsaved("there is no room for the checkpoint")
        return Save(self._disk.save(task, iteration))

    def _takes(self, task: Task, mishap: Mishap) -> bool:
        """Whether that is what happens to this attempt now; it then does so once."""
        call_id = f"{task.trial_id}.{task.attempt}"
        if self._fates.get(call_id) is not mishap:
            return False
        del self._fates[call_id]
        return True
