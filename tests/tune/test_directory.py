"""One experiment's directory is held by one process at a time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tune.errors import ExperimentBusyError
from tune.storage import directory
from tune.storage.directory import LOCK, Hold

HOLDER = """
import sys
from pathlib import Path
from tune.storage.directory import Hold
hold = Hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
ASKING = """
import sys
from pathlib import Path
from tune.storage.directory import holder
print("asking", flush=True)
while True:
    holder(Path(sys.argv[1]))
"""


@contextmanager
def holding(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `path`, until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        env={"PYTHONPATH": str(Path.cwd())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "held\n"
        yield process


@pytest.mark.fault("F37")
def test_a_process_forked_meanwhile_does_not_keep_the_directory(tmp_path: Path) -> None:
    hold = Hold(tmp_path)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reading, 1)
        os._exit(0)
    try:
        hold.release()
        Hold(tmp_path).release()
    finally:
        os.write(writing, b"x")
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


@pytest.mark.fault("F36")
def test_a_second_hold_is_refused_and_says_who_has_it(tmp_path: Path) -> None:
    with holding(tmp_path) as other:
        with pytest.raises(ExperimentBusyError, match=f"process {other.pid} on {socket.gethostname()}"):
            Hold(tmp_path)
        found = directory.holder(tmp_path)
        assert found is not None
        assert (found["pid"], found["host"]) == (other.pid, socket.gethostname())


def test_the_death_of_the_holder_frees_the_directory(tmp_path: Path) -> None:
    with holding(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
    assert directory.holder(tmp_path) is None
    hold = Hold(tmp_path)
    assert directory.holder(tmp_path)["pid"] == os.getpid()
    hold.release()


def test_two_holds_in_one_process_exclude_each_other_too(tmp_path: Path) -> None:
    hold = Hold(tmp_path)
    with pytest.raises(ExperimentBusyError, match=str(os.getpid())):
        Hold(tmp_path)
    hold.release()
    Hold(tmp_path).release()
    assert directory.holder(tmp_path) is None


def test_nobody_holds_what_was_never_held(tmp_path: Path) -> None:
    assert directory.holder(tmp_path) is None
    assert directory.holder(tmp_path / "nowhere") is None
    assert not (tmp_path / LOCK).exists()


def test_who_asks_for_the_holder_keeps_nobody_out(tmp_path: Path) -> None:
    Hold(tmp_path).release()
    process = subprocess.Popen(
        [sys.executable, "-c", ASKING, str(tmp_path)], env={"PYTHONPATH": str(Path.cwd())}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process:
        process.stdout.readline()
        for _ in range(50):
            Hold(tmp_path).release()
        process.kill()
