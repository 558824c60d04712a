"""Whoever waits for others lends them his cpus: here there is one, so that nothing goes on unless it is lent."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import executor
from tests.executor.library.events import DEADLINE_S, Signal, holds


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """The library, open with a single cpu."""
    executor.init(num_cpus=1, log_to_driver=False)
    yield executor
    executor.shutdown()


@executor.remote
def one() -> int:
    return 1


@executor.remote(num_cpus=0)
def gate(go: Signal) -> None:
    go.wait()


@executor.remote(num_cpus=1)
class Awaiting:
    """An actor of coroutines."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def a_reference(self) -> int:
        return await one.remote()

    async def several(self) -> int:
        return sum(await asyncio.gather(*[one.remote() for _ in range(3)]))

    async def a_future(self) -> int:
        return await asyncio.wrap_future(one.remote().future())

    async def a_stream(self) -> int:
        @executor.remote
        def numbers() -> Iterator[int]:
            yield 1

        return sum([await ref async for ref in numbers.remote()])

    async def an_event(self) -> None:
        await self.opened.wait()

    async def open(self) -> None:
        self.opened.set()

    async def ping(self) -> None:
        """Nothing."""

    async def these(self, refs: list[Any]) -> None:
        await asyncio.gather(*refs)

    async def leave_behind(self, refs: list[Any]) -> None:
        self.left = asyncio.ensure_future(refs[0])
        await asyncio.sleep(0)

    async def not_for_long(self, refs: list[Any], gave_up: Signal) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(refs[0], 0.01)
        gave_up.set()
        await self.opened.wait()


@executor.remote(num_cpus=1, max_concurrency=2)
class Threaded:
    """An actor of two threads."""

    def ask(self) -> int:
        return executor.get(one.remote())

    def these(self, refs: list[Any]) -> None:
        executor.get(refs)

    def stand(self, go: Signal, begun: Signal) -> None:
        begun.set()
        go.wait()


def is_lent(ray: Any) -> bool:
    return bool(ray.available_resources().get("CPU"))


@pytest.mark.parametrize("method", ["a_reference", "several", "a_future", "a_stream"])
def test_an_asynchronous_actor_lends_its_cpus_while_it_awaits(ray: Any, method: str) -> None:
    actor = Awaiting.remote()
    assert ray.get(getattr(actor, method).remote(), timeout=DEADLINE_S) == (3 if method == "several" else 1)
    holds(lambda: not is_lent(ray), "the cpu is lent for good")


def test_an_asynchronous_actor_lends_its_cpus_while_many_of_its_calls_await(ray: Any) -> None:
    actor = Awaiting.remote()
    assert ray.get([actor.a_reference.remote() for _ in range(20)], timeout=DEADLINE_S) == [1] * 20


def test_an_asynchronous_actor_keeps_its_cpus_while_one_of_its_calls_does_not_wait_for_objects(
    ray: Any, tmp_path: Path
) -> None:
    go, actor = Signal(tmp_path, "go"), Awaiting.remote()
    runs, waits = actor.an_event.remote(), actor.these.remote([gate.remote(go)])
    ray.get(actor.ping.remote(), timeout=DEADLINE_S)  # by now both have begun, and that is known
    assert not is_lent(ray)
    ray.get([actor.open.remote(), runs], timeout=DEADLINE_S)
    holds(lambda: is_lent(ray), "the cpu is not lent once the only call waits")
    go.set()
    ray.get(waits, timeout=DEADLINE_S)
    holds(lambda: not is_lent(ray), "the cpu is lent for good")


def test_an_asynchronous_actor_has_its_cpus_back_when_it_awaits_no_longer(ray: Any, tmp_path: Path) -> None:
    go, gave_up, actor = Signal(tmp_path, "go"), Signal(tmp_path, "gave_up"), Awaiting.remote()
    ref = gate.remote(go)
    call = actor.not_for_long.remote([ref], gave_up)
    gave_up.wait()
    holds(lambda: not is_lent(ray), "the cpu is lent though nothing is awaited")
    go.set()
    ray.get([ref, actor.open.remote(), call], timeout=DEADLINE_S)


def test_an_asynchronous_actor_keeps_its_cpus_though_a_call_has_left_something_that_awaits(
    ray: Any, tmp_path: Path
) -> None:
    go, actor = Signal(tmp_path, "go"), Awaiting.remote()
    ref = gate.remote(go)
    ray.get(actor.leave_behind.remote([ref]), timeout=DEADLINE_S)
    runs = actor.an_event.remote()
    ray.get(actor.ping.remote(), timeout=DEADLINE_S)
    holds(lambda: not is_lent(ray), "the cpu is lent while a call runs")
    go.set()
    ray.get([ref, actor.open.remote(), runs], timeout=DEADLINE_S)


def test_an_actor_of_threads_lends_its_cpus_while_all_its_calls_wait(ray: Any) -> None:
    actor = Threaded.remote()
    assert ray.get([actor.ask.remote() for _ in range(8)], timeout=DEADLINE_S) == [1] * 8
    holds(lambda: not is_lent(ray), "the cpu is lent for good")


def test_an_actor_of_threads_keeps_its_cpus_while_one_of_its_calls_runs(ray: Any, tmp_path: Path) -> None:
    go, stop, begun, actor = (*(Signal(tmp_path, name) for name in ("go", "stop", "begun")), Threaded.remote())
    waits = actor.these.remote([gate.remote(go)])
    holds(lambda: is_lent(ray), "the cpu is not lent while the only call waits")
    runs = actor.stand.remote(stop, begun)
    begun.wait()
    holds(lambda: not is_lent(ray), "the cpu is lent while a call runs")
    stop.set()
    ray.get(runs, timeout=DEADLINE_S)
    holds(lambda: is_lent(ray), "the cpu is not lent once the other call has ended")
    go.set()
    ray.get(waits, timeout=DEADLINE_S)


def _result(ref: Any) -> Any:
    return ref.future().result()


def _exception(ref: Any) -> Any:
    future = ref.future()
    assert future.exception() is None
    return future.result()


def _wait(ref: Any) -> Any:
    done, _ = concurrent.futures.wait([ref.future(), concurrent.futures.Future()], return_when="FIRST_COMPLETED")
    return done.pop().result()


def _as_completed(ref: Any) -> Any:
    return next(concurrent.futures.as_completed([ref.future()])).result()


def _awaited(ref: Any) -> Any:
    async def value() -> Any:
        return await ref

    return asyncio.run(value())


_WAYS = (_result, _exception, _wait, _as_completed, _awaited)


@pytest.mark.parametrize("way", _WAYS)
def test_a_task_lends_its_cpus_while_it_waits_for_a_future(ray: Any, way: Callable[[Any], Any]) -> None:
    parent = ray.remote(lambda: way(one.remote()))
    assert ray.get([parent.remote() for _ in range(3)], timeout=DEADLINE_S) == [1, 1, 1]


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("max_concurrency", [1, 2])
def test_an_actor_lends_its_cpus_while_it_waits_for_futures(
    ray: Any, way: Callable[[Any], Any], max_concurrency: int
) -> None:
    class Parent:
        def ask(self) -> Any:
            return way(one.remote())

    parent = ray.remote(num_cpus=1, max_concurrency=max_concurrency)(Parent).remote()
    assert ray.get([parent.ask.remote() for _ in range(3)], timeout=DEADLINE_S) == [1, 1, 1]
    holds(lambda: not is_lent(ray), "the cpu is lent for good")


def test_a_task_has_its_cpus_back_when_it_waits_no_longer(ray: Any, tmp_path: Path) -> None:
    go, stop, gave_up = (Signal(tmp_path, name) for name in ("go", "stop", "gave_up"))

    @ray.remote
    def impatient(refs: list[Any]) -> None:
        with pytest.raises(TimeoutError):
            refs[0].future().result(timeout=0.01)
        gave_up.set()
        stop.wait()

    ref = gate.remote(go)
    call = impatient.remote([ref])
    gave_up.wait()
    holds(lambda: not is_lent(ray), "the cpu is lent though nothing is waited for")
    stop.set()
    go.set()
    ray.get([ref, call], timeout=DEADLINE_S)


def test_a_task_lends_its_cpus_while_a_thread_of_it_waits(ray: Any) -> None:
    @ray.remote
    def parent() -> int:
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            return threads.submit(lambda: executor.get(one.remote())).result()

    assert ray.get(parent.remote(), timeout=DEADLINE_S) == 1


def test_tasks_without_cpus_that_wait_leave_workers_for_what_they_wait_for(ray: Any) -> None:
    @ray.remote(num_cpus=0)
    def child(depth: int) -> int:
        return executor.get(child.remote(depth - 1)) + 1 if depth else 0

    assert ray.get([child.remote(8) for _ in range(5)], timeout=DEADLINE_S) == [8] * 5  # 32 workers would be too few
