"""Trainables that the tests of whole runs share: importable, so that a recipe can name them and a driver be killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tune

DEADLINE_S = 20


def saving(step: int) -> Callable[[str], object]:
    """A checkpoint that holds the number of steps done."""
    return lambda directory: Path(directory, "step").write_text(str(step))


def steps_in(checkpoint: tune.Checkpoint | None) -> int:
    """How many steps a checkpoint holds; none holds none."""
    return int(Path(checkpoint.path, "step").read_text()) if checkpoint else 0


def steps_done() -> int:
    """How many steps the checkpoint to go on from holds."""
    return steps_in(tune.get_checkpoint())


def wait_for(path: str | os.PathLike[str]) -> None:
    """Wait until somebody has made the file `path`."""
    until = time.monotonic() + DEADLINE_S
    while not Path(path).exists():
        if time.monotonic() > until:
            raise TimeoutError(f"{path} did not come")
        time.sleep(0.005)


def segfault() -> None:
    ctypes.string_at(0)


def fail() -> None:
    raise ValueError("a bad day")


HARMS: dict[str, Callable[[], object]] = {
    "raise": fail,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: sys.exit(3),
    "os._exit": lambda: os._exit(4),
    "segfault": segfault,
    "abort": os.abort,
}


def counting(config: dict[str, Any]) -> None:
    """Count to ``steps``, saving each; do ``harm`` before step ``at`` in the first ``failures`` attempts."""
    for step in range(steps_done() + 1, config.get("steps", 6) + 1):
        if step == config.get("at") and tune.get_context().get_attempt() <= config.get("failures", 1):
            HARMS[config["harm"]]()
        tune.report({"step": step, "score": step * config.get("x", 1)}, checkpoint=saving(step))


def wait_for_event(config: dict[str, Any]) -> None:
    """Wait for the file ``event``, or to be told to end."""
    until = time.monotonic() + DEADLINE_S
    while not Path(config["marks"], "event").exists() and not tune.should_stop() and time.monotonic() < until:
        time.sleep(0.005)


def patient(config: dict[str, Any]) -> None:
    """Count as `counting` does, leaving marks: the trials in ``waiting`` wait at step ``at`` for the file ``event``."""
    context = tune.get_context()
    marks = Path(config["marks"])
    Path(marks, f"{context.get_trial_id()}.{context.get_attempt()}").touch()
    for step in range(steps_done() + 1, config.get("steps", 6) + 1):
        if step == config["at"] and context.get_trial_id() in config["waiting"]:
            Path(marks, f"{context.get_trial_id()}-waits").touch()
            wait_for_event(config)
        tune.report({"step": step, "score": step * config.get("x", 1)}, checkpoint=saving(step))


def stubborn(config: dict[str, Any]) -> None:
    """Report once, leave a mark, and never again listen to anybody."""
    tune.report({"step": 1, "score": 1}, checkpoint=saving(1))
    Path(config["marks"], f"{tune.get_context().get_trial_id()}-waits").touch()
    time.sleep(DEADLINE_S * 5)


def iterations(result: tune.Result) -> list[int]:
    """The iterations in a trial's history."""
    return list(result.metrics_dataframe["training_iteration"]) if result.metrics else []


def joint(config: dict[str, Any]) -> None:
    """Count as `patient` does in all workers of a gang, in step; ``met`` is the attempt and the start of each."""
    from tests.tune.group import Group  # which takes our deadline

    context, group = tune.get_context(), Group()
    done = group.gather([context.get_attempt(), steps_done()])
    mark = Path(config["marks"], f"{context.get_trial_id()}.{context.get_attempt()}.rank{group.rank}")
    mark.write_text(str(os.getpid()))
    for step in range(steps_done() + 1, config.get("steps", 6) + 1):
        if step == config.get("at") and context.get_attempt() == 1:
            group.gather()
            Path(config["marks"], f"{context.get_trial_id()}-waits{group.rank}").touch()
            if group.rank == 0:
                wait_for_event(config)
        group.gather()
        if group.rank == 0:
            tune.report({"step": step, "score": step * config.get("x", 1), "met": done}, checkpoint=saving(step))


joint_gang = tune.with_resources(joint, tune.Gang(workers=2, cpu=0.5))
