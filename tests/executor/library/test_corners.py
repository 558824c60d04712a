"""Corners of the library: each of these was wrong once."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import executor
from executor.errors import ExecutorClosedError, ExecutorError, TaskCancelledError
from executor.library.driver import Driver
from executor.library.refs import number_of
from executor.library.runtime import current
from executor.library.serving import Serving
from executor.util import placement_group, placement_group_table, remove_placement_group
from executor.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from tests.executor.library.events import DEADLINE_S, Signal, holds


@pytest.fixture
def ray() -> Iterator[Any]:
    """The library, open with a single cpu."""
    executor.init(num_cpus=1, log_to_driver=False)
    yield executor
    executor.shutdown()


def test_large_arguments_outlive_the_worker_that_submitted_the_call(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote(num_cpus=0)
    def gate() -> None:
        go.wait()

    @ray.remote
    def first_byte(data: bytearray, gone: None) -> int:
        return data[0]

    @ray.remote(max_calls=1)
    def parent(opened: list[Any]) -> tuple[Any, int]:
        return first_byte.remote(bytearray(b"\1") * 2**20, opened[0]), os.getpid()

    ref, pid = ray.get(parent.remote([gate.remote()]), timeout=DEADLINE_S)
    holds(lambda: all(process.pid != pid for process in ray.status().processes), "the parent's worker did not end")
    others = [ray.put(bytearray(b"\7") * 2**20) for _ in range(8)]  # would lie where the arguments did
    go.set()
    assert ray.get(ref, timeout=DEADLINE_S) == 1
    del others


def test_large_arguments_of_an_actor_outlive_the_worker_that_created_it(ray: Any) -> None:
    @ray.remote(num_cpus=1)
    class Keeper:
        def __init__(self, data: bytearray) -> None:
            self.first = data[0]

        def first_byte(self) -> int:
            return self.first

    @ray.remote(max_calls=1)
    def parent() -> Any:
        return Keeper.remote(bytearray(b"\1") * 2**20)

    keeper = ray.get(parent.remote(), timeout=DEADLINE_S)
    others = [ray.put(bytearray(b"\7") * 2**20) for _ in range(8)]
    assert ray.get(keeper.first_byte.remote(), timeout=DEADLINE_S) == 1
    del others


def test_arguments_for_an_actor_that_there_is_already_are_let_go_of(ray: Any) -> None:
    @ray.remote
    class Keeper:
        def __init__(self, data: bytearray) -> None:
            pass

    get = Keeper.options(name="keeper", get_if_exists=True)
    keepers = [get.remote(bytearray(2**20)) for _ in range(3)]
    assert ray.status().store.objects == 1
    del keepers


def test_an_exception_goes_through_a_long_chain_of_calls(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote
    def fail() -> None:
        go.wait()
        raise ValueError("at the beginning")

    @ray.remote
    def on(value: Any) -> Any:
        return value

    ref = fail.remote()
    for _ in range(1500):
        ref = on.remote(ref)
    go.set()
    with pytest.raises(ValueError, match="at the beginning"):
        ray.get(ref, timeout=DEADLINE_S)
    assert ray.get(on.remote(1), timeout=DEADLINE_S) == 1


def test_a_long_chain_of_values_that_refer_to_each_other_is_let_go_of(ray: Any) -> None:
    before = ray.status().objects
    ref = ray.put(None)
    for _ in range(3000):
        ref = ray.put([ref])
    assert ray.status().objects == before + 3001
    del ref
    assert ray.status().objects == before


def test_calls_that_need_no_resources_wait_for_each_other_in_any_number(ray: Any) -> None:
    @ray.remote(num_cpus=0)
    def depth(more: int) -> int:
        return 1 + ray.get(depth.remote(more - 1)) if more else 1

    assert ray.get([depth.remote(1) for _ in range(33)], timeout=DEADLINE_S) == [2] * 33


def test_a_coroutine_that_is_cancelled_at_once_ends(ray: Any) -> None:
    @ray.remote
    class Sleeper:
        async def sleep(self) -> None:
            await asyncio.sleep(1000)

        async def wake(self) -> str:
            return "awake"

    sleeper = Sleeper.remote()
    assert ray.get(sleeper.wake.remote(), timeout=DEADLINE_S) == "awake"
    for _ in range(50):
        ref = sleeper.sleep.remote()
        ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(ref, timeout=DEADLINE_S)


def test_a_reader_that_dies_while_it_waits_for_a_stream_takes_nothing_along(ray: Any, tmp_path: Path) -> None:
    waits, go = Signal(tmp_path, "waits"), Signal(tmp_path, "go")

    @ray.remote
    def count() -> Iterator[int]:
        yield 1
        go.wait()
        yield 2

    @ray.remote(num_cpus=0)
    def read(streams: list[Any]) -> None:
        next(streams[0])
        waits.set()
        next(streams[0])

    stream = count.remote()
    reader = read.remote([stream])
    waits.wait()
    ray.cancel(reader, force=True)
    with pytest.raises(TaskCancelledError):
        ray.get(reader, timeout=DEADLINE_S)
    go.set()
    assert ray.get(stream.completed(), timeout=DEADLINE_S) is None
    next(stream)  # the dead reader's, which is gone with it
    assert ray.get(next(stream), timeout=DEADLINE_S) == 2


def test_two_readers_of_a_stream_hold_each_value_for_themselves(ray: Any) -> None:
    @ray.remote
    def count() -> Iterator[int]:
        yield from range(3)

    stream = count.remote()
    again = pickle.loads(pickle.dumps(stream))
    first, second = list(stream), list(again)
    del first
    ray.status()
    assert ray.get(second, timeout=DEADLINE_S) == [0, 1, 2]


def test_a_stream_that_failed_is_let_go_of_with_all_that_nobody_has_read(ray: Any) -> None:
    @ray.remote
    def fail() -> Iterator[bytearray]:
        for _ in range(5):
            yield bytearray(2**20)
        raise ValueError("after five")

    before = ray.status().objects
    stream = fail.remote()
    first = next(stream)
    with pytest.raises(ValueError, match="after five"):
        ray.get(stream.completed(), timeout=DEADLINE_S)
    del stream, first
    assert (ray.status().objects, ray.status().store.objects) == (before, 0)


def test_a_worker_whose_call_was_cancelled_as_it_waited_lends_its_cpu_the_next_time_too(
    ray: Any, tmp_path: Path
) -> None:
    go, waits = Signal(tmp_path, "go"), Signal(tmp_path, "waits")

    @ray.remote(num_cpus=0)
    def late() -> None:
        go.wait()

    @ray.remote
    def wait_for(refs: list[Any]) -> None:
        waits.set()
        ray.get(refs)

    @ray.remote
    def child() -> int:
        return 1

    @ray.remote
    def parent() -> int:
        return ray.get(child.remote()) + 1

    ref = late.remote()
    waiting = wait_for.remote([ref])
    waits.wait()
    assert ray.get(child.remote(), timeout=DEADLINE_S) == 1  # by the cpu that is lent
    ray.cancel(waiting)
    with pytest.raises(TaskCancelledError):
        ray.get(waiting, timeout=DEADLINE_S)
    assert ray.get([parent.remote() for _ in range(3)], timeout=DEADLINE_S) == [2, 2, 2]
    go.set()
    ray.get(ref, timeout=DEADLINE_S)


def test_an_actor_has_its_cpu_back_after_its_constructor_has_waited(ray: Any) -> None:
    @ray.remote
    def one() -> int:
        return 1

    @ray.remote(num_cpus=1)
    class Waiter:
        def __init__(self) -> None:
            self.value = ray.get(one.remote())

        def get(self) -> int:
            return int(self.value)

    waiter = Waiter.remote()
    assert ray.get(waiter.get.remote(), timeout=DEADLINE_S) == 1
    holds(lambda: not ray.available_resources().get("CPU"), "the actor's cpu is lent for good")


def test_an_actor_ends_whose_only_call_is_cancelled_before_it_has_started(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote(num_cpus=1)
    class Slow:
        def __init__(self) -> None:
            go.wait()

        def get(self) -> None:
            pass

    slow = Slow.remote()
    ref = slow.get.remote()
    del slow
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=DEADLINE_S)
    holds(lambda: ray.available_resources()["CPU"] == 1, "the actor lives on")
    assert ray.status().actors == ()


def test_a_call_that_is_cancelled_by_force_behind_another_one_leaves_that_alone(ray: Any, tmp_path: Path) -> None:
    began, go = Signal(tmp_path, "began"), Signal(tmp_path, "go")

    @ray.remote(max_retries=0)
    def step(name: str) -> str:
        if name:
            (tmp_path / name).touch()
        if name == "first":
            began.set()
            go.wait()
        return name

    ray.get([step.remote("") for _ in range(500)], timeout=DEADLINE_S)  # so quick that several are sent at once
    first, second = step.remote("first"), step.remote("second")
    began.wait()
    ray.cancel(second, force=True)
    with pytest.raises(TaskCancelledError):  # it is given back while the first one still runs
        ray.get(second, timeout=DEADLINE_S)
    go.set()
    assert ray.get(first, timeout=DEADLINE_S) == "first"
    assert not (tmp_path / "second").exists()


def test_a_reference_made_by_a_worker_means_nothing_to_the_next_executor(ray: Any) -> None:
    @ray.remote
    def keep(value: str) -> list[Any]:
        return [ray.put(value)]

    (old,) = ray.get(keep.remote("old"), timeout=DEADLINE_S)
    ray.shutdown()
    ray.init(num_cpus=1, log_to_driver=False)
    (new,) = ray.get(keep.remote("new"), timeout=DEADLINE_S)
    with pytest.raises(ExecutorClosedError):
        ray.get(old)
    assert ray.get(new) == "new"


def test_awaiting_a_call_that_raised_stop_iteration_ends(ray: Any) -> None:
    @ray.remote
    def first() -> int:
        nothing: list[int] = []
        return next(iter(nothing))

    async def wait() -> int:
        return int(await first.remote())

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(asyncio.wait_for(wait(), DEADLINE_S))


@pytest.mark.parametrize("window", [-1, 2])
def test_a_stream_goes_on_where_it_was_when_its_call_is_tried_again(ray: Any, tmp_path: Path, window: int) -> None:
    read = Signal(tmp_path, "read")

    @ray.remote(generator_backpressure_num_objects=window)
    def count() -> Iterator[int]:
        for i in range(8):
            if i == 4 and not (tmp_path / "died").exists():
                read.wait()
                (tmp_path / "died").touch()
                os._exit(1)
            yield i

    stream = count.remote()
    values = [ray.get(next(stream), timeout=DEADLINE_S) for _ in range(4)]
    read.set()
    assert values + ray.get(list(stream), timeout=DEADLINE_S) == list(range(8))


def test_calls_for_a_removed_placement_group_fail_however_late_they_come(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote(num_cpus=0)
    def late() -> None:
        go.wait()

    group = placement_group([{"CPU": 1}])
    ray.get(group.ready(), timeout=DEADLINE_S)
    strategy = PlacementGroupSchedulingStrategy(group)
    inside = ray.remote(lambda *_: 1).options(scheduling_strategy=strategy)
    assert ray.get(inside.remote(), timeout=DEADLINE_S) == 1
    waiting = inside.remote(late.remote())
    remove_placement_group(group)
    go.set()
    for ref in (waiting, inside.remote()):
        with pytest.raises(ExecutorError, match="removed"):
            ray.get(ref, timeout=DEADLINE_S)


def test_a_reference_inside_an_exception_outlives_the_worker_that_raised_it(ray: Any) -> None:
    @ray.remote(max_calls=1)
    def fail() -> None:
        raise ValueError(ray.put("inside"), os.getpid())

    ref = fail.remote()
    ray.wait([ref], timeout=DEADLINE_S)
    holds(lambda: not ray.status().processes, "the worker did not end")
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is a reference
        ray.get(ref)
    assert ray.get(caught.value.args[0], timeout=DEADLINE_S) == "inside"
    del caught, ref
    gc.collect()
    assert ray.status().objects == 0


class Unspeakable:
    def __reduce__(self) -> Any:
        raise RuntimeError("not by pickle")

    def __repr__(self) -> str:
        raise RuntimeError("not by text")


class WriteProtectedError(Exception):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.__dict__["value"] = 1

    def __setattr__(self, name: str, value: Any) -> None:
        raise RuntimeError("nothing is to be set")


class AnsweringError(Exception):
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("there is no such thing")


@pytest.mark.parametrize("kind", ["unspeakable", "write-protected", "answering"])
def test_an_actor_outlives_whatever_exception_it_raises(ray: Any, kind: str) -> None:
    errors = {
        "unspeakable": (ValueError, Unspeakable),
        "write-protected": (WriteProtectedError, int),
        "answering": (AnsweringError, int),
    }

    @ray.remote
    class Raiser:
        def fail(self) -> None:
            error, argument = errors[kind]
            raise error(argument())

        def live(self) -> bool:
            return True

    raiser = Raiser.remote()
    with pytest.raises((ExecutorError, WriteProtectedError, AnsweringError)):
        ray.get(raiser.fail.remote(), timeout=DEADLINE_S)
    assert ray.get(raiser.live.remote(), timeout=DEADLINE_S)


def test_waiting_again_and_again_leaves_nothing_behind(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote
    def late() -> None:
        go.wait()

    ref = late.remote()
    driver = current()
    assert isinstance(driver, Driver)
    hub = driver.hub
    for _ in range(10):
        assert ray.wait([ref], timeout=0.001) == ([], [ref])
    assert not hub.objects.entries[number_of(ref)].waiting
    go.set()
    assert ray.wait([ref], timeout=DEADLINE_S) == ([ref], [])


def _numbers_kept_as_cancelled() -> int:
    return sum(len(one.cancelled) for one in gc.get_objects() if type(one) is Serving)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_call_that_is_cancelled_as_it_ends_is_forgotten(ray: Any, concurrency: int, tmp_path: Path) -> None:
    ends = Signal(tmp_path, "ends")

    @ray.remote(max_concurrency=concurrency)
    class Brief:
        def work(self) -> None:
            ends.set()

        def kept(self) -> int:
            return _numbers_kept_as_cancelled()

    brief = Brief.remote()
    for _ in range(200):
        ref = brief.work.remote()
        ends.wait()
        ray.cancel(ref)
        ray.wait([ref], timeout=DEADLINE_S)
    holds(lambda: ray.get(brief.kept.remote(), timeout=DEADLINE_S) == 0, "a call that has ended is kept as cancelled")


INTERRUPTED = """
import os, random, select, signal, threading
import executor as ray

ray.init(num_cpus=2, log_to_driver=False)
same = ray.remote(lambda value: value)
ray.get(same.remote(0))
armed, over = threading.Event(), threading.Event()

def interrupt():
    while armed.wait() and not over.is_set():
        armed.clear()
        select.select([], [], [], random.random() / 500)  # at any moment; the one that it was armed for
        os.kill(os.getpid(), signal.SIGINT)

def get():
    while not over.is_set():
        assert ray.get(same.remote(-1)) == -1

threads = [threading.Thread(target=interrupt), threading.Thread(target=get)]
for thread in threads:
    thread.start()
came = number = 0
while came < 2000:
    try:
        armed.set()
        while True:
            number += 1
            assert ray.get(same.remote(number), timeout=20) == number
    except KeyboardInterrupt:
        came += 1
over.set()
armed.set()
for thread in threads:
    thread.join()
print(ray.get(same.remote("whole"), timeout=20), ray.status().objects, ray.status().awaited_objects)
"""


def test_interrupts_at_any_moment_leave_the_driver_whole() -> None:
    program = [sys.executable, "-c", INTERRUPTED]
    found = subprocess.run(program, capture_output=True, text=True, timeout=2 * DEADLINE_S, check=False)
    assert (found.stdout, found.stderr) == ("whole 0 0\n", "")


def test_a_call_that_is_cancelled_behind_another_one_holds_up_none_of_those_behind_it(ray: Any, tmp_path: Path) -> None:
    go, later = Signal(tmp_path, "go"), Signal(tmp_path, "later")

    @ray.remote(num_cpus=0)
    def gate(signal: Signal) -> int:
        signal.wait()
        return 1

    @ray.remote
    class Echo:
        def echo(self, value: int) -> int:
            return value

    actor = Echo.remote()
    first, second, third = (actor.echo.remote(x) for x in (gate.remote(go), gate.remote(later), 3))
    ray.cancel(second)
    go.set()
    later.set()
    assert ray.get([first, third], timeout=DEADLINE_S) == [1, 3]
    with pytest.raises(TaskCancelledError):
        ray.get(second)


def test_a_call_that_is_cancelled_as_it_waits_for_its_values_holds_up_nobody(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote(num_cpus=0)
    def gate() -> int:
        go.wait()
        return 1

    @ray.remote
    class Echo:
        def echo(self, value: int) -> int:
            return value

    actor = Echo.remote()
    first, second = actor.echo.remote(gate.remote()), actor.echo.remote(2)
    ray.cancel(first)
    assert ray.get(second, timeout=DEADLINE_S) == 2
    go.set()


def test_a_call_that_was_cancelled_as_it_waited_is_counted_once_when_its_actor_dies(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote(num_cpus=0)
    def gate() -> None:
        go.wait()

    @ray.remote
    class Echo:
        def echo(self, value: None) -> None:
            return value

    actor, opened = Echo.remote(), gate.remote()
    call = actor.echo.remote(opened)
    ray.cancel(call)
    ray.kill(actor)
    holds(lambda: ray.status().actors[0].state == "dead", "the actor does not die")
    assert ray.status().actors[0].pending_calls == 0
    go.set()
    ray.get(opened, timeout=DEADLINE_S)


def test_cancelling_eight_times_as_many_calls_takes_about_eight_times_as_long(ray: Any, tmp_path: Path) -> None:
    go, begun = Signal(tmp_path, "go"), Signal(tmp_path, "begun")

    @ray.remote
    def hold() -> None:
        begun.set()
        go.wait()

    @ray.remote(num_returns=2)
    def two() -> tuple[int, int]:
        return 1, 2

    def seconds(count: int) -> float:
        refs = [two.remote() for _ in range(count)]
        began = time.perf_counter()
        for _, second in reversed(refs):
            ray.cancel(second)
        return time.perf_counter() - began

    holding = hold.remote()
    begun.wait()
    assert seconds(8000) < 24 * max(seconds(1000) for _ in range(3))  # it was 64 times
    go.set()
    ray.get(holding, timeout=DEADLINE_S)


def test_what_is_kept_of_lines_plans_and_groups_is_bounded_by_what_is_alive(ray: Any) -> None:
    @ray.remote
    def nothing() -> None:
        pass

    @ray.remote
    def submit(numbers: range) -> None:
        for number in numbers:
            ray.get(nothing.options(name=f"number {number}").remote())

    driver = current()
    assert isinstance(driver, Driver)
    hub = driver.hub
    for number in range(300):
        ray.get(nothing.options(num_cpus=1 - number / 1000).remote(), timeout=DEADLINE_S)
    ray.get(submit.remote(range(1500)), timeout=DEADLINE_S)
    for _ in range(3):
        group = placement_group([{"CPU": 1}])
        ray.get(group.ready(), timeout=DEADLINE_S)
        remove_placement_group(group)
        del group
    assert len(hub.tasks._lines) <= 100
    assert len(hub.workers.take.__self__._plans) <= 1000  # type: ignore[attr-defined]
    holds(lambda: not placement_group_table(), "groups that were removed and let go of are kept")
