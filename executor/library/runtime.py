"""What the public functions need of the process they are called in, which is the driver or a worker."""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, ClassVar

from executor.depot.store import Place
from executor.errors import GetTimeoutError
from executor.library.calls import Submission
from executor.library.definitions import Definition
from executor.library.failures import unpack_exception
from executor.library.objects import ERROR, VALUE, Outcome
from executor.library.plans import Code, Surrounding
from executor.library.refs import ObjectRef, number_of
from executor.library.values import place_of, unpack_value
from executor.resources import Request


class Runtime(ABC):
    """One process's way to everything else. All of it may be called from any thread."""

    drop: Callable[[int], None]
    """A reference was let go of. Called by the garbage collector, at any time: it only makes a note."""

    number = 0
    """0 in the driver, the worker's number in a worker."""

    node = ""
    """The node that this process is on; empty in a driver that is on none."""

    is_among_nodes = False
    """Whether large values may lie on other machines."""

    surrounding = Surrounding()
    """What tasks and actors find around them that do not say otherwise."""

    def __init__(self) -> None:
        self.feasible: set[Request] = set()
        """What is known to fit on some node, so that nobody has to be asked each time that options are given."""

    @abstractmethod
    def new_numbers(self, count: int) -> int:
        """The first of so many numbers in a row, for objects that this process makes."""

    @abstractmethod
    def arrived(self, number: int) -> ObjectRef[Any]:
        """A reference that was just unpickled."""

    @abstractmethod
    def own(self, number: int) -> ObjectRef[Any]:
        """A reference to what this process has just made, or was just given."""

    @abstractmethod
    def pin(self, number: int) -> None:
        """Keep an object for good."""

    @abstractmethod
    def put(self, value: Any) -> ObjectRef[Any]:
        """Keep a value."""

    @abstractmethod
    def outcomes(self, numbers: Sequence[int], timeout_s: float | None) -> list[Outcome]:
        """The outcomes of objects, waited for.

        Raises:
            GetTimeoutError: not all of them are there in time.
        """

    @abstractmethod
    def wait(self, numbers: Sequence[int], count: int, timeout_s: float | None) -> set[int]:
        """Those of the objects that are there, once at least `count` are or the time is over."""

    @abstractmethod
    def when_there(self, number: int, callback: Callable[[Outcome], None]) -> None:
        """Call back, on any thread, with the object's outcome once it is there."""

    @abstractmethod
    def define(self, definition: Definition) -> None:
        """Make a function or class known."""

    def carry(self, code: Code) -> None:
        """Have code where calls run that need it.

        Raises:
            ValueError: it is too large to be sent, or empty.
            OSError: it cannot be read.
        """

    @abstractmethod
    def submit(self, submission: Submission) -> None:
        """Hand in a call."""

    @abstractmethod
    def next_item(self, call: int, taken: int, answer: Any) -> ObjectRef[Any] | None:
        """The next value that a call streams, waited for; None when it has ended."""

    @abstractmethod
    def ask(self, verb: str, *arguments: Any) -> Any:
        """Have the hub do something that there is a verb for, and wait for its answer."""

    @abstractmethod
    def allocate(self, size: int) -> tuple[Place, memoryview]:
        """A place in shared memory, and this process's way to fill it."""

    def path_of(self, place: Place) -> str:
        """The file that has what lies there, here."""
        return place.path

    def bring(self, places: Sequence[Place], timeout_s: float | None) -> bool:
        """Have what lies in these places here; False when it has not come in time.

        Raises:
            ObjectLostError: it is nowhere any more.
        """
        return True

    @abstractmethod
    def give_back(self, place: Place) -> None:
        """A place that this process has allocated holds nothing that goes anywhere."""

    def disown(self) -> None:
        """In a forked copy of the process: refuse to work for what belongs to the original."""

    def get(self, refs: Sequence[ObjectRef[Any]], timeout_s: float | None) -> list[Any]:
        """The values, waited for.

        Raises:
            GetTimeoutError: not all of them are there in time.
            BaseException: the exception of the first whose call raised.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        outcomes = self.outcomes([number_of(ref) for ref in refs], timeout_s)
        if self.is_among_nodes:
            places = [place for kind, packed in outcomes if kind == VALUE and (place := place_of(packed)) is not None]
            if not self.bring(places, None if deadline is None else max(0.0, deadline - time.monotonic())):
                raise GetTimeoutError(
                    f"the values are there, but had not all come from their nodes after {timeout_s:g} s. Ask again, or "
                    f"longer."
                )
        return [opened(outcome, self) for outcome in outcomes]

    def future(self, ref: ObjectRef[Any]) -> Future[Any]:
        """A future of the value."""
        future: Future[Any] = Future()
        self.when_there(number_of(ref), settler(future, ref, self))
        return future


def settler(future: Future[Any], ref: ObjectRef[Any], runtime: Runtime) -> Callable[[Outcome], None]:
    """What settles a future once the outcome is there. It holds `ref`, or what nobody else refers to was forgotten."""

    def settle(outcome: Outcome, _held: ObjectRef[Any] = ref) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            value = opened(outcome, runtime)
        except StopIteration as error:  # which asyncio's futures refuse: whoever awaited it would wait for ever
            told = RuntimeError(f"the call raised {error!r}")
            told.__cause__ = error
            future.set_exception(told)
        except BaseException as error:  # noqa: BLE001 - it is the call's, whatever it is
            future.set_exception(error)
        else:
            future.set_result(value)

    return settle


def opened(outcome: Outcome, runtime: Runtime) -> Any:
    """The value of an outcome; raises the exception of one that is none."""
    kind, packed = outcome
    if kind == ERROR:
        raise unpack_exception(packed)
    return unpack_value(packed, runtime)


class _Current:
    """The runtime of this process, and how to make one when it is needed first."""

    runtime: ClassVar[Runtime | None] = None
    owner: ClassVar[int] = 0
    make: ClassVar[Callable[[], Runtime] | None] = None
    lock: ClassVar[threading.RLock] = threading.RLock()


def current() -> Runtime:
    """The runtime of this process; opened now, with the defaults of `init`, when there is none yet."""
    runtime = _Current.runtime
    if runtime is not None:
        return runtime
    with _Current.lock:
        if _Current.runtime is None:
            from executor.library.api import init  # the one that makes it, a floor above

            init()
        assert _Current.runtime is not None
        return _Current.runtime


def existing() -> Runtime | None:
    """The runtime of this process, if there is one."""
    return _Current.runtime


def become(runtime: Runtime | None) -> None:
    """Make `runtime` the one of this process."""
    _Current.runtime = runtime
    _Current.owner = os.getpid()


def forget_in_fork() -> None:
    """In a forked copy of this process: what was open belongs to the original."""
    if _Current.runtime is not None:
        _Current.runtime.disown()
    _Current.runtime = None
    _Current.lock = threading.RLock()


os.register_at_fork(after_in_child=forget_in_fork)
