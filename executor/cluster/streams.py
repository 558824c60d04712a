"""A stream of mails both ways, served by one loop: what comes in is taken at once, what goes out is gathered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from google.protobuf.message import DecodeError

from executor.cluster.line import MAIL_BYTES, gather_s

_log = logging.getLogger(__name__)

Outbox = asyncio.Queue[Any]
"""What is to go out on a stream; None ends it."""


async def decoded(stream: AsyncIterator[bytes], mail: Any) -> AsyncIterator[Any]:
    """The messages of a stream, each of the kind `mail`."""
    async for data in stream:
        yield mail.FromString(data)


async def hello_of(mails: AsyncIterator[Any]) -> Any:
    """What a stream has to begin with; None when it begins with something else, or not at all."""
    try:
        mail = await anext(mails, None)
    except DecodeError as error:
        _log.warning("a stream ends for a first message that makes no sense: %s", error)
        return None
    if mail is None or not mail.messages or mail.messages[0].WhichOneof("what") != "hello":
        return None
    return mail.messages[0].hello


def replaced(outboxes: dict[str, Outbox], name: str) -> Outbox:
    """A new outbox; the stream that had one before ends."""
    if (before := outboxes.get(name)) is not None:
        before.put_nowait(None)
    outbox = outboxes[name] = asyncio.Queue()
    return outbox


async def both(
    stream: AsyncIterator[Any], outbox: Outbox, hears: Any, take: Callable[[Any], None]
) -> AsyncIterator[Any]:
    """Take in what comes, and yield what is to go out, all that there is at a time as one, until a side is done."""
    hearing = asyncio.create_task(_hear(stream, outbox, take))
    try:
        while (message := await outbox.get()) is not None:
            messages, more = _gathered(outbox, message)
            yield hears(messages=messages)
            if not more:
                return
            await asyncio.sleep(gather_s(len(messages)))
    finally:
        hearing.cancel()


async def _hear(stream: AsyncIterator[Any], outbox: Outbox, take: Callable[[Any], None]) -> None:
    try:
        async for mail in stream:
            for message in mail.messages:
                take(message)
    except (ValueError, DecodeError) as error:
        _log.warning("a stream ends for a message that makes no sense: %s", error)
    except Exception:
        _log.exception("a stream ends for a mistake of ours")
        raise
    finally:
        outbox.put_nowait(None)


def _gathered(outbox: Outbox, first: Any) -> tuple[list[Any], bool]:
    """What is in the outbox, as much as one mail holds, and whether the stream goes on after it."""
    messages, size = [first], first.ByteSize()
    while size < MAIL_BYTES and not outbox.empty():
        message = outbox.get_nowait()
        if message is None:
            return messages, False
        messages.append(message)
        size += message.ByteSize()
    return messages, True
