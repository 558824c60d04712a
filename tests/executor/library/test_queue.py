"""A queue between processes: who waits for an item waits for nothing else, and nobody else for him."""

from __future__ import annotations

import asyncio
import queue
import resource
import time
from collections.abc import Iterator
from typing import Any

import pytest

from executor import Queue
from executor.errors import ActorDiedError, TaskCancelledError
from executor.util.queue import Empty, Full
from tests.executor.library.events import holds


@pytest.fixture
def items(ray: Any) -> Iterator[Queue]:
    """A queue with room for two."""
    made = Queue(maxsize=2)
    yield made
    try:
        made.shutdown(force=True)
    except ActorDiedError:
        pass


def test_what_goes_in_first_comes_out_first(items: Queue) -> None:
    items.put("a")
    items.put("b")
    assert (items.qsize(), items.size(), len(items), items.full(), items.empty()) == (2, 2, 2, True, False)
    assert [items.get(), items.get()] == ["a", "b"]
    assert (items.qsize(), items.full(), items.empty()) == (0, False, True)


def test_it_raises_the_errors_of_the_standard_queue(items: Queue) -> None:
    with pytest.raises(queue.Empty):
        items.get_nowait()
    with pytest.raises(Empty):
        items.get(block=False)
    with pytest.raises(Empty):
        items.get(timeout=0.01)
    items.put_nowait(1)
    items.put_nowait(2)
    with pytest.raises(queue.Full):
        items.put_nowait(3)
    with pytest.raises(Full):
        items.put(3, block=False)
    with pytest.raises(Full):
        items.put(3, timeout=0.01)
    assert items.qsize() == 2


def test_a_timeout_is_not_negative(items: Queue) -> None:
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        items.put(1, timeout=-1)
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        items.get(timeout=-1)
    with pytest.raises(ValueError, match="'num_items' must be nonnegative"):
        items.get_nowait_batch(-1)


def test_batches_go_in_and_come_out_whole_or_not_at_all(items: Queue) -> None:
    with pytest.raises(Full, match="Cannot add 3 items to queue of size 0 and maxsize 2"):
        items.put_nowait_batch([1, 2, 3])
    items.put_nowait_batch([1, 2])
    with pytest.raises(Empty, match="Cannot get 3 items from queue of size 2"):
        items.get_nowait_batch(3)
    assert items.get_nowait_batch(2) == [1, 2]


def test_a_queue_without_a_limit_takes_all(ray: Any) -> None:
    many = Queue()
    many.put_nowait_batch(list(range(1000)))
    assert not many.full()
    assert many.get_nowait_batch(1000) == list(range(1000))
    many.shutdown()


def test_tasks_share_it(ray: Any, items: Queue) -> None:
    @ray.remote
    def produce(shared: Queue, count: int) -> None:
        for number in range(count):
            shared.put(number)

    @ray.remote
    def consume(shared: Queue, count: int) -> list[int]:
        return [shared.get() for _ in range(count)]

    taken = consume.remote(items, 20)
    ray.get(produce.remote(items, 20), timeout=30)
    assert ray.get(taken, timeout=30) == list(range(20))


def test_more_may_wait_for_an_item_than_an_actor_serves_at_a_time_by_default(ray: Any, items: Queue) -> None:
    waiting = [items.actor.get.remote(None) for _ in range(1100)]
    for number in range(1100):
        items.put(number)
    assert sorted(ray.get(waiting, timeout=60)) == list(range(1100))


def test_whoever_waits_does_not_keep_a_processor_busy(ray: Any, items: Queue) -> None:
    before, since = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    with pytest.raises(Empty):
        items.get(timeout=1.0)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert time.monotonic() - since >= 0.9
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


def test_it_can_be_awaited(items: Queue) -> None:
    async def main() -> list[Any]:
        taken = [asyncio.ensure_future(items.get_async()) for _ in range(3)]
        for number in range(3):
            await items.put_async(number)
        with pytest.raises(Empty):
            await items.get_async(block=False)
        with pytest.raises(Empty):
            await items.get_async(timeout=0.01)
        return sorted(await asyncio.gather(*taken))

    assert asyncio.run(main()) == [0, 1, 2]


def test_whoever_is_cancelled_while_he_waits_takes_no_item(ray: Any, items: Queue) -> None:
    @ray.remote
    def consume(shared: Queue) -> Any:
        return shared.get()

    ref = consume.remote(items)
    holds(lambda: any(actor.pending_calls for actor in ray.status().actors), "it waits")
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=30)
    items.put("kept")
    assert items.get(timeout=30) == "kept"


def test_who_waits_for_a_queue_that_is_shut_down_is_told(ray: Any, items: Queue) -> None:
    waiting = items.actor.get.remote(None)
    items.shutdown()
    with pytest.raises(ActorDiedError):
        ray.get(waiting, timeout=30)
    with pytest.raises(ActorDiedError):
        items.put(1)


def test_its_actor_takes_options(ray: Any) -> None:
    named = Queue(actor_options={"name": "letters"})
    assert "letters" in ray.util.list_named_actors()
    named.shutdown(force=True)
