"""Nothing that a worker started outlives it, and nothing at all outlives the driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from executor.local import LocalExecutor
from executor.messages import Call, Died, Emitted, Raised, Returned
from executor.resources import Request
from tests.executor import local_programs as programs
from tests.executor.conversation import DEADLINE_S, Conversation
from tests.executor.local_processes import gone_afterwards
from tests.executor.local_programs import Run

ROOT = Path(__file__).parents[2]

DRIVER = """
import sys
from executor.local import LocalExecutor
from executor.messages import Call, Emitted, Returned
from executor.resources import Request
from tests.executor import local_programs as programs
from tests.executor.local_programs import Run

executor = LocalExecutor(cpus=2)
prepared = executor.prepare(Run(programs.leave_grandchild, {preload!r}))
for how in ("setsid", "double fork"):
    executor.start(prepared, executor.reserve(Request()), Call(how, how))
told = 0
while told < 2:
    for event in executor.events(None):
        if isinstance(event, Emitted):
            told += 1
            print(*event.payload, flush=True)
"""


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(cpus=4) as executor:
        yield executor


@pytest.fixture
def talk(executor: LocalExecutor) -> Iterator[Conversation]:
    with Conversation(executor) as talk:
        yield talk


@contextmanager
def driver(after: str) -> Iterator[tuple[subprocess.Popen[str], set[int]]]:
    """A process with an executor of its own that does `after` once its stdin is closed; and its calls' processes."""
    program = DRIVER.format(preload=()) + f"sys.stdin.read()\n{after}\n"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        try:
            yield process, told_pids(process)
        finally:
            process.kill()


def told_pids(process: subprocess.Popen[str]) -> set[int]:
    assert process.stdout is not None
    return {int(pid) for _ in range(2) for pid in process.stdout.readline().split()}


@pytest.mark.fault("F7")
@pytest.mark.parametrize("how", ["setsid", "double fork"])
@pytest.mark.parametrize("end", ["return", "raise", "kill", "kill -9", "release"])
def test_a_grandchild_goes_with_its_worker(talk: Conversation, how: str, end: str) -> None:
    reservation = talk.reserve()
    call = talk.start(Run(programs.leave_grandchild), how, on=reservation)
    emitted = talk.emission_of(call)
    worker, _, grandchild = emitted.payload
    with gone_afterwards(worker, grandchild):
        match end:
            case "kill":
                talk.executor.kill(call, "it was told to")
            case "kill -9":
                os.kill(worker, signal.SIGKILL)
            case "release":
                talk.executor.release(reservation)
            case _:
                talk.answer(emitted, end)
        ending = talk.end_of(call)
    assert isinstance(ending, {"return": Returned, "raise": Raised}.get(end, Died))


def test_other_workers_keep_their_grandchildren(talk: Conversation) -> None:
    staying, leaving = [talk.start(Run(programs.leave_grandchild), how) for how in ("double fork", "double fork")]
    stayed, left = talk.emission_of(staying), talk.emission_of(leaving)
    with gone_afterwards(left.payload[2]):
        talk.returned_by_from(left, None)
    os.kill(stayed.payload[2], 0)
    talk.returned_by_from(stayed, None)


def test_room_is_free_only_when_the_grandchildren_are_gone(talk: Conversation) -> None:
    reservation = talk.reserve()
    call = talk.start(Run(programs.leave_grandchild), "setsid", on=reservation)
    emitted = talk.emission_of(call)
    with gone_afterwards(emitted.payload[2], within_s=0):
        talk.executor.release(reservation)
        talk.room_freed()
    talk.end_of(call)


@pytest.mark.fault("F12")
def test_nothing_survives_a_killed_driver() -> None:
    with driver("") as (process, pids), gone_afterwards(*pids):
        process.kill()


@pytest.mark.parametrize("after", ["executor.close()", "del executor", "raise SystemExit(0)"])
def test_nothing_survives_a_driver_that_ends(after: str) -> None:
    with driver(after) as (process, pids), gone_afterwards(*pids):
        assert process.stdin is not None
        process.stdin.close()


def test_a_driver_killed_while_a_module_is_being_loaded_leaves_nothing(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # It holds the interpreter's lock all the while, so that no Python code of ours could notice anything.
    slow = f"import ctypes, os; open({str(fifo)!r}, 'w').write(str(os.getpid())); ctypes.PyDLL(None).sleep(1000)"
    (tmp_path / "slow_to_load.py").write_text(slow)
    program = f"import sys; sys.path.append({str(tmp_path)!r})" + DRIVER.format(preload=("slow_to_load",))
    with (
        subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) as process,
        gone_afterwards(int(fifo.read_text())),
    ):
        process.kill()


def test_a_killed_fork_server_takes_its_workers_along_and_is_replaced(executor: LocalExecutor) -> None:
    with Conversation(executor) as talk:
        calls = [talk.start(Run(programs.leave_grandchild), how) for how in ("setsid", "double fork")]
        pids = [talk.emission_of(call).payload for call in calls]
        with gone_afterwards(*{pid for three in pids for pid in three}):
            os.kill(pids[0][1], signal.SIGKILL)
            endings = [talk.end_of(call) for call in calls]
        assert [ending.cause.signal for ending in endings if isinstance(ending, Died)] == ["SIGKILL", "SIGKILL"]
        again = talk.start(Run(programs.leave_grandchild), "setsid")
        assert talk.returned_by(again, "back again") == "back again"


def test_closing_is_quick_and_leaves_nothing() -> None:
    executor = LocalExecutor(cpus=2)
    prepared = executor.prepare(Run(programs.leave_grandchild))
    for how in ("setsid", "double fork"):
        reservation = executor.reserve(Request())
        assert reservation is not None
        executor.start(prepared, reservation, Call(how, how))
    pids: set[int] = set()
    while len(pids) < 5:  # two workers, two grandchildren, one fork server
        for event in executor.events(executor.clock() + DEADLINE_S):
            assert isinstance(event, Emitted)
            pids |= set(event.payload)
    before = executor.clock()
    with gone_afterwards(*pids):
        executor.close()
    assert executor.clock() - before < 2
