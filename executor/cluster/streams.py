"""Streams as the head serves them: what comes in is taken at once, what goes out is gathered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from executor.cluster.line import gather_s, gathered

_log = logging.getLogger(__name__)


class Outbox(Protocol):
    """Where to put what is to go out on a stream; None ends it."""

    def put_nowait(self, message: Any, /) -> None:
        """Let a message go out, after those before it."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One stream, from its hello on: who takes each message that comes, and is told when no more will."""

    take: Callable[[Any], None]
    leave: Callable[[], None]


NO_VISIT = Visit(lambda _: None, lambda: None)
"""Of somebody who was refused."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What comes and goes on streams of a kind, in mails, and who meets whoever begins one: with a hello."""

    says: Any
    hears: Any
    meet: Callable[[Any, Outbox], Visit]

    def hello(self, data: bytes) -> Any:
        """What a stream has to begin with.

        Raises:
            ValueError: it begins with something else.
        """
        messages = self.says.FromString(data).messages
        if not messages or messages[0].WhichOneof("what") != "hello":
            raise ValueError("it does not begin by saying who is there")
        return messages[0].hello


def replace(outboxes: dict[str, Outbox], name: str, outbox: Outbox) -> None:
    """Use another outbox for somebody; the stream that he had before ends."""
    if (before := outboxes.get(name)) is not None:
        before.put_nowait(None)
    outboxes[name] = outbox


async def over_grpc(stream: AsyncIterator[bytes], kind: Kind) -> AsyncIterator[Any]:
    """Serve a stream of gRPC's until a side is done: yields what is to go out, all that there is at a time as one."""
    outbox: asyncio.Queue[Any] = asyncio.Queue()
    if (data := await anext(stream, None)) is None:
        return
    try:
        visit = kind.meet(kind.hello(data), outbox)
    except (ValueError, DecodeError) as error:
        tell_senseless(error)
        return
    hearing = asyncio.create_task(_hear(stream, kind, visit, outbox))
    try:
        while (message := await outbox.get()) is not None:
            messages, more = gathered(outbox, message)
            yield kind.hears(messages=messages)
            if not more:
                return
            await asyncio.sleep(gather_s(len(messages)))
    finally:
        hearing.cancel()
        visit.leave()


async def _hear(stream: AsyncIterator[bytes], kind: Kind, visit: Visit, outbox: asyncio.Queue[Any]) -> None:
    try:
        async for data in stream:
            for message in kind.says.FromString(data).messages:
                visit.take(message)
    except (ValueError, DecodeError) as error:
        tell_senseless(error)
    except Exception:
        tell_mistake()
        raise
    finally:
        outbox.put_nowait(None)


def tell_senseless(error: Exception) -> None:
    """Log that a stream ends for what was said on it."""
    _log.warning("a stream ends for a message that makes no sense: %s", error)


def tell_mistake() -> None:
    """Log that a stream ends for the exception that is being handled."""
    _log.exception("a stream ends for a mistake of ours")
