"""Where a worker stands can be asked at any time, whatever it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import executor as package_under_test
from executor.local import LocalExecutor
from executor.messages import Died
from executor.processes.stacks import without_ours
from tests.executor import stack_programs as programs
from tests.executor.conversation import DEADLINE_S, Conversation
from tests.executor.local_programs import Run

ROOT = Path(__file__).parents[2]
STAND = Run(programs.stand)


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(cpus=4) as executor:
        yield executor


@pytest.fixture
def talk(executor: LocalExecutor) -> Iterator[Conversation]:
    with Conversation(executor) as talk:
        yield talk


def stacks_with(executor: LocalExecutor, call: str, *words: str) -> str:
    """The stacks, once all the words are in them: the program says where it goes before it is there."""
    until = executor.clock() + DEADLINE_S
    while not all(word in (text := executor.stacks(call, timeout_s=DEADLINE_S)) for word in words):
        assert executor.clock() < until, text
    return text


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (programs.stand_in_sleep, 1),
        (programs.stand_in_a_loop, 3),
        (programs.stand_in_c_with_the_lock, 3),
    ],
)
def test_a_worker_tells_where_it_stands_whatever_it_does(
    talk: Conversation, place: Callable[[], None], line: int
) -> None:
    call = talk.start(STAND, place.__name__)
    talk.emission_of(call)
    number = place.__code__.co_firstlineno + line
    innermost = f'first):\n  File "{programs.__file__}", line {number} in {place.__name__}\n'
    stacks_with(talk.executor, call, innermost)


def test_all_threads_are_told(executor: LocalExecutor) -> None:
    with Conversation(executor) as talk:
        call = talk.start(STAND, "stand_in_two_threads")
        talk.emission_of(call)
        text = stacks_with(executor, call, "in wait_beside", "in wait_in_front")
    assert text.count("hread 0x") == 2


def test_the_executors_own_outermost_frames_are_left_out(executor: LocalExecutor) -> None:
    with Conversation(executor) as talk:
        call = talk.start(Run(programs.emit))
        emitted = talk.emission_of(call)
        text = stacks_with(executor, call, "in emit")
        assert talk.returned_by_from(emitted, "went on") == "went on"
    assert "local_programs.py" in text.splitlines()[-1]
    assert text.endswith("in run")
    assert "forkserver.py" not in text
    assert "<string>" not in text


def test_the_log_holds_none_of_it(executor: LocalExecutor, tmp_path: Path) -> None:
    with Conversation(executor) as talk:
        call = talk.start(STAND, "stand_in_sleep", log_path=str(tmp_path / "log"))
        talk.emission_of(call)
        stacks_with(executor, call, "in stand_in_sleep")
        assert (tmp_path / "log").read_text() == ""


def test_a_stopped_worker_answers_once_it_goes_on(executor: LocalExecutor) -> None:
    with Conversation(executor) as talk:
        call = talk.start(STAND, "stand_in_sleep")
        worker, _ = talk.emission_of(call).payload
        os.kill(worker, signal.SIGSTOP)
        assert "no answer within 0.2 s: the process is stopped" in executor.stacks(call, timeout_s=0.2)
        os.kill(worker, signal.SIGCONT)
        stacks_with(executor, call, "in stand_in_sleep")


def test_a_worker_with_its_own_use_for_the_signal_is_not_harmed(executor: LocalExecutor) -> None:
    with Conversation(executor) as talk:
        call = talk.start(STAND, "stand_deaf")
        talk.emission_of(call)
        until = executor.clock() + DEADLINE_S
        while "or has its own use for SIGURG" not in (text := executor.stacks(call, timeout_s=0.2)):
            assert executor.clock() < until, text
        talk.executor.kill(call, "seen enough")
        ending = talk.end_of(call)
    assert isinstance(ending, Died)
    assert str(ending.cause) == "seen enough"


def test_many_threads_may_ask_while_another_one_waits_for_events(executor: LocalExecutor) -> None:
    with Conversation(executor) as talk, ThreadPoolExecutor(5) as threads:
        calls = [talk.start(STAND, where) for where in ("stand_in_sleep", "stand_in_two_threads")]
        for call in calls:
            talk.emission_of(call)
        words = {calls[0]: "in stand_in_sleep", calls[1]: "in wait_in_front"}
        events = threads.submit(executor.events, None)
        asked = [threads.submit(stacks_with, executor, call, words[call]) for call in calls * 2]
        texts = [future.result(DEADLINE_S) for future in asked]
        executor.wake()
        assert events.result(DEADLINE_S) == []
    assert ["in stand_in_sleep" in text for text in texts] == [True, False, True, False]


def test_asking_ends_with_the_worker(executor: LocalExecutor) -> None:
    with Conversation(executor) as talk, ThreadPoolExecutor(1) as threads:
        call = talk.start(STAND, "stand_in_sleep")
        worker, _ = talk.emission_of(call).payload
        os.kill(worker, signal.SIGSTOP)
        asked = threads.submit(executor.stacks, call, timeout_s=DEADLINE_S)
        executor.kill(call, "while it is asked")
        talk.end_of(call)
        before = executor.clock()
        assert asked.result(DEADLINE_S) in ("the process has ended", f"call {call!r} is not running")
        assert executor.clock() - before < DEADLINE_S / 2


def test_what_does_not_run_has_no_stacks(executor: LocalExecutor, tmp_path: Path) -> None:
    assert executor.stacks("nobody's") == 'call "nobody\'s" is not running'
    with LocalExecutor(cpus=1) as other, Conversation(other) as talk:
        call = talk.start(STAND, "stand_in_sleep")  # nobody has waited for an event yet, so nothing has started
        assert other.stacks(call) == "the process has not been started yet: the program is still being loaded"
        talk.executor.kill(call, "asked")
        talk.end_of(call)


def test_threads_of_our_own_are_left_out_unless_there_are_no_others() -> None:
    package = Path(package_under_test.__file__).parent
    ours = (
        "Thread 0x1 (most recent call first):\n"
        f'  File "{package}/platform/portable.py", line 85 in _watch\n'
        f'  File "{threading.__file__}", line 982 in run'
    )
    users = 'Current thread 0x2 (most recent call first):\n  File "/home/train.py", line 3 in train'
    outermost = f'\n  File "{package}/processes/worker.py", line 10 in work\n  File "<string>", line 1 in <module>'
    assert without_ours(f"{ours}\n\n{users}{outermost}\n") == users
    assert without_ours(f"{ours}\n") == ours


def test_workers_that_are_fresh_interpreters_tell_too() -> None:
    environment = os.environ | {"AUDITION_PORTABLE": "1"}
    tests = [__file__, "-k", "not fresh_interpreters"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
