"""What happens around a run: clocks that jump, sleep, forks, cleaners, a disk that cannot be written, many trials."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import tune
from executor.local import LocalExecutor
from executor.resources import Node, Resources
from executor.simulated import SimulatedExecutor
from schedulers import ASHAScheduler
from tests.tune.driver import REPOSITORY, Driver
from tests.tune.trainables import DEADLINE_S, counting, iterations, steps_in, wait_for
from tune.storage import journal

YEAR_S = 365 * 86400.0
SPACE = {"config": {"x": tune.uniform(0, 1)}, "metric": "score", "mode": "max", "num_samples": 4, "seed": 2}


def stepping(config: dict[str, Any]) -> Iterator[dict[str, float]]:
    for step in range(1, 5):
        yield {"score": step * config["x"]}


def jumping(wall_clock: Callable[[Any], float]) -> Callable[[Any], float]:
    """A wall clock that somebody sets forth and back by a year whenever it is looked at."""
    looks = iter(range(10**9))
    return lambda executor: wall_clock(executor) + (-1) ** next(looks) * YEAR_S


@pytest.mark.fault("F34")
def test_nothing_is_decided_by_the_wall_clock(run, tmp_path: Path) -> None:
    class Jumping(SimulatedExecutor):
        wall_clock = jumping(SimulatedExecutor.wall_clock)  # type: ignore[assignment]

    told = {}
    for kind in (SimulatedExecutor, Jumping):
        with kind([Node("sim", Resources.of(cpu=2))]) as executor:
            scheduler = ASHAScheduler(max_t=4, grace_period=1, reduction_factor=2)
            results = run(stepping, **SPACE, scheduler=scheduler, executor=executor, name=kind.__name__)
            told[kind] = [(one.trial_id, one.state, one.metrics["score"], one.reason) for one in results]
    assert told[Jumping] == told[SimulatedExecutor]


@pytest.mark.fault("F34")
def test_no_timeout_goes_by_the_wall_clock(run) -> None:
    class Jumping(LocalExecutor):
        wall_clock = jumping(LocalExecutor.wall_clock)  # type: ignore[assignment]

    with Jumping() as executor:
        limits = {"report_timeout_s": 60, "trial_timeout_s": 60, "time_budget_s": 60}
        results = run(counting, **SPACE, **limits, executor=executor)
    assert [(one.state, iterations(one)) for one in results] == [("TERMINATED", [1, 2, 3, 4, 5, 6])] * 4


@pytest.mark.fault("F35")
def test_a_machine_that_sleeps_ends_no_trial(tmp_path: Path) -> None:
    driver = Driver(tmp_path, "patient", config={"at": 3, "waiting": ["t0"]}, num_samples=2, report_timeout_s=2)
    driver.wait_for(["t0-waits"])
    everybody = [psutil.Process(driver.process.pid), *psutil.Process(driver.process.pid).children(recursive=True)]
    for one in everybody:
        one.suspend()
    time.sleep(3.5)  # longer than the timeout
    for one in reversed(everybody):
        one.resume()
    (driver.marks / "event").touch()
    code, _, err = driver.end()
    assert code == 0, err
    results = tune.ResultGrid(tmp_path / "e")
    assert [(one.attempts, iterations(one)) for one in results] == [(1, [1, 2, 3, 4, 5, 6])] * 2


class Forking(tune.Callback):
    """Forks the driver once a trial has reported; the child waits for the file ``leave``."""

    def __init__(self, leave: Path) -> None:
        self.leave = leave
        self.child: Any = None

    def on_trial_result(self, **rest: Any) -> None:
        if self.child is None:
            self.child = multiprocessing.get_context("fork").Process(target=wait_for, args=[self.leave])
            self.child.start()


def children() -> set[int]:
    """The processes below this one that are not over, by their ids."""
    found = psutil.Process().children(recursive=True)
    return {one.pid for one in found if one.is_running() and one.status() != psutil.STATUS_ZOMBIE}


@pytest.mark.fault("F37")
def test_a_child_that_the_driver_forks_keeps_neither_directory_nor_processes_and_its_end_harms_nobody(
    run, tmp_path: Path
) -> None:
    forking = Forking(tmp_path / "leave")
    before = children()
    (result,) = run(counting, callbacks=[forking])
    assert (result.attempts, iterations(result)) == (1, [1, 2, 3, 4, 5, 6])
    assert forking.child.is_alive()
    assert children() - before == {forking.child.pid}
    assert len(run(counting, num_samples=2, resume=True)) == 2
    (tmp_path / "leave").touch()
    forking.child.join(DEADLINE_S)
    assert forking.child.exitcode == 0


FORKED = """
import os, sys
from pathlib import Path
import tune
from tests.faults.test_surroundings import Forking
from tests.tune import trainables

class Told(Forking):
    def on_trial_result(self, **rest):
        super().on_trial_result(**rest)
        Path(sys.argv[1], "child").write_text(str(self.child.pid))

tune.run(trainables.patient, config={"marks": sys.argv[1], "at": 2, "waiting": ["t0"]}, verbose=0,
         storage_path=sys.argv[1], name="e", callbacks=[Told(Path(sys.argv[1], "leave"))])
"""


@pytest.mark.fault("F37")
def test_workers_end_with_their_driver_although_a_child_that_it_forked_lives_on(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKED, str(tmp_path)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}) as driver:
        wait_for(tmp_path / "child")
        wait_for(tmp_path / "t0-waits")
        child = psutil.Process(driver.pid).children()
        everybody = psutil.Process(driver.pid).children(recursive=True)
        (forked,) = (one for one in child if one.pid == int((tmp_path / "child").read_text()))
        driver.kill()
    gone, alive = psutil.wait_procs([one for one in everybody if one != forked], timeout=DEADLINE_S)
    assert gone
    assert alive == []
    assert forked.is_running()
    assert iterations(tune.resume(tmp_path / "e", counting, verbose=0)[0]) == [1, 2, 3, 4, 5, 6]
    (tmp_path / "leave").touch()
    psutil.wait_procs([forked], timeout=DEADLINE_S)


def surroundings() -> dict[str, Any]:
    """What a process has of its own that may be changed."""
    os.umask(mask := os.umask(0))
    return {
        "directory": os.getcwd(),  # noqa: PTH109 (as the process has it)
        "umask": mask,
        "files": list(resource.getrlimit(resource.RLIMIT_NOFILE)),
        "variable": os.environ.get("CHANGED"),
        "usr1": str(signal.getsignal(signal.SIGUSR1)),
        "start": multiprocessing.get_start_method(allow_none=True),
        "path": sys.path[0],
    }


@pytest.mark.fault("F38")
def test_what_a_trial_does_to_its_process_reaches_neither_the_next_trial_nor_the_driver(run, tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> dict[str, Any]:
        found = surroundings()
        os.chdir("/")
        os.umask(0o777)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        os.environ["CHANGED"] = "yes"
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        multiprocessing.set_start_method("forkserver", force=True)
        sys.path.insert(0, "/nowhere")
        return found

    before = surroundings()
    results = run(train, num_samples=3, max_concurrent_trials=1)
    first, *others = [{name: one.metrics[name] for name in before} for one in results]
    assert others == [first, first]
    assert {**first, "files": before["files"], "start": before["start"]} == before
    assert surroundings() == before


@pytest.mark.fault("F39")
def test_folders_that_a_cleaner_takes_away_are_made_again(tmp_path: Path) -> None:
    driver = Driver(tmp_path, "patient", config={"at": 4, "waiting": ["t0"]}, num_samples=1)
    driver.wait_for(["t0-waits"])
    for folder in ("checkpoints", "logs", "artifacts"):
        shutil.rmtree(tmp_path / "e" / folder, ignore_errors=True)
    (driver.marks / "event").touch()
    code, _, err = driver.end()
    assert code == 0, err
    (found,) = tune.ResultGrid(tmp_path / "e")
    assert (found.state, iterations(found), steps_in(found.checkpoint)) == ("TERMINATED", [1, 2, 3, 4, 5, 6], 6)


@contextlib.contextmanager
def read_only(place: Path) -> Iterator[None]:
    """A file system at `place` to which nobody can write; skips the test where none can be made."""
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place], check=False, capture_output=True
    ).returncode:
        pytest.skip("this user may mount nothing")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.fault("F39")
def test_a_storage_that_cannot_be_written_is_named_before_anything_starts(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with read_only(place), pytest.raises(OSError, match=f"Read-only file system: '{place}/e'"):
        tune.run(counting, storage_path=place, name="e", verbose=0)


def reporting_once(config: dict[str, Any]) -> Iterator[dict[str, float]]:
    yield {"score": config["x"]}


class Effort(tune.Callback):
    """Counts the calls of functions that a hundred trials take, early and late, and the objects there are then.

    In virtual time callbacks are called on the one thread that there is.
    """

    def __init__(self, trials: int) -> None:
        self.trials = trials
        self.ended = 0
        self.calls: list[int] = []
        self.objects: list[int] = []

    def on_trial_complete(self, **rest: Any) -> None:
        self.ended += 1
        tenth = self.trials // 10
        if self.ended in (tenth, self.trials - tenth):
            gc.collect()
            self.objects.append(len(gc.get_objects()))
            self.calls.append(0)
            sys.setprofile(self._count)
        elif self.ended in (tenth + 100, self.trials - tenth + 100):
            sys.setprofile(None)

    def _count(self, frame: Any, event: str, argument: Any) -> None:
        self.calls[-1] += event == "call"


@pytest.mark.fault("F22")
@pytest.mark.parametrize("trials", [1000, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_the_last_of_many_trials_takes_what_the_first_did_and_each_leaves_little(run, tmp_path, trials: int) -> None:
    effort = Effort(trials)
    with SimulatedExecutor([Node("sim", Resources.of(cpu=4))]) as executor:
        run(reporting_once, **{**SPACE, "num_samples": trials}, callbacks=[effort], executor=executor)
    early, late = effort.calls
    assert late < 1.05 * early
    before, after = effort.objects
    assert (after - before) / (0.8 * trials) < 20
    with journal.reading(tmp_path / "e") as connection:
        assert connection.execute("SELECT count(*) FROM events WHERE kind = 'ended'").fetchone() == (trials,)
