"""A pool of actors gives them values one at a time, and their results in order or as they come."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import pytest

from executor import ActorPool
from tests.executor.library.events import Signal


class Worker:
    """Doubles numbers; waits for signals."""

    def double(self, number: int) -> int:
        if number < 0:
            raise ValueError(f"{number} is negative")
        return 2 * number

    def after(self, signal: Signal) -> str:
        signal.wait()
        return Path(signal.path).name


def double(actor: Any, number: int) -> Any:
    return actor.double.remote(number)


def after(actor: Any, signal: Signal) -> Any:
    return actor.after.remote(signal)


@pytest.fixture
def pool(ray: Any) -> ActorPool:
    kind = ray.remote(Worker)
    return ActorPool([kind.remote(), kind.remote()])


def test_map_gives_the_results_in_order(pool: ActorPool) -> None:
    assert list(pool.map(double, range(10))) == [2 * n for n in range(10)]
    assert list(pool.map(double, [])) == []


def test_map_unordered_gives_what_is_there_first(pool: ActorPool, tmp_path: Path) -> None:
    signals = [Signal(tmp_path, name) for name in "ab"]
    results = pool.map_unordered(after, signals)
    signals[1].set()
    assert next(results) == "b"
    signals[0].set()
    assert next(results) == "a"


def test_a_call_that_raises_does_so_in_its_turn_and_the_others_go_on(pool: ActorPool) -> None:
    for number in (1, -1, 2):
        pool.submit(double, number)
    assert pool.get_next() == 2
    with pytest.raises(ValueError, match="-1 is negative"):
        pool.get_next()
    assert pool.get_next() == 4
    assert not pool.has_next()


def test_calls_wait_for_a_free_actor(pool: ActorPool) -> None:
    assert pool.has_free()
    for number in range(5):
        pool.submit(double, number)
    assert not pool.has_free()
    assert pool.pop_idle() is None
    assert [pool.get_next() for _ in range(5)] == [0, 2, 4, 6, 8]
    assert pool.has_free()


def test_what_is_not_there_in_time_can_be_asked_for_again(pool: ActorPool, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")
    pool.submit(after, go)
    with pytest.raises(TimeoutError, match="Timed out waiting for result"):
        pool.get_next(timeout=0.01)
    with pytest.raises(TimeoutError, match="Timed out waiting for result"):
        pool.get_next_unordered(timeout=0.01)
    assert pool.has_next()
    go.set()
    assert pool.get_next(timeout=30) == "go"


def test_what_is_not_there_in_time_may_be_given_up(pool: ActorPool, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")
    pool.submit(after, go)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.01, ignore_if_timedout=True)
    assert not pool.has_next()
    go.set()


def test_asking_for_what_there_is_not_says_so(pool: ActorPool) -> None:
    with pytest.raises(StopIteration, match="No more results"):
        pool.get_next()
    with pytest.raises(StopIteration, match="No more results"):
        pool.get_next_unordered()


def test_the_order_is_lost_once_a_later_result_was_taken(pool: ActorPool, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")
    pool.submit(after, go)
    pool.submit(double, 1)
    assert pool.get_next_unordered() == 2
    with pytest.raises(ValueError, match="not allowed to call get_next"):
        pool.get_next()
    go.set()
    assert pool.get_next_unordered() == "go"


def test_map_throws_away_what_nobody_took(pool: ActorPool) -> None:
    pool.submit(double, 100)
    pool.submit(double, -1)
    assert list(pool.map(double, [1])) == [2]


def test_actors_come_and_go(pool: ActorPool, ray: Any) -> None:
    actor = pool.pop_idle()
    assert actor is not None
    pool.push(actor)
    with pytest.raises(ValueError, match="already belongs"):
        pool.push(actor)
    empty = ActorPool([])
    empty.submit(double, 4)
    assert not empty.has_next()
    empty.push(ray.remote(Worker).remote())
    assert empty.get_next() == 8


def test_a_pool_of_one_serves_many(ray: Any) -> None:
    pool = ActorPool([ray.remote(Worker).remote()])
    results: queue.SimpleQueue[int] = queue.SimpleQueue()
    for value in pool.map_unordered(double, range(50)):
        results.put(value)
    assert sorted(results.get() for _ in range(50)) == [2 * n for n in range(50)]
