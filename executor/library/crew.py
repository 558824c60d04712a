"""A crew: so many worker processes that run the calls of one pool, and the calls that wait for them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from executor.errors import ExecutorClosedError
from executor.library.functions import RemoteFunction
from executor.library.objects import Outcome
from executor.library.plans import Crew as Band
from executor.library.refs import ObjectRef, number_of
from executor.library.runtime import current, existing, opened
from executor.pickling import dump

__audition_internal__ = True

_log = logging.getLogger(__name__)

_AHEAD_S = 0.01
"""How much work is sent ahead of time, so that no worker waits for its next call."""

_MOST_AHEAD = 256
_REMEMBERED = 256


class Calling:
    """How one function is called many times: what is sent once, and what is sent with each call."""

    __slots__ = ("before", "remote")

    def __init__(self, remote: RemoteFunction, before: tuple[Any, ...] = ()) -> None:
        self.remote = remote
        self.before = before


class Job:
    """One call that a crew is to run. What it tells is told on any thread, by one call at a time."""

    __slots__ = ("calling", "named", "positional", "ref")

    def __init__(self, calling: Calling, positional: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        self.calling = calling
        self.positional = positional
        self.named = named
        self.ref: ObjectRef[Any] | None = None

    def begin(self) -> bool:
        """It is sent now; False when it is not wanted any more."""
        return True

    def end(self, well: bool, value: Any) -> None:
        """It has returned `value`, or raised it."""
        raise NotImplementedError


class Crew:
    """See the module. Calls begin in their order; `size` of them run at a time, and some wait in the workers already.

    A worker runs `initializer` before its first call and leaves after `max_calls`. `options` are those of a task; the
    workers hold no cpus by default, so that a pool inside a task finds its room. They have `variables`, but where their
    surroundings say otherwise.

    Raises:
        ProgramNotPicklableError: the initializer cannot be sent.
        ValueError: there is no such option.
    """

    def __init__(
        self,
        size: int,
        *,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] = (),
        max_calls: int = 0,
        options: Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.size = size
        self._runtime = current()
        self._token = self._runtime.put(None)
        given = {"num_cpus": 0, "max_retries": 0, **(options or {})}
        given |= {"num_returns": 1, "max_calls": max_calls}
        pickled = None if initializer is None else dump(partial(initializer, *initargs))
        self._band = Band(number_of(self._token), size, pickled, tuple(sorted((variables or {}).items())))
        self._options = given
        self._generic = {mode: self._remote(mode, given) for mode in (apply, apply_to_all, apply_to_all_unpacked)}
        self._callings: dict[tuple[int, Any], tuple[Any, Calling]] = {}
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[Job] = deque()
        self._sent: set[Job] = set()
        self._unfinished = 0
        self._window = size + 1
        self._seconds = 1.0
        self._last = 0.0
        self._closed = False

    # Functions.

    def calling(self, function: Callable[..., Any], mode: Any = None, *, often: bool = False) -> Calling:
        """The way to call a function, itself or by one of the modes below.

        A plain function is sent once. Whatever may hold a state or much data is sent with each call, so that each finds
        it as it is now; where one pool's call makes many of it, it is put once.
        """
        if not _is_plain(function):
            before = self._runtime.put(function) if often else function
            return Calling(self._generic[mode or apply], (before,))
        known = self._callings.get((id(function), mode))
        if known is None:
            if len(self._callings) >= _REMEMBERED:
                self._callings.clear()
            sent = function if mode is None else partial(mode, function)
            remote = self._remote(sent, {"name": function.__name__, **self._options})
            known = self._callings[id(function), mode] = function, Calling(remote)
        return known[1]

    def _remote(self, function: Any, options: Mapping[str, Any]) -> RemoteFunction:
        return RemoteFunction(function, options, crew=self._band)

    # Calls.

    def submit(self, job: Job) -> None:
        """Run a call when its turn comes.

        Raises:
            ExecutorClosedError: the executor that the crew belongs to was shut down.
        """
        if existing() is not self._runtime:
            raise ExecutorClosedError("the executor that this pool belongs to was shut down: make a new pool")
        with self._lock:
            self._waiting.append(job)
            self._unfinished += 1
            failed = self._give()
        self._fail(failed)

    def _give(self) -> list[tuple[Job, Exception | None]]:
        """Send what there is room for; those that could not be sent, with the reason, and those not wanted any more."""
        failed: list[tuple[Job, Exception | None]] = []
        while self._waiting and len(self._sent) < self._window:
            job = self._waiting.popleft()
            if not job.begin():
                failed.append((job, None))
                continue
            calling = job.calling
            try:
                job.ref = ref = calling.remote.remote(*calling.before, *job.positional, **job.named)
            except Exception as error:  # noqa: BLE001 - an argument that cannot be pickled raises what it likes
                failed.append((job, error))
                continue
            job.positional, job.named = (), {}
            if not self._sent:
                self._last = time.monotonic()
            self._sent.add(job)
            self._runtime.when_there(number_of(ref), partial(self._ended, job))
        return failed

    def _fail(self, failed: list[tuple[Job, Exception | None]]) -> None:
        for job, error in failed:
            self._finish(job, None if error is None else partial(job.end, False, error))

    def _ended(self, job: Job, outcome: Outcome) -> None:
        with self._lock:
            self._sent.discard(job)
            self._pace()
            failed = self._give()
        try:
            value = opened(outcome, self._runtime)
        except BaseException as error:  # noqa: BLE001 - it is the call's, whatever it is
            self._finish(job, partial(job.end, False, error))
        else:
            self._finish(job, partial(job.end, True, value))
        self._fail(failed)

    def _finish(self, job: Job, tell: Callable[[], None] | None) -> None:
        try:
            if tell is not None:
                tell()
        except Exception:  # noqa: BLE001 - nobody could catch it: this thread is that of whoever turns the hub just now
            _log.exception("a callback of a pool raised")
        with self._changed:
            self._unfinished -= 1
            if not self._unfinished or len(self._waiting) <= self._window:
                self._changed.notify_all()

    def _pace(self) -> None:
        """Send further ahead where calls take next to no time."""
        now = time.monotonic()
        seconds = (now - self._last) * self.size
        self._last = now
        self._seconds += (seconds - self._seconds) * 0.2
        self._window = self.size + max(1, self.size * min(_MOST_AHEAD, int(_AHEAD_S / max(self._seconds, 1e-6))))

    # Ending.

    def await_room(self) -> bool:
        """Wait until not too many calls wait already; whether more may come."""
        if len(self._waiting) > 2 * self._window:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or len(self._waiting) <= self._window)
        return not self._closed

    def take_waiting(self) -> list[Job]:
        """Take back the calls that were not sent; they are finished without being told."""
        with self._changed:
            taken = list(self._waiting)
            self._waiting.clear()
            self._unfinished -= len(taken)
            self._changed.notify_all()
        return taken

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until all calls have ended and were told, or until the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: not self._unfinished, timeout_s)

    def kill(self) -> list[Job]:
        """End the calls that run, with their processes; those that were not sent are returned."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            refs = [job.ref for job in self._sent if job.ref is not None]
        taken = self.take_waiting()
        if existing() is self._runtime:
            for ref in refs:
                self._runtime.ask("cancel", number_of(ref), True, True, None)
        return taken

    def disband(self) -> None:
        """Let the workers leave, those that run something once they have."""
        if existing() is self._runtime:
            self._runtime.ask("disband", number_of(self._token))


def cpu_count() -> int:
    """How many cpus the executor has: it is opened where it is not yet."""
    return max(1, int(current().ask("total")["cpu"]))


def _is_plain(function: Any) -> bool:
    """Whether nothing beside its code is sent with a function, but for the globals that it uses."""
    if isinstance(function, BuiltinFunctionType):
        return isinstance(function.__self__, ModuleType)
    return isinstance(function, FunctionType) and not function.__closure__ and not function.__defaults__


def apply(function: Callable[..., Any], /, *positional: Any, **named: Any) -> Any:
    """Call a function that travels with the call."""
    return function(*positional, **named)


def apply_to_all(function: Callable[..., Any], chunk: Iterable[Any], /) -> list[Any]:
    """Call a function for each item of a chunk."""
    return [function(item) for item in chunk]


def apply_to_all_unpacked(function: Callable[..., Any], chunk: Iterable[Iterable[Any]], /) -> list[Any]:
    """Call a function for each item of a chunk, which holds its arguments."""
    return [function(*item) for item in chunk]
