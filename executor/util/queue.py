"""A queue that tasks, actors and the driver share: an actor that waits for nobody, while its callers wait for it."""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from executor.errors import GetTimeoutError
from executor.library.api import cancel, get, kill
from executor.library.handles import ActorClass
from executor.library.refs import ObjectRef

if TYPE_CHECKING:
    import asyncio

__audition_internal__ = True

_MANY = 1_000_000
"""How many may wait at a time: who waits for an item must not keep out who brings it."""


class Empty(queue.Empty):
    """There is no item, or there was none in time."""


class Full(queue.Full):
    """There is no room for the item, or there was none in time."""


class Queue:
    """A first-in, first-out queue in a process of its own. It can be passed to tasks and actors.

    Args:
        maxsize: how many items it holds at most; 0 for as many as come.
        actor_options: options of its actor.
    """

    def __init__(self, maxsize: int = 0, actor_options: Mapping[str, Any] | None = None) -> None:
        self.maxsize = maxsize
        options = {"num_cpus": 0, "max_concurrency": _MANY, **(actor_options or {})}
        self.actor = ActorClass(_Items, options).remote(maxsize)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        """How many items there are."""
        return int(get(self.actor.size.remote()))

    def qsize(self) -> int:
        """How many items there are."""
        return self.size()

    def empty(self) -> bool:
        """Whether there is no item."""
        return self.size() == 0

    def full(self) -> bool:
        """Whether there is no room."""
        return 0 < self.maxsize <= self.size()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item; waits for room, at most `timeout` seconds.

        Raises:
            Full: there was none in time, or there is none and `block` is False.
            ValueError: `timeout` is negative.
        """
        _waited_for(self.actor.put.remote(item, _checked(timeout, block=block)))

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the first item; waits for one, at most `timeout` seconds.

        Raises:
            Empty: there was none in time, or there is none and `block` is False.
            ValueError: `timeout` is negative.
        """
        return _waited_for(self.actor.get.remote(_checked(timeout, block=block)))

    async def put_async(
        self,
        item: Any,
        block: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 - Ray's
    ) -> None:
        """As `put`, awaited."""
        await self.actor.put.remote(item, _checked(timeout, block=block))

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - Ray's
        """As `get`, awaited."""
        return await self.actor.get.remote(_checked(timeout, block=block))

    def put_nowait(self, item: Any) -> None:
        """Add an item where there is room.

        Raises:
            Full: there is none.
        """
        self.put(item, block=False)

    def get_nowait(self) -> Any:
        """Take the first item if there is one.

        Raises:
            Empty: there is none.
        """
        return self.get(block=False)

    def put_nowait_batch(self, items: Sequence[Any]) -> None:
        """Add all of the items, or none.

        Raises:
            Full: there is not room for all.
        """
        get(self.actor.put_all.remote(list(items)))

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Take so many items, or none.

        Raises:
            Empty: there are not so many.
            ValueError: `num_items` is negative.
        """
        if num_items < 0:
            raise ValueError("'num_items' must be nonnegative")
        return list(get(self.actor.get_all.remote(num_items)))

    def shutdown(self, force: bool = False, grace_period_s: float = 5) -> None:
        """End the queue; who waits for it, or uses it later, meets an `ActorDiedError`.

        Without `force`, what was asked of it before is done first, for at most `grace_period_s` seconds.
        """
        if not force:
            try:
                get(self.actor.size.remote(), timeout=grace_period_s)
            except GetTimeoutError:
                pass
        kill(self.actor)


def _checked(timeout: float | None, *, block: bool) -> float | None:
    if not block:
        return 0.0
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return timeout


def _waited_for(ref: ObjectRef[Any]) -> Any:
    try:
        return get(ref)
    except (queue.Empty, queue.Full):
        raise
    except BaseException:
        cancel(ref)  # who was interrupted must not take an item later that nobody sees
        raise


class _Items:
    """What lives in the actor."""

    def __init__(self, maxsize: int) -> None:
        import asyncio  # 35 ms, and the actor's process has it already

        self._items: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    async def put(self, item: Any, timeout_s: float | None) -> None:
        import asyncio

        try:
            if timeout_s == 0.0:
                self._items.put_nowait(item)
            else:
                await asyncio.wait_for(self._items.put(item), timeout_s)
        except (asyncio.QueueFull, TimeoutError):
            raise Full from None

    async def get(self, timeout_s: float | None) -> Any:
        import asyncio

        try:
            if timeout_s == 0.0:
                return self._items.get_nowait()
            return await asyncio.wait_for(self._items.get(), timeout_s)
        except (asyncio.QueueEmpty, TimeoutError):
            raise Empty from None

    async def size(self) -> int:
        return self._items.qsize()

    async def put_all(self, items: list[Any]) -> None:
        most, there = self._items.maxsize, self._items.qsize()
        if 0 < most < there + len(items):
            raise Full(f"Cannot add {len(items)} items to queue of size {there} and maxsize {most}.")
        for item in items:
            self._items.put_nowait(item)

    async def get_all(self, count: int) -> list[Any]:
        there = self._items.qsize()
        if count > there:
            raise Empty(f"Cannot get {count} items from queue of size {there}.")
        return [self._items.get_nowait() for _ in range(count)]
