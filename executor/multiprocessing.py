"""`multiprocessing.Pool` on the executor: the same methods, results and errors, with our workers."""

from __future__ import annotations

import itertools
import logging
import multiprocessing.pool as standard
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from multiprocessing import TimeoutError  # noqa: A004 - it is the standard one's name
from types import TracebackType
from typing import Any, NoReturn, Self

from executor.library.crew import Calling, Crew, Job, apply_to_all, apply_to_all_unpacked, cpu_count

__audition_internal__ = True

_log = logging.getLogger(__name__)

AsyncResult = standard.AsyncResult
"""What `Pool.apply_async` returns: the standard library's own class, as are those of `map_async` and `imap`."""


class Pool:
    """A `multiprocessing.Pool` of our worker processes, as many as the executor has cpus by default.

    Functions need not be importable, and references among the arguments of `apply` stand for their values. Where the
    standard pool would wait for ever something is raised: `WorkerCrashedError` for a call whose worker dies,
    `RuntimeEnvSetupError` where the initializer raises, `TaskCancelledError` for what `terminate` has ended.

    Args:
        processes: worker processes at a time.
        initializer: called in each worker before its first call.
        initargs: its arguments.
        maxtasksperchild: calls, or chunks of them, after which a worker is replaced.
        context: the standard library's, which has no meaning here.
        ray_address: Ray's, which has no meaning here.
        ray_remote_args: options of a task, for example ``{"num_gpus": 1}``. Workers hold no cpus by default, they are
            beside the tasks and actors that do; ``{"num_cpus": 1}`` has calls wait for free ones.

    Raises:
        ValueError: `processes` or `maxtasksperchild` is not at least 1, or there is no such option.
        TypeError: the initializer cannot be called, or not be sent.
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
        ray_address: str | None = None,
        ray_remote_args: Mapping[str, Any] | None = None,
    ) -> None:
        self._state = "INIT"
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if maxtasksperchild is not None and (not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._crew = Crew(
            processes or cpu_count(),
            initializer=initializer,
            initargs=initargs,
            max_calls=maxtasksperchild or 0,
            options=ray_remote_args,
        )
        self._cache: dict[int, Any] = {}  # the standard library's results keep themselves here until they are there
        self._feeders: list[threading.Thread] = []
        self._state = "RUN"

    # One call.

    def apply(self, func: Callable[..., Any], args: Iterable[Any] = (), kwds: Mapping[str, Any] | None = None) -> Any:
        """``func(*args, **kwds)`` in a worker, waited for.

        Raises:
            ValueError: the pool is not running.
            BaseException: what the call raised.
        """
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] | None = None,
        callback: Callable[[Any], Any] | None = None,
        error_callback: Callable[[BaseException], Any] | None = None,
    ) -> standard.AsyncResult[Any]:
        """``func(*args, **kwds)`` in a worker; `callback` is told of its value, `error_callback` of what it raised.

        Raises:
            ValueError: the pool is not running.
        """
        self._check_running()
        result: standard.AsyncResult[Any] = _made(
            standard.AsyncResult, self, _guarded(callback), _guarded(error_callback)
        )
        self._crew.submit(_Task(result, 0, self._crew.calling(func), tuple(args), kwds or {}))
        return result

    # All at once.

    def map(self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = None) -> list[Any]:
        """``list(map(func, iterable))`` with the calls in the workers, `chunksize` of them as one.

        Raises:
            ValueError: the pool is not running.
            BaseException: what the first call that failed raised, when all have ended.
        """
        return self.map_async(func, iterable, chunksize).get()

    def starmap(
        self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]], chunksize: int | None = None
    ) -> list[Any]:
        """As `map`, for items that hold the arguments of a call each."""
        return self.starmap_async(func, iterable, chunksize).get()

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[Any], Any] | None = None,
        error_callback: Callable[[BaseException], Any] | None = None,
    ) -> standard.MapResult[Any]:
        """As `map`, but it does not wait: `callback` is told of the list, `error_callback` of what a call raised."""
        return self._map(apply_to_all, func, iterable, chunksize, callback, error_callback)

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[Any], Any] | None = None,
        error_callback: Callable[[BaseException], Any] | None = None,
    ) -> standard.MapResult[Any]:
        """As `map_async`, for items that hold the arguments of a call each."""
        return self._map(apply_to_all_unpacked, func, iterable, chunksize, callback, error_callback)

    def _map(
        self, mode: Any, func: Any, iterable: Iterable[Any], chunksize: int | None, callback: Any, error_callback: Any
    ) -> standard.MapResult[Any]:
        self._check_running()
        items = list(iterable)
        if chunksize is None:
            chunksize = -(-len(items) // (4 * self._crew.size))
        if not items:
            chunksize = 0
        result: standard.MapResult[Any] = _made(
            standard.MapResult, self, chunksize, len(items), _guarded(callback), error_callback=_guarded(error_callback)
        )
        calling = self._crew.calling(func, mode, often=True)
        for index, chunk in enumerate(_chunks(items, chunksize)):
            self._crew.submit(_Task(result, index, calling, (chunk,), {}))
        return result

    # One after another.

    def imap(self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int = 1) -> Iterator[Any]:
        """As `map`, but the items are read as the workers need them, and the results come one by one, in order.

        With a `chunksize` of 1 the iterator's ``next`` takes a timeout.

        Raises:
            ValueError: the pool is not running, or `chunksize` is not at least 1.
        """
        return self._imap(standard.IMapIterator, func, iterable, chunksize)

    def imap_unordered(self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int = 1) -> Iterator[Any]:
        """As `imap`, with the results in the order in which they come."""
        return self._imap(standard.IMapUnorderedIterator, func, iterable, chunksize)

    def _imap(self, kind: Any, func: Any, iterable: Iterable[Any], chunksize: int) -> Iterator[Any]:
        self._check_running()
        if chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize}")
        result = _made(kind, self)
        if chunksize == 1:
            self._feed(result, self._crew.calling(func, often=True), iterable)
            return result  # type: ignore[no-any-return]
        self._feed(result, self._crew.calling(func, apply_to_all, often=True), _chunks(iterable, chunksize))
        return (item for chunk in result for item in chunk)

    def _feed(self, result: Any, calling: Calling, items: Iterable[Any]) -> None:
        # On a thread of its own: what yields the items may take its time, or wait for the pool's own results.
        feeder = threading.Thread(
            target=_feed, args=(self._crew, result, calling, items), daemon=True, name="executor-imap"
        )
        self._feeders = [one for one in self._feeders if one.is_alive()]
        self._feeders.append(feeder)
        feeder.start()

    # Ending.

    def close(self) -> None:
        """Take no more calls; the workers leave when all are done."""
        if self._state == "RUN":
            self._state = "CLOSE"

    def terminate(self) -> None:
        """End all calls at once, and the workers that run them."""
        self._state = "TERMINATE"
        from executor.errors import TaskCancelledError

        for job in self._crew.kill():
            job.end(False, TaskCancelledError("the pool was terminated before the call began"))
        self._crew.disband()

    def join(self) -> None:
        """Wait until all calls have ended.

        Raises:
            ValueError: neither `close` nor `terminate` was called.
        """
        if self._state == "RUN":
            raise ValueError("Pool is still running")
        for feeder in self._feeders:
            feeder.join()
        self._crew.join()
        self._crew.disband()

    def _check_running(self) -> None:
        if self._state != "RUN":
            raise ValueError("Pool not running")

    def __enter__(self) -> Self:
        self._check_running()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.terminate()

    def __reduce__(self) -> NoReturn:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if self._state == "RUN":
            _warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self)

    def __repr__(self) -> str:
        size = self._crew.size if hasattr(self, "_crew") else 0
        return f"<{type(self).__module__}.{type(self).__qualname__} state={self._state} pool_size={size}>"


class _Task(Job):
    __slots__ = ("index", "result")

    def __init__(
        self, result: Any, index: int, calling: Calling, positional: tuple[Any, ...], named: Mapping[str, Any]
    ) -> None:
        super().__init__(calling, positional, named)
        self.result = result
        self.index = index

    def end(self, well: bool, value: Any) -> None:
        self.result._set(self.index, (well, value))  # noqa: SLF001 - how the standard pool tells its results


def _made(kind: Any, pool: Pool, *arguments: Any, **named: Any) -> Any:
    """One of the standard library's results, which need of a pool its cache only."""
    return kind(pool, *arguments, **named)


def _guarded(callback: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """A callback that, when it raises, does not keep the result from being there."""
    if callback is None:
        return None

    def guarded(value: Any) -> None:
        try:
            callback(value)
        except Exception:  # noqa: BLE001 - the user's own code
            _log.exception("a callback of a pool raised")

    return guarded


def _chunks(items: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    iterator = iter(items)
    return iter(lambda: tuple(itertools.islice(iterator, size)), ())


def _feed(crew: Crew, result: Any, calling: Calling, items: Iterable[Any]) -> None:
    count = 0
    try:
        for item in items:
            if not crew.await_room():
                return
            crew.submit(_Task(result, count, calling, (item,), {}))
            count += 1
    except Exception as error:  # noqa: BLE001 - what yields the items raised: that is the last of the results
        result._set(count, (False, error))  # noqa: SLF001
        count += 1
    result._set_length(count)  # noqa: SLF001


__all__ = ["AsyncResult", "Pool", "TimeoutError", "cpu_count"]
