"""`concurrent.futures` on the executor: an `Executor` whose workers are ours."""

from __future__ import annotations

import atexit
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor as StandardExecutor
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar
from weakref import WeakSet

import executor.library.api  # noqa: F401 - registers its `shutdown` for the end of the program before ours is, below
from executor.errors import RuntimeEnvSetupError
from executor.library.crew import Crew, Job, apply_to_all_unpacked, cpu_count

__audition_internal__ = True

T = TypeVar("T")

_crews: WeakSet[Crew] = WeakSet()


class Executor(StandardExecutor):
    """A `concurrent.futures.Executor` that runs its calls in worker processes: a `ProcessPoolExecutor` in all but this.

    Functions need not be importable: lambdas, closures and what notebooks define are sent too. References among the
    arguments stand for their values. A worker that dies fails its own call, with `WorkerCrashedError`, and no other;
    the executor goes on.

    Args:
        max_workers: worker processes at a time; as many as the executor has cpus by default.
        initializer: called in each worker before its first call; when it raises, the executor is broken.
        initargs: its arguments.
        max_tasks_per_child: calls after which a worker is replaced.
        ray_remote_args: options of a task, for example ``{"num_gpus": 1}``. Workers hold no cpus by default, they are
            beside the tasks and actors that do; ``{"num_cpus": 1}`` has calls wait for free ones.

    Raises:
        ValueError: `max_workers` or `max_tasks_per_child` is not at least 1, or there is no such option.
        TypeError: the initializer cannot be called, or not be sent.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[..., Any] | None = None,
        initargs: tuple[Any, ...] = (),
        max_tasks_per_child: int | None = None,
        ray_remote_args: Mapping[str, Any] | None = None,
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None and max_tasks_per_child <= 0:
            raise ValueError("max_tasks_per_child must be >= 1")
        self._crew = Crew(
            max_workers or cpu_count(),
            initializer=initializer,
            initargs=initargs,
            max_calls=max_tasks_per_child or 0,
            options=ray_remote_args,
        )
        self._is_shut_down = False
        self._broken: list[BaseException] = []
        _crews.add(self._crew)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a worker call ``fn(*args, **kwargs)``.

        The future runs from when the call is sent to a worker, a few milliseconds ahead of time; until then it can be
        cancelled.

        Raises:
            BrokenProcessPool: the initializer has raised.
            RuntimeError: the executor was shut down.
        """
        self._check()
        return self._submit(_Call(self._crew.calling(fn), args, kwargs, self._broken))

    def _submit(self, call: _Call) -> Future[Any]:
        future = call.future
        self._crew.submit(call)
        return future

    def _check(self) -> None:
        if self._broken:
            raise BrokenProcessPool(str(self._broken[0])) from self._broken[0]
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def map(
        self, fn: Callable[..., T], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[T]:
        """``map(fn, *iterables)`` with the calls in the workers, `chunksize` of them as one; results in their order.

        Raises:
            ValueError: `chunksize` is not at least 1.
            RuntimeError: the executor was shut down.
            TimeoutError: from the iterator: the next result was not there `timeout` seconds after this call.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        self._check()
        deadline = None if timeout is None else time.monotonic() + timeout
        if chunksize == 1:
            calling = self._crew.calling(fn, often=True)
            calls = [_Call(calling, items, {}, self._broken) for items in zip(*iterables, strict=False)]
            return _results(list(map(self._submit, calls)), deadline)
        calling = self._crew.calling(fn, apply_to_all_unpacked, often=True)
        rows = zip(*iterables, strict=False)
        chunks = iter(lambda: list(itertools.islice(rows, chunksize)), [])
        calls = [_Call(calling, (chunk,), {}, self._broken) for chunk in chunks]
        return itertools.chain.from_iterable(_results(list(map(self._submit, calls)), deadline))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; with `cancel_futures` those that do not run yet never do.

        With `wait`, returns when all others have ended. The workers leave once they have nothing to do.
        """
        self._is_shut_down = True
        if cancel_futures:
            for job in self._crew.take_waiting():
                assert isinstance(job, _Call)
                job.future.cancel()
                job.future.set_running_or_notify_cancel()
        if wait:
            self._crew.join()
        self._crew.disband()


class _Call(Job):
    __slots__ = ("broken", "future")

    def __init__(self, calling: Any, positional: tuple[Any, ...], named: Mapping[str, Any], broken: list[Any]) -> None:
        super().__init__(calling, positional, named)
        self.future: Future[Any] = Future()
        self.broken = broken

    def begin(self) -> bool:
        return self.future.set_running_or_notify_cancel()

    def end(self, well: bool, value: Any) -> None:
        if well:
            self.future.set_result(value)
            return
        if isinstance(value, RuntimeEnvSetupError):  # its initializer raised, and will do so the next time
            self.broken.append(value)
            broken = BrokenProcessPool(str(value))
            broken.__cause__ = value
            value = broken
        self.future.set_exception(value)


def _results(futures: list[Future[Any]], deadline: float | None) -> Iterator[Any]:
    """The results in order. Whoever stops reading cancels those that do not run yet."""
    futures.reverse()
    try:
        while futures:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            # Taken off first: nothing here is to hold a result once it was given away.
            future = futures.pop()
            try:
                yield future.result(left_s)
            finally:
                future.cancel()
                del future
    finally:
        for future in futures:
            future.cancel()


@atexit.register
def _finish() -> None:
    """Calls that were handed in are run before the program ends, as the standard library has it."""
    for crew in list(_crews):
        crew.join()
