"""Runs that end in any way, and what they leave behind: processes, shared memory, temporary files."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import tune
from tests.tune.driver import REPOSITORY
from tests.tune.trainables import DEADLINE_S, HARMS, saving, steps_done

TOKEN = "AUDITION_TEST_OF_ENDINGS"
"""In the environment of a driver, and so of all that it starts, whatever becomes of its parents and sessions."""

GONE_WITHIN_S = 2.0
STEPS = 5


def restless(config: dict[str, Any]) -> None:
    """Start processes that mean to stay, then report steps until one of them does ``harm``."""
    long = ["sleep", "600"]
    subprocess.Popen(long)
    subprocess.Popen(long, start_new_session=True)
    subprocess.run(["sh", "-c", 'setsid "$@" &', "sh", *long], check=True)
    for step in range(steps_done() + 1, STEPS + 1):
        if step == config["at"] and tune.get_context().get_attempt() == 1:
            HARMS.get(config["harm"], int)()
        tune.report({"step": step, "score": step}, checkpoint=saving(step))


class Telling(tune.Callback):
    """Says on stdout that the run begins, and each result, so that who watches knows how far it is."""

    def setup(self, **_information: Any) -> None:
        print(flush=True)

    def on_trial_result(self, **_information: Any) -> None:
        print(flush=True)


def go(storage: Path) -> None:
    """One run in this process."""
    harms = tune.choice([*sorted(HARMS), "none", "none"])
    tune.run(
        restless,
        config={"harm": harms, "at": tune.randint(1, STEPS + 1)},
        metric="score",
        mode="max",
        num_samples=4,
        max_concurrent_trials=2,
        max_failures=1,
        callbacks=[Telling()],
        raise_on_failed_trial=False,
        name="e",
        storage_path=storage,
        verbose=0,
    )


@dataclass(frozen=True)
class Ending:
    """The signals that a driver gets, one after the other, once it has told of so many results."""

    results: int
    signals: tuple[signal.Signals, ...]

    def __str__(self) -> str:
        names = ", then ".join(one.name for one in self.signals) or "nothing"
        return f"{names} after {self.results} results"


def draw(seed: int) -> Ending:
    """How the run of this seed ends."""
    chance = Random(seed)
    some = [(), (signal.SIGKILL,), (signal.SIGKILL,), (signal.SIGINT,), (signal.SIGINT,) * 2, (signal.SIGINT,) * 3]
    some += [(signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGTERM, signal.SIGKILL)]
    return Ending(chance.randrange(2 * STEPS), chance.choice(some))


@contextmanager
def place_of_its_own() -> Iterator[int]:
    """A mount namespace whose shared memory nobody else uses; the process that keeps it."""
    own = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /dev/shm && echo there && exec cat"]
    with subprocess.Popen(own, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"there\n"
        yield keeper.pid
        assert keeper.stdin is not None
        keeper.stdin.close()


def end_one(ending: Ending, storage: Path, keeper: int) -> list[str]:
    """Run a driver and end it so; what is left of it a while later."""
    token, temporary = f"{storage}", storage / "tmp"
    temporary.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(temporary), TOKEN: token}
    command = ["nsenter", "--target", str(keeper), "--mount", sys.executable, "-m", "tests.faults.endings"]
    with subprocess.Popen(
        [*command, str(storage)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as driver:
        assert driver.stdout is not None
        for _ in range(1 + ending.results):
            driver.stdout.readline()
        for one in ending.signals:
            driver.send_signal(one)
        driver.stdout.read()
        driver.wait(DEADLINE_S * 3)
    left = [f"process {pid}: {what}" for pid, what in survivors(token)]
    left += [f"temporary file {path}" for path in temporary.rglob("*")]
    left += [f"shared memory {path}" for path in Path(f"/proc/{keeper}/root/dev/shm").glob("*")]
    return left


def survivors(token: str) -> list[tuple[int, str]]:
    """Processes with this token that are not gone in time."""
    until = time.monotonic() + GONE_WITHIN_S
    while (there := _with_token(token)) and (left_s := until - time.monotonic()) > 0:
        for pid, _ in there:
            _await_end(pid, left_s)
    return there


def _await_end(pid: int, within_s: float) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    poller.poll(within_s * 1000)
    os.close(fd)


def _with_token(token: str) -> list[tuple[int, str]]:
    mark = f"{TOKEN}={token}\0".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes() + b"\0":
                found.append((int(process.name), (process / "cmdline").read_text().replace("\0", " ")))
        except OSError:
            continue  # it is gone by now
    return found


if __name__ == "__main__":
    go(Path(sys.argv[1]))
