"""The standard library's executor of processes and ours: what one does the other does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    as_completed,
    wait,
)
from concurrent.futures import Executor as StandardExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import executor
from executor.errors import WorkerCrashedError
from executor.futures import Executor
from executor.library.runtime import current
from tests.executor.library.events import Signal, holds

DEADLINE_S = 60.0


@pytest.fixture(params=["standard", "ours"])
def make(request: pytest.FixtureRequest, ray: Any) -> Iterator[Callable[..., Any]]:
    """Makes executors of one kind, and shuts them down."""
    standard = partial(ProcessPoolExecutor, mp_context=multiprocessing.get_context("forkserver"))
    kind = Executor if request.param == "ours" else standard
    made: list[StandardExecutor] = []

    def one(*arguments: Any, **options: Any) -> Any:
        made.append(kind(*arguments, **options))
        return made[-1]

    yield one
    for pool in made:
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def ours(ray: Any) -> Iterator[Executor]:
    with Executor(2) as pool:
        yield pool


class Odd(Exception):  # noqa: N818
    pass


def square(number: int) -> int:
    return number * number


def fail(text: str) -> None:
    raise Odd(text)


def pid_of(_: Any = None) -> int:
    return os.getpid()


def meet(mine: Signal, other: Signal) -> int:
    mine.set()
    other.wait()
    return os.getpid()


_told = 0


def tell(number: int) -> None:
    global _told
    _told = number


def told(_: Any) -> int:
    return _told


def test_a_future_has_what_the_call_returned_or_raised(make: Callable[..., Any]) -> None:
    pool = make(2)
    assert pool.submit(pow, 2, 3, mod=5).result(DEADLINE_S) == 3
    future = pool.submit(fail, "oh")
    with pytest.raises(Odd, match="oh"):
        future.result(DEADLINE_S)
    assert "in fail" in str(future.exception().__cause__)
    assert future.done()


def test_futures_work_with_wait_and_as_completed(make: Callable[..., Any], tmp_path: Path) -> None:
    pool = make(2)
    go = Signal(tmp_path, "go")
    slow, quick = pool.submit(go.wait), pool.submit(square, 2)
    done, left = wait([slow, quick], DEADLINE_S, FIRST_COMPLETED)
    assert (done, left) == ({quick}, {slow})
    go.set()
    assert {future.result() for future in as_completed([slow, quick], DEADLINE_S)} == {None, 4}


def test_a_future_runs_while_its_call_does_and_cannot_be_cancelled_then(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    pool = make(1)
    began, go = Signal(tmp_path, "began"), Signal(tmp_path, "go")
    future = pool.submit(meet, began, go)
    began.wait()
    assert future.running()
    assert not future.cancel()
    go.set()
    assert isinstance(future.result(DEADLINE_S), int)
    assert not future.running()


def test_a_future_that_waits_can_be_cancelled(make: Callable[..., Any], tmp_path: Path) -> None:
    pool = make(1)
    began, go = Signal(tmp_path, "began"), Signal(tmp_path, "go")
    pool.submit(meet, began, go)
    began.wait()
    futures = [pool.submit(square, n) for n in range(10)]
    last = futures[-1]
    assert not last.running()
    assert last.cancel()
    assert last.cancelled()
    go.set()
    assert [future.result(DEADLINE_S) for future in futures[:-1]] == [n * n for n in range(9)]
    with pytest.raises(CancelledError):
        last.result()


@pytest.mark.parametrize("chunksize", [1, 3, 100])
def test_map_keeps_the_order_and_stops_with_the_shortest(make: Callable[..., Any], chunksize: int) -> None:
    pool = make(2)
    assert list(pool.map(square, range(20), chunksize=chunksize)) == [n * n for n in range(20)]
    assert list(pool.map(pow, [2, 3, 4], [1, 2], chunksize=chunksize)) == [2, 9]
    assert list(pool.map(square, [], chunksize=chunksize)) == []


@pytest.mark.parametrize("chunksize", [1, 2])
def test_map_raises_what_a_call_raised_in_its_turn(make: Callable[..., Any], chunksize: int) -> None:
    results = make(2).map(odd_above_two, [1, 2, 3, 4], chunksize=chunksize)
    assert next(results) == 1
    assert next(results) == 2
    with pytest.raises(Odd):
        next(results)


def odd_above_two(number: int) -> int:
    if number > 2:
        raise Odd(str(number))
    return number


def test_map_raises_when_its_time_is_over(make: Callable[..., Any], tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")
    results = make(1).map(Signal.wait, [go], timeout=0.05)
    with pytest.raises(TimeoutError):
        next(results)
    go.set()


def test_a_chunk_holds_at_least_one(make: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="chunksize must be >= 1"):
        make(1).map(square, [1], chunksize=0)


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"max_workers": 0}, ValueError, "max_workers must be greater than 0"),
        ({"initializer": 3}, TypeError, "initializer must be a callable"),
    ],
)
def test_wrong_arguments_are_refused_in_the_same_words(
    make: Callable[..., Any], options: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        make(**options)


def test_as_many_calls_run_at_a_time_as_there_are_workers(make: Callable[..., Any], tmp_path: Path) -> None:
    pool = make(6)  # more than the executor has cpus: they are counted apart
    begun, go = ([Signal(tmp_path, f"{name}{n}") for n in range(6)] for name in ("begun", "go"))
    calls = [pool.submit(meet, begun[n], go[n]) for n in range(6)]
    for each in begun:
        each.wait()
    for each in go:
        each.set()
    assert len({future.result(DEADLINE_S) for future in calls}) == 6
    assert len(set(pool.map(pid_of, range(100)))) <= 6


def test_one_worker_keeps_the_order(make: Callable[..., Any], tmp_path: Path) -> None:
    pool = make(1)
    path = str(tmp_path / "order")
    wait([pool.submit(append, path, f"{n} ") for n in range(50)], DEADLINE_S)
    assert Path(path).read_text() == "".join(f"{n} " for n in range(50))


def append(path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(text)


def test_the_initializer_runs_in_each_worker_before_its_first_call(make: Callable[..., Any]) -> None:
    assert set(make(2, initializer=tell, initargs=(7,)).map(told, range(20))) == {7}
    assert set(make(2).map(told, range(20))) == {0}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_initializer_that_raises_breaks_the_executor(make: Callable[..., Any]) -> None:
    pool = make(1, initializer=fail, initargs=("no",))
    with pytest.raises(BrokenExecutor):
        pool.submit(square, 1).result(DEADLINE_S)
    with pytest.raises(BrokenExecutor):
        pool.submit(square, 1)


def test_a_shut_down_executor_ends_its_calls_and_takes_no_more(make: Callable[..., Any]) -> None:
    pool = make(2)
    futures = [pool.submit(square, n) for n in range(30)]
    pool.shutdown()
    assert [future.result(0) for future in futures] == [n * n for n in range(30)]
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(square, 1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.map(square, [1])
    pool.shutdown()


def test_shutting_down_may_cancel_what_waits_and_need_not_wait(make: Callable[..., Any], tmp_path: Path) -> None:
    pool = make(1)
    began, go = Signal(tmp_path, "began"), Signal(tmp_path, "go")
    first = pool.submit(meet, began, go)
    began.wait()
    others = [pool.submit(square, n) for n in range(20)]
    pool.shutdown(wait=False, cancel_futures=True)
    assert not first.done()
    go.set()
    assert isinstance(first.result(DEADLINE_S), int)
    holds(lambda: all(future.done() for future in others), "the others are done")
    assert sum(future.cancelled() for future in others) >= 18


def test_an_unpicklable_argument_fails_its_own_call(make: Callable[..., Any]) -> None:
    pool = make(1)
    with pytest.raises(TypeError):
        pool.submit(square, threading.Lock()).result(DEADLINE_S)
    assert pool.submit(square, 2).result(DEADLINE_S) == 4


def test_a_callback_may_submit_more(make: Callable[..., Any]) -> None:
    pool = make(2)
    more: Future[int] = Future()
    pool.submit(square, 2).add_done_callback(
        lambda done: pool.submit(square, done.result()).add_done_callback(lambda last: more.set_result(last.result()))
    )
    assert more.result(DEADLINE_S) == 16


# Where ours does more.


def test_a_worker_is_replaced_after_as_many_calls_as_it_may_run(ray: Any) -> None:
    with Executor(1, max_tasks_per_child=2) as pool:  # the standard one waits for ever here: python/cpython#115634
        pids = list(pool.map(pid_of, range(6)))
    assert all(pids.count(pid) <= 2 for pid in pids)


def test_a_worker_that_dies_fails_its_own_call_and_no_other(ours: Executor) -> None:
    with pytest.raises(WorkerCrashedError):
        ours.submit(os._exit, 3).result(DEADLINE_S)
    assert ours.submit(square, 3).result(DEADLINE_S) == 9


def test_functions_need_not_be_importable_and_are_sent_as_they_are_now(ours: Executor) -> None:
    number = 1
    assert ours.submit(lambda: number).result(DEADLINE_S) == 1
    number = 2
    assert ours.submit(lambda: number).result(DEADLINE_S) == 2


def test_calls_that_are_short_do_not_stand_behind_one_that_waits_for_them(ours: Executor, tmp_path: Path) -> None:
    list(ours.map(square, range(300)))
    first, second = Signal(tmp_path, "first"), Signal(tmp_path, "second")
    futures = [ours.submit(meet, first, second), *[ours.submit(square, n) for n in range(50)]]
    wait(futures[1:], DEADLINE_S)
    second.set()
    assert isinstance(futures[0].result(DEADLINE_S), int)


def test_futures_of_an_executor_inside_a_task_have_their_values(ray: Any) -> None:
    @ray.remote(num_cpus=4)
    def outer() -> list[int]:
        with Executor(2) as pool:
            return list(pool.map(square, range(10)))

    assert ray.get(outer.remote(), timeout=DEADLINE_S) == [n * n for n in range(10)]


def test_futures_of_references_inside_a_task_share_a_thread(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote
    def gate() -> int:
        go.wait()
        return 1

    @ray.remote
    def many() -> tuple[int, int]:
        refs = [gate.options(num_cpus=0).remote(), *(executor.put(1) for _ in range(300))]
        futures = [ref.future() for ref in refs for _ in range(2)]
        threads = [thread for thread in threading.enumerate() if thread.name == "executor-futures"]
        go.set()
        return len(threads), sum(future.result(timeout=30) for future in futures)

    @ray.remote
    def one_after_another() -> int:
        return sum(executor.put(1).future().result(timeout=30) for _ in range(300))

    assert ray.get(many.remote(), timeout=60) == (1, 602)
    assert ray.get(one_after_another.remote(), timeout=60) == 300


def test_futures_inside_a_task_that_nobody_waits_for_any_more_leave_nothing_behind(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote(num_cpus=0)
    def gate() -> None:
        go.wait()

    @ray.remote
    def gives_up() -> None:
        ref = gate.remote()
        for _ in range(10):
            future = ref.future()
            with pytest.raises(TimeoutError):
                future.result(timeout=0.001)
            assert future.cancel()
        client: Any = current()

        def is_over() -> bool:
            executor.wait([executor.put(1)])  # which reads what has come
            names = {thread.name for thread in threading.enumerate()}
            return not client.requests._replies and "executor-futures" not in names

        holds(is_over, "something still waits for a value")

    ray.get(gives_up.remote(), timeout=DEADLINE_S)
    go.set()


def test_one_worker_keeps_the_order_inside_a_task_too(ray: Any, tmp_path: Path) -> None:
    @ray.remote
    def outer(path: str) -> None:
        with Executor(1) as pool:
            wait([pool.submit(append, path, f"{n} ") for n in range(50)], DEADLINE_S)

    ray.get(outer.remote(str(tmp_path / "order")), timeout=DEADLINE_S)
    assert (tmp_path / "order").read_text() == "".join(f"{n} " for n in range(50))


def test_calls_that_were_handed_in_are_run_before_the_program_ends(tmp_path: Path) -> None:
    program = (
        "from executor.futures import Executor\n"
        "from pathlib import Path\n"
        f"pool = Executor(1)\nfor n in range(5): pool.submit(Path({str(tmp_path)!r}, str(n)).write_text, 'x')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert len(list(tmp_path.iterdir())) == 5


def test_workers_leave_with_their_executor(ray: Any) -> None:
    with Executor(2, initializer=tell, initargs=(1,)) as pool:
        pids = set(pool.map(pid_of, range(20)))
    holds(lambda: not any(_lives(pid) for pid in pids), "the workers leave")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_that_gives_back_all_its_calls_gets_them_again(ray: Any) -> None:
    hub = ray.library.runtime.existing().hub
    with Executor(1) as pool:
        pid = pool.submit(pid_of).result(DEADLINE_S)
        os.kill(pid, signal.SIGSTOP)
        future = pool.submit(square, 3)
        with (
            hub.lock
        ):  # what it says when it is slow to start, and is asked for its calls before it has begun the first
            (worker,) = [worker for worker in hub.workers.all.values() if worker.pid == pid]
            hub.tasks.take_back(worker, list(worker.running))
        os.kill(pid, signal.SIGCONT)
        assert future.result(10) == 9
