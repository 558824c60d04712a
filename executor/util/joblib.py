"""joblib on the executor: ``joblib.parallel_config(backend="executor")``, and with it scikit-learn's ``n_jobs``.

`executor.register_joblib` makes the name known. It is known, too, when joblib was imported before the executor was
opened. Each call of `joblib.Parallel` has workers of its own, and what it finds there is what loky gives it: large
arrays are sent once and are read-only, libraries are held to their share of the cpus, nested calls use threads.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
    register_parallel_backend,
)

from executor.library.crew import Calling, Crew, Job, cpu_count
from executor.library.definitions import Definition, modules_in
from executor.library.runtime import current
from executor.pickling import pickler

__audition_internal__ = True

_KILLED_S = 5.0
"""How long to wait for what was killed: not for ever, as a generator's end may abort all from inside of a callback."""


def register_joblib() -> None:
    """Make the backend known: ``joblib.parallel_config(backend="executor")``."""
    register_parallel_backend("executor", ExecutorBackend)


def register_ray() -> None:
    """Make the backend known by Ray's name too: ``joblib.parallel_config(backend="ray")``."""
    register_joblib()
    register_parallel_backend("ray", ExecutorBackend)


class ExecutorBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib has no types
    """joblib's way to our workers. `ray_remote_args` are options of a task, for example ``{"num_cpus": 1}``."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    default_n_jobs = -1
    """Whoever chooses this backend wants it to work in parallel."""

    def __init__(self, ray_remote_args: Mapping[str, Any] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._options = dict(ray_remote_args or {})
        self._crew: Crew | None = None
        self._arrays = _Arrays(None)
        self._is_prepared = False

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many workers `n_jobs` means: -1 are as many as the executor has cpus.

        Raises:
            ValueError: it is 0.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(1, cpu_count() + 1 + n_jobs)

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        max_nbytes: int | None = None,
        mmap_mode: str | None = "r",
        **settings: Any,
    ) -> int:
        """Make the workers of one `joblib.Parallel`; how many there are."""
        count = self.effective_n_jobs(n_jobs)
        if count == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._is_prepared = False
        self._crew = Crew(count, options=self._options, variables=self._prepare_worker_env(n_jobs=count))
        # Who wants to write into arrays gets copies of them.
        self._arrays = _Arrays(max_nbytes if mmap_mode == "r" else None)
        return count

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], Any] | None = None) -> Future[Any]:
        """Have a worker run a batch of calls."""
        if self._crew is None:  # an error has just ended all, and joblib did not know it yet
            ended: Future[Any] = Future()
            ended.cancel()
            return ended
        body, *arrays = self._arrays.pack(func)
        if not self._is_prepared:
            self._is_prepared = True
            _preload(body)
        batch = _Batch(self._crew.calling(_run), body, *arrays)
        if callback is not None:
            batch.future.add_done_callback(callback)
        self._crew.submit(batch)
        return batch.future

    def retrieve_result_callback(self, out: Future[bytes]) -> Any:
        """The results of a batch; raises what one of its calls raised."""
        return pickle.loads(out.result())  # noqa: S301 - from our own worker

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End what runs, with its workers."""
        self._stop(kill=True)
        left = self.parallel._ready_batches  # noqa: SLF001 - joblib forgets it, and it would come first in the next call
        while not left.empty():
            left.get_nowait()
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel, **self.parallel._backend_kwargs)  # noqa: SLF001

    def terminate(self) -> None:
        """Let the workers leave, and forget the arrays."""
        self._stop(kill=False)
        self.reset_batch_stats()

    def _stop(self, *, kill: bool) -> None:
        crew, self._crew = self._crew, None
        self._arrays.forget()
        if crew is not None:
            if kill:
                for job in crew.kill():
                    assert isinstance(job, _Batch)
                    job.future.cancel()
                # joblib counts what it is told of the call before towards the next one, if that has just begun.
                crew.join(_KILLED_S)
            crew.disband()


class _Batch(Job):
    __slots__ = ("future",)

    def __init__(self, calling: Calling, *positional: Any) -> None:
        super().__init__(calling, positional, {})
        self.future: Future[bytes] = Future()

    def begin(self) -> bool:
        return self.future.set_running_or_notify_cancel()

    def end(self, well: bool, value: Any) -> None:
        if well:
            self.future.set_result(value)
        else:
            self.future.set_exception(value)


class _Arrays:
    """The large arrays of one `joblib.Parallel`, each put once, by its identity; `least_bytes` of None is none."""

    def __init__(self, least_bytes: int | None) -> None:
        self._least_bytes = least_bytes
        self._known: dict[int, tuple[Any, Any]] = {}

    def pack(self, function: Callable[[], Any]) -> tuple[Any, ...]:
        """A function as `_run` takes it: pickled, and the references to the arrays in it."""
        refs: list[Any] = []

        def persistent_id(value: Any) -> int | None:
            if not self._is_large(value):
                return None
            refs.append(self._ref(value))
            return len(refs) - 1

        file = io.BytesIO()
        writer = pickler()(file, 5)
        if self._least_bytes is not None:
            writer.persistent_id = persistent_id
        writer.dump(function)
        return file.getvalue(), *refs

    def _is_large(self, value: Any) -> bool:
        kind = type(value)
        return (
            kind.__module__ == "numpy"
            and kind.__name__ in ("ndarray", "memmap")
            and value.nbytes >= self._least_bytes
            and not value.dtype.hasobject
        )

    def _ref(self, array: Any) -> Any:
        known = self._known.get(id(array))
        if known is None:
            # The array is held beside its reference: another one is not to have its identity meanwhile.
            known = self._known[id(array)] = array, current().put(array.view(_plain(array)))
        return known[1]

    def forget(self) -> None:
        """They are not needed any more."""
        self._known.clear()


def _preload(body: bytes) -> None:
    """Have workers find imported what a batch needs: importing scikit-learn takes each of them a second otherwise."""
    modules = modules_in(body)
    current().define(Definition(f"modules {' '.join(sorted(modules))}", b"", modules))


def _plain(array: Any) -> Any:
    """The class of plain arrays, as which a `memmap` is sent too."""
    return next(kind for kind in type(array).__mro__ if kind.__name__ == "ndarray")


def _run(body: bytes, *arrays: Any) -> bytes:
    """In a worker: run a batch; its results are pickled here, so that arrays in them can be written to over there."""
    reader = pickle.Unpickler(io.BytesIO(body))  # noqa: S301 - from our own driver
    reader.persistent_load = arrays.__getitem__  # type: ignore[method-assign]
    results = reader.load()()
    file = io.BytesIO()
    pickler()(file, 5).dump(results)
    return file.getvalue()
