"""An exception as the text its author wants to see: the user's own frames, none of ours."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import FrameType

from executor.messages import RemoteError


def describe(error: BaseException, log_tail: str = "") -> RemoteError:
    """The `RemoteError` that tells of `error` without frames of this package.

    Left out as well are frames whose module sets ``__audition_internal__ = True``, in chained exceptions too. An error
    that arose in our own frames only keeps its last line.
    """
    text = traceback.TracebackException.from_exception(error, compact=True)
    for described, exception in _chain(text, error):
        frames = [frame for frame, _ in traceback.walk_tb(exception.__traceback__)]
        described.stack[:] = [line for line, frame in zip(described.stack, frames, strict=False) if _is_users(frame)]
    innermost = text.stack[-1] if text.stack else None
    return RemoteError(
        type_name=type(error).__qualname__,
        message=_message(error),
        traceback="".join(text.format()),
        where=f"{innermost.filename}:{innermost.lineno} in {innermost.name}" if innermost else "",
        log_tail=log_tail,
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  it is the user's code, and must not hide what happened
        return "<its message could not be printed>"


def _chain(
    text: traceback.TracebackException, error: BaseException
) -> Iterator[tuple[traceback.TracebackException, BaseException]]:
    """Each exception that is shown with `error`: its causes, its contexts, and the members of groups."""
    waiting: list[tuple[traceback.TracebackException | None, BaseException | None]] = [(text, error)]
    while waiting:
        described, exception = waiting.pop()
        if described is None or exception is None:
            continue
        yield described, exception
        waiting += [(described.__cause__, exception.__cause__), (described.__context__, exception.__context__)]
        if isinstance(exception, BaseExceptionGroup):
            waiting += zip(described.exceptions or (), exception.exceptions, strict=False)


def _is_users(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] != "executor" and not frame.f_globals.get("__audition_internal__", False)
