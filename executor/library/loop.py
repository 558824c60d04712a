"""An actor whose methods are coroutines: they take turns in one event loop."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any

from executor.library.arguments import unpack_arguments
from executor.library.messages import RESULT
from executor.library.objects import VALUE
from executor.library.plans import STREAMING
from executor.library.requests import running

if TYPE_CHECKING:
    from executor.library.serving import Serving

__audition_internal__ = True


class Loop:
    """Runs the calls of one async actor, at most `concurrency` of them at a time."""

    def __init__(self, serving: Serving, concurrency: int) -> None:
        self._serving = serving
        self._client = serving.client
        self._limit = asyncio.Semaphore(concurrency)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Future[None] | None = None

    def run(self) -> None:
        """Serve until the hub wants nothing more."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._end = loop.create_future()
        self._client.on_calls = self._wake
        self._client.uplink.is_watched = True
        loop.add_reader(self._client.uplink.fileno(), self._read)
        self._begin()
        try:
            await self._end
        finally:
            loop.remove_reader(self._client.uplink.fileno())

    def _read(self) -> None:
        assert self._end is not None
        try:
            self._client.uplink.read_now()
        except EOFError as error:
            if not self._end.done():
                self._end.set_exception(error)

    def _wake(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        assert self._loop is not None
        calls = self._client.calls
        while calls:
            call = calls.popleft()
            if call[5] == STREAMING:
                self._client.streams.begin(call[0])
            task = self._tasks[call[0]] = self._loop.create_task(self._one(call))
            if call[0] in self._serving.cancelled:
                task.cancel()  # the word came before the call
            task.add_done_callback(lambda task, number=call[0]: self._done(number, task))  # type: ignore[misc]

    def _done(self, number: int, task: asyncio.Task[None]) -> None:
        assert self._end is not None
        self._tasks.pop(number, None)
        if self._client.account.has_news:
            self._client.account.flush()
        if task.cancelled():  # before its first step: else it has told what became of it
            self._serving.cancelled.discard(number)
            self._serving.tell_error(number, asyncio.CancelledError(), 0.0, retry=False)
        elif (error := task.exception()) is not None and not self._end.done():
            self._end.set_exception(error)

    def cancel(self, number: int) -> None:
        """End a call, from another thread."""
        assert self._loop is not None

        def cancel() -> None:
            if (task := self._tasks.get(number)) is not None:
                task.cancel()

        self._loop.call_soon_threadsafe(cancel)

    async def _one(self, call: Any) -> None:
        from executor.library.serving import Leave

        number, method, _, arguments, values, returns, window, retry, _ = call
        client, serving = self._client, self._serving
        running.set(number)
        began = time.perf_counter()
        try:
            async with self._limit:
                began = time.perf_counter()
                positional, named = unpack_arguments(arguments, values, client)
                value = getattr(serving.actor, method)(*positional, **named)
                if inspect.isasyncgen(value):
                    async for item in value:
                        client.streams.send(number, item, window=window)
                    value = None
                elif inspect.isawaitable(value):
                    value = await value
                elif returns == STREAMING and value is not None:
                    for item in value:
                        client.streams.send(number, item, window=window)
                    value = None
                packed = serving.pack(value, returns)
        except (SystemExit, Leave):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ended the call
            serving.tell_error(number, error, time.perf_counter() - began, retry=retry)
        else:
            client.account.flush()
            client.uplink.say((RESULT, number, VALUE, packed, time.perf_counter() - began, False))
        finally:
            serving.cancelled.discard(number)
            if returns == STREAMING:
                client.streams.end(number)
