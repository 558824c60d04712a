"""Fork servers: when they fork and when not, what they load, and who may use them."""

from __future__ import annotations

import importlib
import linecache
import logging
import os
import resource
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from executor.connect import connect
from executor.errors import ExecutorClosedError
from executor.interface import Prepared
from executor.local import LocalExecutor
from executor.messages import Call, Died, Raised
from executor.resources import Request
from tests.executor import local_programs as programs
from tests.executor.conversation import DEADLINE_S, Conversation
from tests.executor.local_processes import gone_afterwards
from tests.executor.local_programs import Run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(cpus=4) as executor:
        yield executor


@pytest.fixture
def talk(executor: LocalExecutor) -> Iterator[Conversation]:
    with Conversation(executor) as talk:
        yield talk


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's modules."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_module_that_starts_threads_is_not_forked_with_and_the_reason_is_told(
    talk: Conversation, modules: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (modules / "threaded.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    program = Run(programs.leave_grandchild, ("threaded",))
    with caplog.at_level(logging.WARNING):
        for how in ("setsid", "double fork"):
            call = talk.start(program, how)
            emitted = talk.emission_of(call)
            worker, _, grandchild = emitted.payload
            with gone_afterwards(worker, grandchild):
                assert talk.returned_by_from(emitted, "returned") == "returned"
    assert [record.message for record in caplog.records if "started 1 thread" in record.message] == [
        "workers start as fresh interpreters, which takes longer than forking: loading it started 1 thread(s)"
    ]


def test_a_module_that_fails_to_load_is_left_to_the_program(talk: Conversation, modules: Path) -> None:
    (modules / "broken.py").write_text("raise ImportError('it wants another version')")
    (modules / "leaving.py").write_text("raise SystemExit(3)")

    def use(channel: object, argument: object) -> None:
        importlib.import_module("broken")

    ending = talk.end_of(talk.start(Run(use, ("broken", "leaving", "no_such_module"))))
    assert isinstance(ending, Raised)
    assert (ending.error.type_name, ending.error.message) == ("ImportError", "it wants another version")
    assert "in use" in ending.error.traceback


def test_a_module_that_crashes_is_the_cause_of_death(talk: Conversation, modules: Path) -> None:
    (modules / "crashing.py").write_text("import os; os.abort()")
    ending = talk.end_of(talk.start(Run(programs.end_as_told, ("crashing",))))
    assert isinstance(ending, Died)
    assert ending.cause.signal == "SIGABRT"


def test_a_call_that_waits_for_a_slow_module_can_be_killed(talk: Conversation, modules: Path) -> None:
    (modules / "slow.py").write_text("import signal; signal.pause()")
    call = talk.start(Run(programs.end_as_told, ("slow",)))
    talk.executor.kill(call, "too slow")
    ending = talk.end_of(call)
    assert isinstance(ending, Died)
    assert str(ending.cause) == "too slow"


def test_a_call_that_is_cancelled_before_its_worker_exists_sees_it(talk: Conversation, modules: Path) -> None:
    gate = modules / "gate"
    os.mkfifo(gate)
    (modules / "gated.py").write_text(f"open({str(gate)!r}).close()")
    call = talk.start(Run(programs.see_cancellation_at_once, ("gated",)))
    talk.executor.cancel(call)
    with gate.open("w"):
        assert talk.returned_by(call) is True


def test_closing_does_not_wait_for_a_slow_module(modules: Path) -> None:
    (modules / "slower.py").write_text("import signal; signal.pause()")
    executor = LocalExecutor(cpus=1)
    executor.prepare(Run(programs.end_as_told, ("slower",)))
    before = executor.clock()
    executor.close()
    assert executor.clock() - before < 2


def test_closing_ends_a_wait_in_another_thread() -> None:
    executor = LocalExecutor(cpus=1)
    waiting = threading.Event()
    events = []

    def wait() -> None:
        waiting.set()
        with suppress(ExecutorClosedError):
            events.append(executor.events(None))

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait(DEADLINE_S)
    executor.close()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert events in ([], [[]])


def test_code_that_is_in_no_file_shows_its_lines_in_tracebacks(talk: Conversation) -> None:
    source = "def train(channel, argument):\n    raise ValueError('in a cell')\n"
    linecache.cache["<cell 7>"] = (len(source), None, source.splitlines(keepends=True), "<cell 7>")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "<cell 7>", "exec"), names)
    ending = talk.end_of(talk.start(Run(names["train"])))
    assert isinstance(ending, Raised)
    assert "raise ValueError('in a cell')" in ending.error.traceback


def test_the_same_program_is_loaded_once_and_forgotten_ones_make_room(executor: LocalExecutor) -> None:
    def parents() -> set[int]:
        with Conversation(executor) as talk:
            return {talk.returned_by(talk.start(Run(programs.describe_process)))["parent"] for _ in range(3)}

    (first,) = parents()
    with gone_afterwards(first):
        for number in range(8):
            executor.prepare(Run(programs.describe_process, (f"edit_{number}",)))
    (second,) = parents()
    assert first != second


def test_a_program_stays_in_memory_no_longer_than_somebody_can_start_it(executor: LocalExecutor) -> None:
    megabyte = 2**20

    def prepare(number: int) -> Prepared:
        return executor.prepare(Run(lambda channel, argument, weights=bytes(range(256)) * (megabyte // 256): number))

    executor.prepare(Run(programs.end_as_told))
    tracemalloc.start()
    try:
        kept = prepare(0)
        for number in range(1, 8):
            prepare(number)
        traced, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert traced < 4 * megabyte
    with Conversation(executor) as talk:
        assert talk.returned_by(talk.start_prepared(kept)) == 0


def test_a_program_that_cannot_be_loaded_for_lack_of_room_leaves_nothing_behind() -> None:
    others = children()  # of tests before, whose libraries keep processes of their own
    executor = LocalExecutor(cpus=1)
    servers = children() - others
    most, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            executor.prepare(Run(programs.tell_pids))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    with Conversation(executor) as talk:
        assert talk.emission_of(talk.start(Run(programs.tell_pids))).payload[1] in servers
    executor.close()
    assert not servers & children()


def children() -> set[int]:
    """The child processes of this one."""
    listings = Path("/proc/self/task").glob("*/children")
    return {int(pid) for listing in listings for pid in listing.read_text().split()}


def test_a_program_prepared_elsewhere_is_refused(executor: LocalExecutor) -> None:
    with LocalExecutor(cpus=1) as other:
        prepared = other.prepare(Run(programs.end_as_told))
    reservation = executor.reserve(Request())
    assert reservation is not None
    with pytest.raises(ValueError, match="has not prepared the program"):
        executor.start(prepared, reservation, Call("lost", None))


def test_a_reservation_runs_one_call_at_a_time(talk: Conversation) -> None:
    reservation = talk.reserve()
    call = talk.start(Run(programs.end_as_told), on=reservation)
    prepared = talk.executor.prepare(Run(programs.end_as_told))
    with pytest.raises(ValueError, match=f"still runs call '{call}'"):
        talk.executor.start(prepared, reservation, Call("second", None))
    talk.returned_by(call)
    talk.executor.release(reservation)
    with pytest.raises(ValueError, match="was released"):
        talk.executor.start(prepared, reservation, Call("third", None))


def test_a_forked_copy_of_the_driver_refuses_and_harms_nobody(executor: LocalExecutor) -> None:
    with Conversation(executor) as talk:
        call = talk.start(Run(programs.end_as_told))
        emitted = talk.emission_of(call)
        reading, writing = os.pipe()
        if os.fork() == 0:
            refusals = 0
            uses = (executor.nodes, lambda: executor.reserve(Request()), lambda: executor.kill(call, "by the copy"))
            for use in (*uses, lambda: executor.events(None), executor.close, executor.wake):
                try:
                    use()
                except ExecutorClosedError as error:
                    refusals += "forked" in str(error)
            os.write(writing, str(refusals).encode())
            os._exit(0)
        assert os.read(reading, 10) == b"3"
        os.wait()
        assert talk.returned_by_from(emitted, "unharmed") == "unharmed"
        for fd in (reading, writing):
            os.close(fd)


def sockets_of(pid: int) -> set[str]:
    found = set()
    for entry in list(Path(f"/proc/{pid}/fd").iterdir()):
        with suppress(FileNotFoundError):  # the listing's own
            kind, _, inode = str(entry.readlink()).partition(":")
            if kind == "socket":
                found.add(inode.strip("[]"))
    return found


def test_nobody_listens(talk: Conversation) -> None:
    worker, server = talk.emission_of(call := talk.start(Run(programs.tell_pids))).payload
    inodes = sockets_of(os.getpid()) | sockets_of(worker) | sockets_of(server)
    assert inodes
    network = [line.split() for name in ("tcp", "tcp6", "udp", "udp6") for line in _table(name)]
    assert not [row for row in network if row[9] in inodes]
    listening = [row for row in map(str.split, _table("unix")) if row[6] in inodes and int(row[3], 16) & 0x10000]
    assert listening == []
    talk.executor.kill(call, "seen")


def _table(name: str) -> list[str]:
    path = Path("/proc/net") / name
    return path.read_text().splitlines()[1:] if path.exists() else []


def test_no_descriptor_stays_open(executor: LocalExecutor) -> None:
    def use() -> int:
        with Conversation(executor) as talk:
            for fresh in (True, False):
                talk.returned_by(talk.start(Run(programs.end_as_told), fresh=fresh))
        return len(list(Path("/proc/self/fd").iterdir()))

    assert use() == use()


def test_workers_are_fresh_interpreters_where_forking_is_not_known_to_be_safe() -> None:
    """The whole of it, with everything particular to Linux switched off."""
    tests = ["tests/executor/test_contract.py", "-k", "TestLocal and (EndingContract or seed or arrive or closing)"]
    environment = os.environ | {"AUDITION_PORTABLE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_importing_and_opening_loads_nothing_heavy() -> None:
    program = "from executor.local import LocalExecutor; LocalExecutor().close(); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"numpy", "multiprocessing", "psutil", "asyncio", "cloudpickle", "subprocess", "ctypes", "pynvml", "grpc"}
    assert heavy & set(done.stdout.split()) == set()


def test_an_address_becomes_an_executor() -> None:
    with connect(cpus=3) as executor:
        assert executor.nodes()[0].capacity["cpu"] == 3
        assert connect(executor) is executor
        with pytest.raises(ValueError, match="made already"):
            connect(executor, cpus=1)
    with pytest.raises(ValueError, match="no executor at 'locale': there is 'local'"):
        connect("locale")
