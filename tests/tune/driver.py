"""A run in a process of its own, for tests that kill or interrupt it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.tune.trainables import DEADLINE_S, wait_for
from tune.storage import journal

REPOSITORY = Path(__file__).parents[2]

_RUN = """
import json, sys
import tune
from tests.tune import trainables

config, settings = json.loads(sys.argv[2]), json.loads(sys.argv[3])
config["x"] = tune.uniform(0, 1)
results = tune.run(getattr(trainables, sys.argv[1]), config=config, metric="score", mode="max", verbose=0, **settings)
print(json.dumps([[one.trial_id, one.state] for one in results]))
"""


class Driver:
    """A process that runs a trainable of `trainables`, with samples of ``x``; its marks are in ``marks``."""

    def __init__(self, storage: Path, trainable: str, *, config: dict[str, Any], **settings: Any) -> None:
        self.marks = storage / "marks"
        self.marks.mkdir(exist_ok=True)
        settings = {"name": "e", "storage_path": str(storage), **settings}
        arguments = [trainable, json.dumps({"marks": str(self.marks), **config}), json.dumps(settings)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RUN, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            start_new_session=True,
        )

    def wait_for(self, names: Iterable[str]) -> None:
        """Wait until trials have left all these marks."""
        for name in names:
            wait_for(self.marks / name)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def press_ctrl_c(self) -> None:
        """Send SIGINT as a terminal does: to the whole foreground process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> tuple[int, str, str]:
        """Its exit code, what it printed, and what it complained about, once it has ended."""
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out, err

    def kill(self) -> None:
        """End it as nothing can be prepared for."""
        self.process.kill()
        self.process.communicate(timeout=DEADLINE_S)


@contextlib.contextmanager
def holding(experiment: Path) -> Iterator[None]:
    """Let nobody else write to an experiment's journal."""
    with contextlib.closing(sqlite3.connect(experiment / journal.DATABASE, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 10000")
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
