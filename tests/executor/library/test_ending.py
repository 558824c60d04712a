"""How it all ends: nothing is left behind, whichever way it comes."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import executor
from executor.errors import ActorDiedError, ExecutorClosedError, ExecutorError, OutOfMemoryError
from executor.platform import here
from tests.executor.library.events import Signal, holds
from tests.executor.local_processes import gone_afterwards

DRIVER = """
import os, subprocess, sys, time
import executor, numpy

@executor.remote
class Parent:
    def start(self):
        self.plain = subprocess.Popen(["sleep", "1000"])
        self.session = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        self.array = executor.put(numpy.zeros(1_000_000))
        return os.getpid(), self.plain.pid, self.session.pid

@executor.remote
def task():
    time.sleep(1000)

if __name__ == "__main__":
    executor.init(num_cpus=2)
    parent = Parent.remote()
    running = task.remote()
    kept = executor.put(numpy.zeros(1_000_000))
    pids = executor.get(parent.start.remote())
    print(*pids, flush=True)
    sys.stdin.readline()
    END
"""


def leftovers(temporary: Path) -> set[str]:
    # Others may use /dev/shm at the same time, as joblib's own processes do in another test.
    ours, theirs = ("audition", "object", "psm_", "sem."), "sem.loky"
    names = [path for path in Path("/dev/shm").iterdir() if not path.name.startswith(theirs)]
    shared = [path for path in names if path.name.startswith(ours)]
    return {str(path) for path in [*temporary.iterdir(), *shared]}


@pytest.mark.parametrize(
    ("end", "by_signal"),
    [
        ("pass", None),
        ("executor.shutdown(); executor.shutdown()", None),
        ("raise RuntimeError", None),
        ("sys.exit(3)", None),
        ("os._exit(4)", None),
        ("", signal.SIGKILL),
        ("", signal.SIGTERM),
        ("", signal.SIGINT),
    ],
)
def test_everything_is_gone_soon_after_any_end_of_the_driver(
    tmp_path: Path, end: str, by_signal: signal.Signals | None
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    before = leftovers(temporary)
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.replace("END", end))
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(
        [sys.executable, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        pids = [int(word) for word in driver.stdout.readline().split()]
        assert len(pids) == 3
        # Elsewhere than on Linux only the group of a process can be ended with it.
        session = [] if here.can_fork() else [pids.pop()]
        with gone_afterwards(*pids):
            if by_signal is None:
                driver.stdin.write("\n")
                driver.stdin.flush()
            else:
                driver.send_signal(by_signal)  # while it waits for the line
            driver.wait(30)
    for pid in session:
        os.kill(pid, signal.SIGKILL)
    holds(lambda: leftovers(temporary) <= before, f"something of {leftovers(temporary)} is left behind")


@pytest.fixture
def opened() -> Iterator[Any]:
    executor.init(num_cpus=2)
    yield executor
    executor.shutdown()


def test_it_opens_again_after_a_shutdown(opened: Any) -> None:
    ref = opened.put(1)
    opened.shutdown()
    opened.shutdown()
    assert not opened.is_initialized()
    with pytest.raises(ExecutorClosedError, match="shut down"):
        ref.future()
    opened.init(num_cpus=1)
    assert opened.get(opened.remote(os.getpid).remote()) != os.getpid()
    with pytest.raises(ExecutorClosedError):
        opened.get(ref)
    with pytest.raises(ExecutorError, match="an argument is gone"):
        opened.get(opened.remote(id).remote(ref))
    with pytest.raises(ExecutorError, match="open already"):
        opened.init()
    assert opened.init(ignore_reinit_error=True) is not None


def test_what_waits_is_let_go_by_a_shutdown(opened: Any) -> None:
    @opened.remote
    def sleep() -> None:
        time.sleep(1000)

    ref = sleep.remote()
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            opened.get(ref)
        except ExecutorError as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    holds(lambda: opened.status().running_calls == 1, "it does not run")
    opened.shutdown()
    thread.join(10)
    assert len(failures) == 1


def test_it_opens_by_itself_when_it_is_first_used() -> None:
    code = "import executor; print(executor.get(executor.remote(len).remote('four')))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60) == "4\n"


def test_ctrl_c_interrupts_a_wait_and_leaves_all_in_order(tmp_path: Path) -> None:
    code = """
import executor, os, signal, sys, threading, time
executor.init(num_cpus=2)

@executor.remote
class Slow:
    def sleep(self, seconds):
        time.sleep(seconds)
        return seconds

slow = Slow.remote()
executor.get(slow.sleep.remote(0))
interrupted = 0
for _ in range(200):
    try:
        threading.Timer(0.002, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            executor.get([slow.sleep.remote(0) for _ in range(20)])
    except KeyboardInterrupt:
        interrupted += 1
print(interrupted, executor.get([slow.sleep.remote(0) for _ in range(100)]) == [0] * 100)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "200 True\n", done.stderr


def test_a_forked_copy_of_the_driver_has_an_executor_of_its_own(opened: Any) -> None:
    code = """
import executor, os
executor.init(num_cpus=1)
print(executor.get(executor.remote(len).remote("ab")), flush=True)
pid = os.fork()
if pid == 0:
    executor.init(num_cpus=1)
    print(executor.get(executor.remote(len).remote("abc")), flush=True)
    executor.shutdown()
    os._exit(0)
os.waitpid(pid, 0)
print(executor.get(executor.remote(len).remote("abcd")), flush=True)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60) == "2\n3\n4\n"


# Memory.


def test_an_actor_that_uses_more_memory_than_it_may_dies_of_that(opened: Any) -> None:
    @opened.remote(memory=200 * 2**20)
    class Hungry:
        def eat(self, mebibytes: int) -> int:
            self.food = bytearray(os.urandom(1)) * (mebibytes * 2**20)
            return len(self.food)

        def eat_for_ever(self, mebibytes: int) -> None:
            self.eat(mebibytes)
            signal.pause()  # where the system holds nobody to a limit, it is seen a moment later

    hungry, other = Hungry.remote(), Hungry.remote()
    assert opened.get(hungry.eat.remote(50)) == 50 * 2**20
    with pytest.raises(OutOfMemoryError, match=r"of 200 MiB allowed, and the machine had"):
        opened.get(hungry.eat_for_ever.remote(500))
    with pytest.raises(ActorDiedError):
        opened.get(hungry.eat.remote(1))
    assert opened.get(other.eat.remote(50)) == 50 * 2**20


def test_a_task_that_runs_out_of_memory_is_not_tried_again(opened: Any, tmp_path: Path) -> None:
    @opened.remote(memory=100 * 2**20)
    def eat(path: str) -> None:
        with Path(path).open("a") as file:
            file.write("x")
        food = bytearray(b"x") * (500 * 2**20)
        signal.pause()
        del food

    with pytest.raises(OutOfMemoryError, match="100 MiB allowed"):
        opened.get(eat.remote(str(tmp_path / "tries")))
    assert (tmp_path / "tries").read_text() == "x"


# Seeing.


def test_stacks_show_where_an_actor_is(opened: Any, tmp_path: Path) -> None:
    go, begun = Signal(tmp_path, "go"), Signal(tmp_path, "begun")

    @opened.remote
    class Waiter:
        def wait_for_it(self) -> None:
            begun.set()
            go.wait()

    waiter = Waiter.remote()
    ref = waiter.wait_for_it.remote()
    begun.wait()
    for target in (waiter, ref):
        text = opened.stacks(target)
        assert "in wait_for_it" in text
        assert "serving.py" not in text
    go.set()
    opened.get(ref)
    with pytest.raises(ExecutorError, match="no process just now"):
        opened.stacks(ref)


def test_stacks_show_the_line_that_called_into_c(opened: Any, tmp_path: Path) -> None:
    begun = Signal(tmp_path, "begun")

    @opened.remote
    def hash_for_long() -> None:
        begun.set()
        hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 1 << 30)

    ref = hash_for_long.remote()
    begun.wait()
    holds(lambda: f"line {LINE_OF_HASH} in hash_for_long" in opened.stacks(ref), "the line is not shown")
    opened.cancel(ref, force=True)


LINE_OF_HASH = next(n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if "1 << 30" in line)


def test_stacks_name_a_call_that_is_c_itself(opened: Any) -> None:
    ref = opened.remote(time.sleep).remote(60)
    holds(lambda: bool(opened.status().running_calls), "it does not begin")
    assert opened.stacks(ref).startswith("Calls: sleep\n\n")
    opened.cancel(ref, force=True)


def test_the_status_is_values_and_a_table(opened: Any) -> None:
    @opened.remote
    class Named:
        def ping(self) -> None:
            pass

    named = Named.options(name="me", num_cpus=1).remote()
    opened.get(named.ping.remote())
    opened.remote(num_cpus=2)(os.getpid).remote()
    status = opened.status()
    (actor,) = status.actors
    assert (actor.name, actor.registered_name, actor.state, actor.pending_calls) == ("Named", "me", "alive", 0)
    assert status.total["cpu"] == 2
    assert status.available["cpu"] == 1
    assert status.waiting_calls == (("cpu 2", 1),)
    assert any(process.work == "actor Named" and process.memory_bytes for process in status.processes)
    text = str(status)
    assert "1 of 2 cpu" in text
    assert "1 wait for cpu 2" in text
    assert "Named" in text


def test_what_workers_print_is_shown_in_the_driver_with_who_printed_it() -> None:
    code = """
import executor

@executor.remote
class Talker:
    def talk(self, text):
        print(text)

@executor.remote
def hello():
    print("hello from a task")

talker = Talker.remote()
executor.get([talker.talk.remote("first"), talker.talk.remote("second"), hello.remote()])
"""
    shown = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60).splitlines()
    talker = [line for line in shown if line.startswith("(Talker pid=")]
    assert [line.split(") ")[1] for line in talker] == ["first", "second"]
    assert any(line.endswith(") hello from a task") for line in shown)
    quiet = code.replace("import executor\n", "import executor\nexecutor.init(log_to_driver=False)\n", 1)
    assert subprocess.check_output([sys.executable, "-c", quiet], text=True, timeout=60) == ""
