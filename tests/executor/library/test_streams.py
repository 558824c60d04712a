"""Calls that stream what they yield, and that wait for answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import executor
from executor.errors import ExecutorError
from tests.executor.library.events import DEADLINE_S, Signal, holds


def test_a_generator_task_streams_its_values_before_it_ends(ray: Any, tmp_path: Path) -> None:
    go = Signal(tmp_path, "go")

    @ray.remote
    def count() -> Iterator[int]:
        yield 1
        go.wait()
        yield 2

    stream = count.remote()
    assert ray.get(next(stream)) == 1
    go.set()
    assert [ray.get(ref) for ref in stream] == [2]
    with pytest.raises(StopIteration):
        next(stream)
    assert ray.get(stream.completed()) is None


def test_a_generator_that_raises_gives_that_after_what_it_has_yielded(ray: Any) -> None:
    @ray.remote
    def fail() -> Iterator[int]:
        yield 1
        raise ValueError("after one")

    refs = list(fail.remote())
    assert ray.get(refs[0]) == 1
    with pytest.raises(ValueError, match="after one"):
        ray.get(refs[1])
    assert len(refs) == 2


def test_a_generator_waits_while_its_reader_is_behind(ray: Any, tmp_path: Path) -> None:
    @ray.remote(generator_backpressure_num_objects=2)
    def count(path: str) -> Iterator[int]:
        for i in range(6):
            Path(path, str(i)).touch()
            yield i

    stream = count.remote(str(tmp_path))
    assert ray.get(next(stream)) == 0
    # The third was made, and is not sent before the second is asked for; so the fourth is not made.
    assert ray.get(ray.remote(lambda: 1).remote()) == 1
    assert len(list(tmp_path.iterdir())) <= 4
    assert [ray.get(ref) for ref in stream] == [1, 2, 3, 4, 5]


def test_a_generator_without_a_limit_by_rays_number_does_not_wait(ray: Any) -> None:
    @ray.remote(generator_backpressure_num_objects=-1)
    def count() -> Iterator[int]:
        yield from range(3)

    stream = count.remote()
    assert ray.get(stream.completed(), timeout=30) is None
    assert [ray.get(ref) for ref in stream] == [0, 1, 2]


def test_large_values_are_streamed_by_shared_memory(ray: Any) -> None:
    numpy = pytest.importorskip("numpy")

    @ray.remote
    def arrays() -> Iterator[Any]:
        for i in range(3):
            yield numpy.full(100_000, i)

    assert [int(ray.get(ref)[-1]) for ref in arrays.remote()] == [0, 1, 2]


def test_methods_and_coroutines_stream_too(ray: Any) -> None:
    @ray.remote
    class Source:
        def plain(self, count: int) -> Iterator[int]:
            yield from range(count)

    @ray.remote
    class AsyncSource:
        async def stream(self, count: int) -> AsyncIterator[int]:
            for i in range(count):
                await asyncio.sleep(0)
                yield i

    source, other = Source.remote(), AsyncSource.remote()
    assert [ray.get(ref) for ref in source.plain.remote(3)] == [0, 1, 2]
    assert [ray.get(ref) for ref in other.stream.remote(3)] == [0, 1, 2]

    async def main() -> list[int]:
        return [await ref async for ref in other.stream.remote(4)]

    assert asyncio.run(main()) == [0, 1, 2, 3]


def test_a_stream_is_read_from_another_process(ray: Any) -> None:
    @ray.remote
    def count(n: int) -> Iterator[int]:
        yield from range(n)

    @ray.remote
    def total(stream: Any) -> int:
        return sum(executor.get(ref) for ref in stream)

    @ray.remote
    def both(n: int) -> int:
        return sum(executor.get(ref) for ref in count.remote(n))

    assert ray.get(total.remote(count.remote(5))) == 10
    assert ray.get(both.remote(4)) == 6


def test_what_is_emitted_waits_for_its_answer(ray: Any) -> None:
    @ray.remote
    class Trainer:
        @ray.method(num_returns="streaming")
        def train(self, steps: int) -> None:
            rate = 1.0
            for step in range(steps):
                answer = executor.emit((step, rate))
                rate = rate if answer is None else answer

    stream = Trainer.remote().train.remote(4)
    seen = [ray.get(next(stream)), *(ray.get(stream.send(answer)) for answer in (0.5, None, 0.25))]
    assert seen == [(0, 1.0), (1, 0.5), (2, 0.5), (3, 0.25)]
    with pytest.raises(StopIteration):
        stream.send(None)
    with pytest.raises(ExecutorError, match="emit works inside"):
        ray.emit(1)


def test_a_call_that_does_not_stream_cannot_emit(ray: Any) -> None:
    @ray.remote
    class Plain:
        def plain(self) -> Any:
            return executor.emit(1)

    with pytest.raises(ExecutorError, match="emit works inside"):
        ray.get(Plain.remote().plain.remote(), timeout=30)


def test_a_call_whose_stream_nobody_reads_any_more_is_cancelled(ray: Any, tmp_path: Path) -> None:
    ended = Signal(tmp_path, "ended")

    @ray.remote(generator_backpressure_num_objects=1)
    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.set()

    stream = endless.remote()
    ray.get(next(stream))
    del stream
    ended.wait()


def test_a_streaming_call_that_yields_nothing_to_iterate_over_says_so(ray: Any) -> None:
    (ref,) = ray.remote(num_returns="streaming")(lambda: 5).remote()
    with pytest.raises(TypeError, match="must yield its values"):
        ray.get(ref)


def test_a_value_is_there_for_the_next_reader_when_the_first_was_cancelled_as_it_waited(
    ray: Any, tmp_path: Path
) -> None:
    go, cancelled, leave = (Signal(tmp_path, name) for name in ("go", "cancelled", "leave"))

    @ray.remote(num_cpus=0)
    def numbers() -> Iterator[int]:
        go.wait()
        yield 1

    @ray.remote(num_cpus=4, max_calls=1)
    def read(streams: list[Any]) -> None:
        try:
            next(streams[0])
        except KeyboardInterrupt:
            cancelled.set()
            leave.wait()

    def readers() -> set[int]:
        """The process of the call that reads, once it waits: until then it holds all cpus."""
        status = ray.status()
        return {process.pid for process in status.processes if process.work == "read" and status.available["cpu"] == 4}

    stream = numbers.remote()
    reader = read.remote([stream])
    holds(lambda: bool(readers()), "it does not wait")
    pids = readers()
    ray.cancel(reader)
    cancelled.wait()
    go.set()
    ray.get(stream.completed(), timeout=DEADLINE_S)
    leave.set()
    holds(lambda: pids.isdisjoint(process.pid for process in ray.status().processes), "the reader's process stays")
    assert [ray.get(ref) for ref in stream] == [1]
