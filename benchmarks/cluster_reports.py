"""Reports through a cluster's head: how long one keeps a trial waiting, how many a second, how soon a death shows.

Controller, head and node are processes of this machine. `beside` is of a controller on the head's machine, as detached
ones are, `attached` of a driver that came by invitation, as from another machine. Results are journaled before the
answer. `free` is of trials that nothing can stop, which report without waiting, as most do.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from common import Figures, Part, compare, journal_times, steady_rate, storage

import tune

WARM_UP, CALLS = 100, 1_000
TRIALS, REPORTS = 64, 200
PORT = 47_077


def one(_config: dict[str, Any]) -> Figures:
    taken = []
    for step in range(WARM_UP + CALLS):
        began = perf_counter()
        tune.report(loss=0.5, step=step)
        taken.append((perf_counter() - began) * 1e3)
    taken = sorted(taken[WARM_UP:])
    return {"p50_ms": taken[CALLS // 2], "p99_ms": taken[CALLS * 99 // 100]}


def many(_config: dict[str, Any]) -> None:
    for step in range(REPORTS):
        tune.report(loss=1 / (step + 1))


def waiting(config: dict[str, Any]) -> None:
    tune.report(step=1)
    Path(config["mark"]).touch()
    if tune.get_context().get_attempt() == 1:
        time.sleep(1000)
    Path(config["mark"] + ".again").write_text(str(time.time()))


def never(_trial_id: str, _result: Mapping[str, Any]) -> bool:
    return False


@contextmanager
def cluster(path: Path) -> Iterator[str]:
    """One node of 64 cpus, whatever this machine has."""
    os.environ["AUDITION_STATE"] = str(path / "state")
    audition("start", "bench", "--port", str(PORT), "--cpus", str(TRIALS))
    try:
        while not json.loads(audition("status", "--json"))["nodes"]:
            time.sleep(0.05)
        yield f"grpc://127.0.0.1:{PORT}"
    finally:
        audition("stop")


@contextmanager
def elsewhere(path: Path) -> Iterator[None]:
    """Be somebody who was let in, as on another machine."""
    line, here = audition("invite", "--role", "driver").split()[-1], os.environ["AUDITION_STATE"]
    os.environ["AUDITION_STATE"] = str(path / "elsewhere")
    try:
        audition("join", line)
        yield
    finally:
        os.environ["AUDITION_STATE"] = here


def audition(*arguments: str) -> str:
    command = [sys.executable, "-c", "from tune.cli import main; main()", "cluster", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ours() -> Figures:
    with storage() as path, cluster(path) as executor:
        common: dict[str, Any] = {"executor": executor, "storage_path": path, "verbose": 0}
        beside = tune.run(one, name="beside", stop=never, **common)[0].metrics
        with elsewhere(path):
            attached = tune.run(one, name="attached", stop=never, **common)[0].metrics
        figures = {"beside p50 ms": beside["p50_ms"], "beside p99 ms": beside["p99_ms"]}
        figures |= {"attached p50 ms": attached["p50_ms"], "attached p99 ms": attached["p99_ms"]}
        for name, options in (("waiting", {"stop": never}), ("free", {})):
            tune.run(many, name=name, num_samples=TRIALS, **options, **common)
            figures[f"{name} reports/s"] = steady_rate(journal_times(path / name, "reported"))
        return {**figures, "killed agent to trial running again s": killed(path, common)}


def killed(path: Path, common: dict[str, Any]) -> float:
    """From the death of the node's agent until the trial runs again."""
    mark = path / "mark"
    death = [0.0]

    class Kill(tune.Callback):
        def on_trial_result(self, **_rest: Any) -> None:
            if not death[0]:
                while not mark.exists():
                    time.sleep(0.001)
                agent = next(pid for pid, line in processes() if "agent" in line)
                death[0] = time.time()
                os.kill(agent, signal.SIGKILL)

    tune.run(waiting, config={"mark": str(mark)}, name="killed", callbacks=[Kill()], **common)
    return float(Path(f"{mark}.again").read_text()) - death[0]


def processes() -> Iterator[tuple[int, list[str]]]:
    """The processes of this cluster and their command lines."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "executor.cluster" in line and any(os.environ["AUDITION_STATE"] in word for word in line):
                yield int(entry.name), line


if __name__ == "__main__":
    compare("cluster reports", Part(ours), {}, unit="milliseconds a report", at_most=1.3)
