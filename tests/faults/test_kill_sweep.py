"""The driver killed at its N-th system call of each kind that matters: the resumed experiment ends as it would have."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import tune
from tests.faults.kill_driver import acknowledged, go, noted
from tests.tune.driver import REPOSITORY
from tests.tune.trainables import DEADLINE_S, iterations

CALLS = "pwrite64 write sendmsg sendto fsync fdatasync rename unlink mkdir ftruncate flock clone3 vfork".split()
STRACE = shutil.which("strace")

pytestmark = [
    pytest.mark.skipif(STRACE is None, reason="strace is not installed: it kills the driver at a system call"),
    pytest.mark.fault("F12", "F42"),
]


@dataclass(frozen=True)
class Point:
    """Where a driver is killed: before the system call `call` that a thread makes for the `number`-th time."""

    experiment: str
    call: str
    number: int
    durability: str

    def __str__(self) -> str:
        return f"{self.experiment}: before {self.call} number {self.number}, durability {self.durability}"


def drive(experiment: str, storage: Path, durability: str, *options: str) -> int:
    """Run the driver under strace, which follows its threads but not what it starts; its exit code."""
    command = [str(STRACE), "-f", "-qq", "-b", "execve", "-o", str(storage / "trace"), *options]
    return subprocess.run(
        [*command, sys.executable, "-m", "tests.faults.kill_driver", experiment, str(storage), durability],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=600,
        check=False,
    ).returncode


def points(experiment: str, storage: Path, durability: str) -> Iterator[Point]:
    """Every point of an uninterrupted run."""
    storage.mkdir()
    assert drive(experiment, storage, durability, "-e", f"trace={','.join(CALLS)}") == 0
    counts: Counter[tuple[str, str]] = Counter()
    for line in (storage / "trace").read_text().splitlines():
        if found := re.match(r"(\d+) +(\w+)\(", line):
            counts[found[2], found[1]] += 1
    for call in CALLS:
        most = max((count for (name, _), count in counts.items() if name == call), default=0)
        yield from (Point(experiment, call, number, durability) for number in range(1, most + 1))


def outcome(results: tune.ResultGrid) -> list[object]:
    return [(one.trial_id, one.state, one.config["x"], iterations(one), one.reason) for one in results]


def kill_at(point: Point, storage: Path, expected: list[object]) -> bool:
    """Kill a driver at `point`, go on, and compare; whether it was killed at all."""
    storage.mkdir()
    inject = f"inject={point.call}:signal=KILL:when={point.number}"
    code = drive(point.experiment, storage, point.durability, "-e", f"trace={point.call}", "-e", inject)
    wait_for_the_end_of(noted(storage / "marks" / "pids"))
    path = storage / "e"
    if (path / "experiment.db").exists():
        found = {one.trial_id: iterations(one) for one in tune.ResultGrid(path)}
        for name, steps in acknowledged(storage).items():
            assert set(steps) <= set(found.get(name, [])), f"{point}: lost of {name}"
    assert outcome(go(point.experiment, storage, point.durability)) == expected, str(point)
    assert {file.name for file in path.iterdir()} <= {"experiment.db", ".mark", "checkpoints", "logs", ".lock"}, str(
        point
    )
    assert not list(path.rglob(".unfinished*")), str(point)
    shutil.rmtree(storage)
    return code != 0


def wait_for_the_end_of(pids: list[int]) -> None:
    until = time.monotonic() + DEADLINE_S
    for pid in pids:
        while Path(f"/proc/{pid}").exists() and "kill_driver" in Path(f"/proc/{pid}/cmdline").read_text():
            assert time.monotonic() < until, f"worker {pid} outlives its driver"
            time.sleep(0.005)


def sweep(experiment: str, tmp_path: Path, most: int) -> tuple[int, int]:
    """Try at most so many points, spread over all; how many were tried, and how many drivers were killed."""
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = outcome(go(experiment, whole))
    every = [point for one in ("process", "power") for point in points(experiment, tmp_path / one, one)]
    chosen = [every[at * len(every) // most] for at in range(most)] if len(every) > most else every
    with ThreadPoolExecutor(2) as pool:
        killed = list(pool.map(lambda at: kill_at(chosen[at], tmp_path / str(at), expected), range(len(chosen))))
    print(f"{experiment}: {len(chosen)} points of {len(every)}, {sum(killed)} drivers killed, nothing lost")
    return len(chosen), sum(killed)


@pytest.mark.timeout(600)
def test_a_driver_killed_at_any_system_call_loses_nothing(tmp_path: Path) -> None:
    tried, killed = sweep("few", tmp_path, 60)
    assert killed > tried // 2


@pytest.mark.long
@pytest.mark.timeout(8 * 3600)
@pytest.mark.parametrize("experiment", ["few", "population"])
def test_a_driver_killed_at_every_system_call_loses_nothing(experiment: str, tmp_path: Path) -> None:
    tried, killed = sweep(experiment, tmp_path, 2000)
    assert killed > tried // 2
