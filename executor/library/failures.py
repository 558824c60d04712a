"""Exceptions on their way between processes: as the user's own class, with the traceback of where they were raised."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from typing import Any

from executor.errors import (
    ActorDiedError,
    ExecutorError,
    OutOfMemoryError,
    WorkerCrashedError,
)
from executor.library.refs import travelling
from executor.library.values import Packed
from executor.messages import DeathCause, RemoteError
from executor.pickling import encode
from executor.tracebacks import describe

_FRAME = re.compile(r'^[ |]+File "', re.MULTILINE)
"""A line of a traceback, also of a group's."""

_Told = tuple[type[BaseException], tuple[Any, ...], dict[str, Any], str, str]
"""What is sent of an exception: its class, its arguments (of a group: its message and what is sent of its members), its
attributes, the text of its traceback, and how it is shown where it cannot be made anew."""


class RemoteTraceback(Exception):  # noqa: N818 - it is shown as the cause of an exception, and is nobody's error
    """Where an exception was raised, in another process; its text is that traceback."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


def pack_exception(error: BaseException) -> Packed:
    """An exception, whatever its class: what of it cannot be sent is left out; references in it are kept with it."""
    before, travelling.numbers = travelling.numbers, []
    try:
        body, buffers = _encoded(error)
        numbers = tuple(travelling.numbers)
    except Exception as failure:  # noqa: BLE001 - a user's class may raise from its `__repr__` or `__getattr__`
        kind = type(error).__name__
        return pack_own(ExecutorError(f"a call raised {kind}, of which nothing can be told: {type(failure).__name__}"))
    finally:
        travelling.numbers = before
    return (body, tuple(map(bytes, buffers)), numbers) if buffers or numbers else body


def _encoded(error: BaseException) -> tuple[bytes, list[memoryview]]:
    text = describe(error)
    cause = error.__cause__ or error.__context__
    if isinstance(cause, RemoteTraceback):  # it was raised in a call that this one waited for
        text = RemoteError(text.type_name, text.message, cause.text + "\nWhich came out of:\n\n" + text.traceback)
    for told in _tellings(error, text.traceback, str(text)):
        try:
            return encode(told)
        except TypeError:
            continue
    raise AssertionError("object travels")


def _tellings(error: BaseException, traceback: str, shown: str) -> Iterator[_Told]:
    """What may be sent of an exception, the most of it first."""
    arguments = error.args
    if isinstance(error, BaseExceptionGroup):
        arguments = error.message, tuple(map(_member, error.exceptions))
    for state in _states(error):
        yield type(error), arguments, state, traceback, shown
    if not isinstance(error, BaseExceptionGroup):
        arguments = tuple(argument if _travels(argument) else repr(argument) for argument in arguments)
    for kind in type(error).__mro__:
        yield kind, arguments, {}, traceback, shown


def _member(error: BaseException) -> _Told:
    """What is sent of a member of a group, whose traceback stands in that of the group."""
    return next(told for told in _tellings(error, "", str(describe(error))) if _travels(told))


def _states(error: BaseException) -> list[dict[str, Any]]:
    """Its attributes: all of them, and if that does not do those that can be sent."""
    state = dict(getattr(error, "__dict__", {}))
    state.pop("__notes__", None) if not _travels(state.get("__notes__")) else None
    return [state, {name: value for name, value in state.items() if _travels(value)}]


def _travels(value: Any) -> bool:
    try:
        encode(value)
    except TypeError:
        return False
    return True


def unpack_exception(packed: Packed) -> BaseException:
    """The exception as it was, its cause being the traceback from over there."""
    try:
        return _remade(_loaded(packed))
    except Exception as failure:  # noqa: BLE001 - whatever the class of a user's exception does when it is loaded
        return ExecutorError(f"a call raised an exception that cannot be loaded here: {failure}")


def _loaded(packed: Packed) -> _Told:
    # From our own processes only; never so large that it lies in a place.
    told: _Told = pickle.loads(packed) if type(packed) is bytes else pickle.loads(packed[0], buffers=packed[1])  # type: ignore[arg-type]  # noqa: S301
    return told


def _remade(told: _Told) -> BaseException:
    kind, arguments, state, text, shown = told
    if issubclass(kind, BaseExceptionGroup):
        arguments = arguments[0], list(map(_remade, arguments[1]))
    error = _made(kind, arguments) or ExecutorError(shown)
    for name, value in {"args": arguments, **state}.items():
        _set(error, name, value)
    if _FRAME.search(text):
        _set(error, "__cause__", RemoteTraceback(text))
    return error


def _set(error: BaseException, name: str, value: Any) -> None:
    try:
        setattr(error, name, value)
    except Exception:  # noqa: BLE001 - the user's own code; mostly read-only over here, as it was over there
        pass


def _made(kind: type[BaseException], arguments: tuple[Any, ...]) -> BaseException | None:
    """An exception without its constructor, which may take anything; None where even its `__new__` does not know."""
    try:
        if issubclass(kind, BaseExceptionGroup):  # its own `__new__` may take anything too
            return BaseExceptionGroup.__new__(kind, *arguments)
        return kind.__new__(kind, *arguments)
    except Exception:  # noqa: BLE001 - the user's own code
        return None


def pack_own(error: ExecutorError) -> Packed:
    """One of our own errors, about a call rather than from inside it."""
    return pickle.dumps((type(error), error.args, {}, "", str(error)), 5)


def crashed(name: str, cause: DeathCause, where: str = "") -> WorkerCrashedError:
    """The process of a task ended; `where` is the node, if there are several."""
    return _died(WorkerCrashedError, f"task {name}: its worker process is gone: {_told(cause, where)}", cause)


def actor_died(name: str, cause: DeathCause, more: str = "", *, where: str = "") -> ActorDiedError:
    """The process of an actor ended; `where` is the node, if there are several."""
    error = _died(ActorDiedError, f"actor {name} died: {_told(cause, where)}{more}", cause)
    assert isinstance(error, ActorDiedError)
    return error


def _died(kind: type[WorkerCrashedError], text: str, cause: DeathCause) -> WorkerCrashedError:
    return (OutOfMemoryError if getattr(cause, "memory", None) else kind)(text)


def _told(cause: DeathCause, where: str) -> str:
    tail = cause.log_tail.rstrip()
    node = f" (on node {where})" if where and not cause.lost else ""
    return f"{cause}{node}" + (f"\nThe last it printed:\n{tail}" if tail else "")
