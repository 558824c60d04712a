"""Shared memory that was taken for a value which then goes nowhere is given back."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

import executor
from executor.errors import TaskCancelledError
from tests.executor.library.events import DEADLINE_S, Signal, holds

LARGE = 1_000_000


def nothing_is_kept() -> None:
    def is_so() -> bool:
        gc.collect()
        return int(executor.status().store.objects) == 0

    holds(is_so, "a place in shared memory was never given back")


class Refuses:
    """Cannot be pickled."""

    def __reduce__(self) -> Any:
        raise OSError("no")


def test_returns_before_one_that_cannot_be_sent_are_given_back(ray: Any) -> None:
    @ray.remote
    class Halves:
        def both(self) -> Any:
            return numpy.zeros(LARGE), Refuses()

        def ping(self) -> str:
            return "pong"

    halves = Halves.remote()
    for ref in halves.both.options(num_returns=2).remote():
        with pytest.raises(TypeError, match=r"cannot be sent"):
            ray.get(ref)
    assert ray.get(halves.ping.remote()) == "pong"  # the worker lives: nothing was given back by its end
    nothing_is_kept()


def test_large_answers_to_what_was_emitted_are_given_back(ray: Any) -> None:
    @ray.remote
    class Sums:
        @ray.method(num_returns="streaming")
        def sums(self) -> None:
            total = 0.0
            while (answer := executor.emit(total)) is not None:
                total += float(answer.sum())
                del answer

    sums = Sums.remote()
    stream = sums.sums.remote()
    seen = [ray.get(next(stream))] + [ray.get(stream.send(numpy.ones(LARGE))) for _ in range(3)]
    assert seen == [0.0, LARGE, 2 * LARGE, 3 * LARGE]
    nothing_is_kept()


def test_an_answer_that_nobody_waits_for_is_given_back(ray: Any) -> None:
    @ray.remote
    def count() -> Any:
        yield from range(2)

    stream = count.remote()
    assert [ray.get(next(stream)), ray.get(stream.send(numpy.ones(LARGE)))] == [0, 1]
    with pytest.raises(StopIteration):
        stream.send(numpy.ones(LARGE))
    nothing_is_kept()


def test_a_large_answer_from_another_process_is_given_back_while_that_lives(ray: Any) -> None:
    @ray.remote
    class Sum:
        @ray.method(num_returns="streaming")
        def sum(self) -> None:
            executor.emit(float(executor.emit(None).sum()))

    @ray.remote
    class Asker:
        def ask(self, stream: Any) -> Any:
            next(stream)
            return executor.get(stream.send(numpy.ones(LARGE)))

    asker, summing = Asker.remote(), Sum.remote()
    assert ray.get(asker.ask.remote(summing.sum.remote())) == LARGE
    nothing_is_kept()


INTERRUPTED = """
import gc, os, random, select, signal, threading
import numpy
import executor as ray

ray.init(num_cpus=1, log_to_driver=False)
size = ray.remote(len)
array = numpy.zeros(2_000_000)
ray.get(size.remote(array))
armed, over = threading.Event(), threading.Event()

def interrupt():
    while armed.wait() and not over.is_set():
        armed.clear()
        select.select([], [], [], random.random() / 100)  # at any moment; the one that it was armed for
        os.kill(os.getpid(), signal.SIGINT)

thread = threading.Thread(target=interrupt)
thread.start()
for _ in range(70):
    try:
        armed.set()
        while True:
            ray.put(array)
            size.remote(array)
    except KeyboardInterrupt:
        pass
over.set()
armed.set()
thread.join()
assert ray.get(size.remote(array), timeout=20) == len(array)
for _ in range(1000):
    gc.collect()
    if not ray.status().waiting_calls and not ray.status().running_calls and not ray.status().store.objects:
        break
    select.select([], [], [], 0.01)
print(ray.status().store.objects)
"""


def test_an_interrupt_as_a_large_value_is_put_or_passed_loses_no_memory() -> None:
    program = [sys.executable, "-c", INTERRUPTED]
    found = subprocess.run(program, capture_output=True, text=True, timeout=2 * DEADLINE_S, check=False)
    assert (found.stdout, found.stderr) == ("0\n", "")


def test_a_call_that_is_cancelled_as_it_puts_a_large_value_loses_no_memory(ray: Any, tmp_path: Path) -> None:
    @ray.remote(max_retries=0)
    def puts(begun: Signal) -> None:
        begun.set()
        array = numpy.zeros(LARGE)
        while True:
            executor.put(array)

    for index in range(30):
        begun = Signal(tmp_path, f"begun-{index}")
        ref = puts.remote(begun)
        begun.wait()
        ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(ref, timeout=DEADLINE_S)
    nothing_is_kept()


def test_a_call_in_a_thread_of_an_actor_that_is_cancelled_as_it_puts_a_large_value_loses_no_memory(
    ray: Any, tmp_path: Path
) -> None:
    @ray.remote(max_concurrency=2)
    class Puts:
        def put(self, begun: Signal) -> None:
            begun.set()
            array = numpy.zeros(LARGE)
            while True:
                executor.put(array)

    puts = Puts.remote()
    for index in range(30):
        begun = Signal(tmp_path, f"begun-{index}")
        ref = puts.put.remote(begun)
        begun.wait()
        ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(ref, timeout=DEADLINE_S)
    nothing_is_kept()
