"""The standard pool and ours: what one does the other does, and where that one waits for ever ours says why."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import executor
from executor.errors import RuntimeEnvSetupError, TaskCancelledError, WorkerCrashedError
from executor.multiprocessing import AsyncResult, Pool
from tests.executor.library.events import Signal

DEADLINE_S = 60.0


@pytest.fixture(params=["standard", "ours"])
def make(request: pytest.FixtureRequest, ray: Any) -> Iterator[Callable[..., Any]]:
    """Makes pools of one kind, and ends them."""
    kind = Pool if request.param == "ours" else multiprocessing.get_context("forkserver").Pool
    made: list[Any] = []

    def one(*arguments: Any, **options: Any) -> Any:
        made.append(kind(*arguments, **options))
        return made[-1]

    yield one
    for pool in made:
        pool.terminate()
        pool.join()


@pytest.fixture
def ours(ray: Any) -> Iterator[Pool]:
    with Pool(2) as pool:
        yield pool


class Odd(Exception):  # noqa: N818
    pass


def square(number: int) -> int:
    return number * number


def power(base: int, exponent: int, *, add: int = 0) -> int:
    return base**exponent + add


def odd_at_three(number: int) -> int:
    if number == 3:
        raise Odd(f"at {number}")
    return number


def pid_of(_: Any) -> int:
    return os.getpid()


_told = 0


def tell(number: int) -> None:
    global _told
    _told = number


def told(_: Any) -> int:
    return _told


def test_apply_returns_what_the_function_returns_and_raises_what_it_raises(make: Callable[..., Any]) -> None:
    pool = make(2)
    assert pool.apply(power, (2, 3), {"add": 1}) == 9
    with pytest.raises(Odd, match="at 3"):
        pool.apply(odd_at_three, (3,))


def test_an_async_result_says_whether_it_is_there_and_whether_it_went_well(make: Callable[..., Any]) -> None:
    pool = make(2)
    good, bad = pool.apply_async(square, (3,)), pool.apply_async(odd_at_three, (3,))
    assert good.get(DEADLINE_S) == 9
    bad.wait(DEADLINE_S)
    assert good.ready()
    assert good.successful()
    assert bad.ready()
    assert not bad.successful()
    with pytest.raises(Odd):
        bad.get()
    assert isinstance(good, AsyncResult)


def test_a_result_that_is_not_there_in_time_raises_the_standard_timeout(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    go = Signal(tmp_path, "go")
    pool = make(1)
    result = pool.apply_async(Signal.wait, (go,))
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(0.01)
    go.set()
    assert result.get(DEADLINE_S) is None


def test_callbacks_are_told_of_the_value_or_of_the_exception(make: Callable[..., Any]) -> None:
    pool = make(2)
    values: list[Any] = []
    errors: list[Any] = []
    results = [
        pool.apply_async(square, (4,), callback=values.append, error_callback=errors.append),
        pool.apply_async(odd_at_three, (3,), callback=values.append, error_callback=errors.append),
        pool.map_async(square, range(3), callback=values.append, error_callback=errors.append),
        pool.starmap_async(power, [(2, 2)], callback=values.append, error_callback=errors.append),
    ]
    for result in results:
        result.wait(DEADLINE_S)
    assert sorted(map(str, values)) == ["16", "[0, 1, 4]", "[4]"]
    assert [type(error) for error in errors] == [Odd]


@pytest.mark.parametrize("chunksize", [None, 1, 3, 100])
def test_map_and_starmap_keep_the_order(make: Callable[..., Any], chunksize: int | None) -> None:
    pool = make(2)
    assert pool.map(square, range(20), chunksize) == [n * n for n in range(20)]
    assert pool.map(square, iter(range(5)), chunksize) == [0, 1, 4, 9, 16]
    assert pool.map(square, [], chunksize) == []
    assert pool.starmap(power, [(2, n) for n in range(5)], chunksize) == [1, 2, 4, 8, 16]
    assert pool.starmap_async(power, [(3, 2)], chunksize).get(DEADLINE_S) == [9]


def test_map_raises_what_a_call_raised_once_all_have_ended(make: Callable[..., Any]) -> None:
    pool = make(2)
    with pytest.raises(Odd, match="at 3"):
        pool.map(odd_at_three, range(10), 1)
    assert pool.map(square, range(3)) == [0, 1, 4]


@pytest.mark.parametrize("chunksize", [1, 4])
def test_imap_gives_the_results_in_order_and_imap_unordered_gives_all(make: Callable[..., Any], chunksize: int) -> None:
    pool = make(2)
    assert list(pool.imap(square, iter(range(15)), chunksize)) == [n * n for n in range(15)]
    assert sorted(pool.imap_unordered(square, range(15), chunksize)) == [n * n for n in range(15)]


def test_imap_goes_on_after_a_call_that_raised(make: Callable[..., Any]) -> None:
    results = make(2).imap(odd_at_three, range(5))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Odd):
        next(results)
    assert list(results) == [4]


def test_imap_raises_what_its_items_raise_where_they_do(make: Callable[..., Any]) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise Odd("no more")

    results = make(2).imap(square, items())
    assert next(results) == 1
    with pytest.raises(Odd, match="no more"):
        next(results)


def test_the_next_of_imap_takes_a_timeout(make: Callable[..., Any], tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")
    results = make(1).imap(Signal.wait, [go])
    with pytest.raises(multiprocessing.TimeoutError):
        results.next(timeout=0.01)
    go.set()
    assert results.next(timeout=DEADLINE_S) is None


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_a_chunk_holds_at_least_one(make: Callable[..., Any], name: str) -> None:
    with pytest.raises(ValueError, match=r"Chunksize must be 1\+"):
        getattr(make(1), name)(square, [1], 0)


def test_a_pool_runs_as_many_calls_at_a_time_as_it_has_processes(make: Callable[..., Any], tmp_path: Path) -> None:
    here, there = Signal(tmp_path, "here"), Signal(tmp_path, "there")
    pool = make(2)
    pool.map(pid_of, range(200), 1)  # short ones go ahead of time; these two must not stand behind each other
    first, second = pool.apply_async(meet, (here, there)), pool.apply_async(meet, (there, here))
    assert first.get(DEADLINE_S) != second.get(DEADLINE_S)
    assert len(set(pool.map(pid_of, range(100), 1))) <= 2


def meet(mine: Signal, other: Signal) -> int:
    mine.set()
    other.wait()
    return os.getpid()


def test_the_initializer_runs_in_each_process_before_its_first_call(make: Callable[..., Any]) -> None:
    assert set(make(2, tell, (7,)).map(told, range(20), 1)) == {7}
    assert set(make(2).map(told, range(20), 1)) == {0}


def test_a_process_is_replaced_after_as_many_chunks_as_it_may_run(make: Callable[..., Any]) -> None:
    pids = make(2, maxtasksperchild=3).map(pid_of, range(18), 1)
    assert all(pids.count(pid) <= 3 for pid in pids)


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"processes": 0}, ValueError, "Number of processes must be at least 1"),
        ({"initializer": 3}, TypeError, "initializer must be a callable"),
        ({"maxtasksperchild": 0}, ValueError, "maxtasksperchild must be a positive int or None"),
    ],
)
def test_wrong_arguments_are_refused_in_the_same_words(
    make: Callable[..., Any], options: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        make(**options)


def test_a_closed_pool_ends_its_calls_and_takes_no_more(make: Callable[..., Any]) -> None:
    pool = make(2)
    with pytest.raises(ValueError, match="Pool is still running"):
        pool.join()
    results = [pool.apply_async(square, (n,)) for n in range(30)]
    late = pool.imap(square, iter(range(30)))
    pool.close()
    pool.join()
    assert [result.get(0) for result in results] == [n * n for n in range(30)]
    assert list(late) == [n * n for n in range(30)]
    for refused in (pool.apply, pool.map, pool.imap, pool.starmap, pool.apply_async):
        with pytest.raises(ValueError, match="Pool not running"):
            refused(square, [(1,)])
    with pytest.raises(ValueError, match="Pool not running"), pool:
        pass


def test_leaving_the_context_ends_what_still_runs(make: Callable[..., Any], tmp_path: Path) -> None:
    began, never = Signal(tmp_path, "began"), Signal(tmp_path, "never")
    with make(1) as pool:
        pool.apply_async(meet, (began, never))
        began.wait()
        since = time.monotonic()
    pool.join()
    assert time.monotonic() - since < 20


def test_a_pool_cannot_be_pickled(make: Callable[..., Any]) -> None:
    with pytest.raises(NotImplementedError, match="cannot be passed between processes or pickled"):
        pickle.dumps(make(1))


def test_an_unpicklable_argument_fails_its_own_call(make: Callable[..., Any]) -> None:
    pool = make(1)
    with pytest.raises(TypeError):
        pool.apply(square, (threading.Lock(),))
    assert pool.apply(square, (2,)) == 4


# Where ours does more.


def test_functions_need_not_be_importable_and_are_sent_as_they_are_now(ours: Pool) -> None:
    total = 1
    assert ours.map(lambda n: n + total, range(3)) == [1, 2, 3]
    total = 10
    assert ours.apply(lambda n: n + total, (1,)) == 11
    counter = itertools.count()
    assert [ours.apply(next, (counter,)) for _ in range(3)] == [0, 0, 0]


def test_a_call_whose_process_dies_raises_and_the_pool_goes_on(ours: Pool) -> None:
    with pytest.raises(WorkerCrashedError):
        ours.apply(os._exit, (3,))
    assert ours.map(square, range(3)) == [0, 1, 4]


def test_an_initializer_that_raises_fails_the_calls(ray: Any) -> None:
    with Pool(1, odd_at_three, (3,)) as pool, pytest.raises(RuntimeEnvSetupError, match="Odd: at 3"):
        pool.apply_async(square, (1,)).get(DEADLINE_S)


def test_what_terminate_ends_raises_instead_of_being_waited_for(ray: Any, tmp_path: Path) -> None:
    began, never = Signal(tmp_path, "began"), Signal(tmp_path, "never")
    pool = Pool(1)
    runs, waits = pool.apply_async(meet, (began, never)), [pool.apply_async(Signal.wait, (never,)) for _ in range(9)]
    began.wait()
    pool.terminate()
    pool.join()
    for result in (runs, *waits):
        with pytest.raises(TaskCancelledError):
            result.get(DEADLINE_S)


def test_imap_reads_no_further_ahead_than_the_workers_need(ours: Pool) -> None:
    results = ours.imap(square, itertools.count())
    assert [next(results) for _ in range(100)] == [n * n for n in range(100)]


def test_a_callback_that_raises_does_not_keep_the_result_back(ours: Pool, caplog: pytest.LogCaptureFixture) -> None:
    def fail(value: int) -> None:
        raise Odd(str(value))

    assert ours.apply_async(square, (3,), callback=fail).get(DEADLINE_S) == 9
    assert "a callback of a pool raised" in caplog.text


def test_a_pool_inside_a_task_finds_its_room(ray: Any) -> None:
    @ray.remote(num_cpus=4)
    def outer() -> list[int]:
        with Pool(2) as pool:
            return pool.map(square, range(10))

    assert ray.get(outer.remote(), timeout=DEADLINE_S) == [n * n for n in range(10)]


def test_references_stand_for_their_values(ray: Any, ours: Pool) -> None:
    assert ours.apply(square, (ray.put(5),)) == 25


def test_a_pool_has_as_many_processes_as_the_executor_has_cpus(ray: Any) -> None:
    with Pool() as pool:
        assert "pool_size=4" in repr(pool)
    assert executor.util.multiprocessing.Pool is Pool


def test_a_pool_that_is_not_closed_says_so(ray: Any) -> None:
    pool = Pool(1)
    with pytest.warns(ResourceWarning, match="unclosed running multiprocessing pool"):
        pool.__del__()
    pool.terminate()
