"""One stream to the head, kept up: dialled again after it breaks, with a beat now and then that says we are there."""

from __future__ import annotations

import itertools
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import grpc

from executor.cluster import clock
from executor.cluster.protos import cluster as pb
from executor.errors import ClusterError

_log = logging.getLogger(__name__)

MAIL_BYTES = 2**20
"""How much is gathered into one message at most, but for the last that comes in."""

_SHORTEST_S = 0.1
_SILENT_BEATS = 3

CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", 64 * 2**20),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),
)

_SERVICE = "audition.cluster.v1.Cluster"


class Stream(Protocol):
    """One stream to the head: iterates over the mails that come, until it ends, or breaks by `grpc.RpcError`."""

    def put(self, message: Any, /) -> None:
        """Let a message go out, from any thread, without waiting; None ends what we say."""

    def __iter__(self) -> Iterator[Any]: ...

    def cancel(self) -> None:
        """End it now; from any thread."""


Way = Callable[[str, Any, Any], AbstractContextManager[Stream]]
"""Opens a stream by its method, the kind of mail that goes and the kind that comes; `grpc.RpcError` when it cannot."""

Up = TypeVar("Up", pb.FromAgent, pb.FromDriver)
Down = TypeVar("Down", pb.ToAgent, pb.ToDriver)


@dataclass(frozen=True, slots=True)
class Peer(Generic[Up, Down]):
    """What the owner of a line does. All are called from the line's own thread, but `beat` from the one that beats.

    `hello` says who we are; `take` takes each message but beats; `beat` is told of each beat that goes out and
    `answered` of each that was heard; `broken` of a broken stream, and whether the head's machine said that nobody
    listens there; `refused` that the head will never have us.
    """

    method: str
    up: type[Up]
    says: Any
    hears: Any
    hello: Callable[[], Up]
    take: Callable[[Down], None]
    broken: Callable[[bool], None]
    refused: Callable[[pb.Refused], None]
    beat: Callable[[int], None] = lambda _: None
    answered: Callable[[int], None] = lambda _: None


def gather_s(messages: int) -> float:
    """How long a mail of so many messages is followed by none: who is alone is not held up, a crowd goes together."""
    return 1e-3 * min(messages - 1, 4)


class _Waiting(Protocol):
    """Messages that wait for their turn; None is the end."""

    def empty(self) -> bool: ...

    def get_nowait(self) -> Any: ...


def gathered(outbox: _Waiting, first: Any) -> tuple[list[Any], bool]:
    """What is to go out by now, as much as one mail holds, and whether there is no end after it."""
    messages: list[Any] = []
    message, size = first, 0
    while message is not None:
        messages.append(message)
        size += message.ByteSize()
        if size >= MAIL_BYTES or outbox.empty():
            return messages, True
        message = outbox.get_nowait()
    return messages, False


class Line(Generic[Up, Down]):
    """Sends to the head and hears from it until closed.

    `send` never waits. What is sent while there is no stream goes nowhere: those who talk in sessions say again what
    was not acknowledged.
    """

    def __init__(self, way: Way, peer: Peer[Up, Down], beat_s: float = 1.0) -> None:
        self._way = way
        self._peer: Peer[Up, Down] = peer
        self._beat_s = beat_s
        self._stream: Stream | None = None
        """The one there is, welcome or not."""
        self._welcome: Stream | None = None
        self._heard_at = clock.now()
        self._welcomed = False
        self._closed = threading.Event()
        self._beats = itertools.count(1)
        self._threads = [
            threading.Thread(target=work, name=f"audition-{name}", daemon=True)
            for work, name in ((self._keep_up, "line"), (self._pulse, "pulse"))
        ]

    def start(self) -> None:
        """Dial."""
        for thread in self._threads:
            thread.start()

    def send(self, message: Up) -> None:
        """Send to the head."""
        if (stream := self._welcome) is not None:
            stream.put(message)

    def set_beat(self, beat_s: float) -> None:
        """Say that we are there so often from now on."""
        self._beat_s = beat_s

    def redial(self) -> None:
        """Give the stream up, and dial for another."""
        self._welcome = None
        if self._stream is not None:
            self._stream.cancel()

    def _keep_up(self) -> None:
        pause_s = _SHORTEST_S
        while not self._closed.is_set():
            self._welcomed = False
            no_head = self._hold_stream()
            if self._closed.is_set():
                return
            self._peer.broken(no_head)
            if self._welcomed:
                pause_s = _SHORTEST_S
            self._closed.wait(pause_s * random.uniform(0.5, 1.0))  # so that not all come at once
            pause_s = min(2 * pause_s, 2 * self._beat_s)  # well within a lease

    def _hold_stream(self) -> bool:
        """Hold one stream for as long as it lasts; whether the head's machine refused the connection."""
        peer = self._peer
        self._heard_at = clock.now()
        try:
            with self._way(peer.method, peer.says, peer.hears) as stream:
                self._stream = stream
                stream.put(peer.hello())
                for mail in stream:
                    self._heard_at = clock.now()
                    for message in mail.messages:
                        self._take(message, stream)
        except grpc.RpcError as error:
            _log.debug("the stream to the head broke: %s", error)
            return _is_nobody(error)
        except ClusterError as error:
            _log.warning("%s", error)
        except Exception:  # noqa: BLE001 - the line is to stay, whatever was said on it
            _log.exception("what the head says makes no sense here")
        finally:
            self._welcome = None
        return False

    def _take(self, message: Down, stream: Stream) -> None:
        kind = message.WhichOneof("what")
        if kind == "beat":
            self._peer.answered(message.beat.number)
        elif kind == "refused":
            _log.warning("the head refuses us: %s", message.refused.why)
            if message.refused.for_good:
                self._peer.refused(message.refused)
        else:
            if kind == "welcome":
                self._welcome, self._welcomed = stream, True
            self._peer.take(message)

    def _pulse(self) -> None:
        while not self._closed.wait(self._beat_s):
            number = next(self._beats)
            self._peer.beat(number)
            self.send(self._peer.up(beat=pb.Beat(number=number)))
            if self._stream is not None and clock.now() - self._heard_at > _SILENT_BEATS * self._beat_s:
                self.redial()  # the stream is there, and nobody at its other end

    def close(self, last: Up | None = None, within_s: float = 1.0) -> None:
        """Say a last word, if any, and hang up."""
        if self._closed.is_set():
            return
        stream = self._welcome
        self._closed.set()
        if stream is not None:
            if last is not None:
                stream.put(last)
            stream.put(None)
        elif self._stream is not None:
            self._stream.cancel()
        thread = self._threads[0]
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join(within_s)
            if thread.is_alive() and self._stream is not None:
                self._stream.cancel()


def _is_nobody(error: grpc.RpcError) -> bool:
    """Whether the machine was reached and said that nobody listens."""
    details = str(getattr(error, "details", lambda: "")())
    return "Connection refused" in details or "ECONNREFUSED" in details


class GrpcStream:
    """A stream of gRPC's."""

    def __init__(self, channel: grpc.Channel, method: str, says: Any, hears: Any) -> None:
        outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.put = outbox.put
        open_stream = channel.stream_stream(f"/{_SERVICE}/{method}", says.SerializeToString, hears.FromString)
        self._call = open_stream(_mails(outbox, says))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._call)

    def cancel(self) -> None:
        """End it now; from any thread."""
        self._call.cancel()


def over_grpc(dial: Callable[[], grpc.Channel]) -> Way:
    """The way over a channel that `dial` opens."""

    @contextmanager
    def open_stream(method: str, says: Any, hears: Any) -> Iterator[Stream]:
        with dial() as channel:
            stream = GrpcStream(channel, method, says, hears)
            try:
                yield stream
            finally:
                stream.put(None)
                stream.cancel()

    return open_stream


def _mails(outbox: queue.SimpleQueue[Any], says: Any) -> Iterator[Any]:
    """What is put into the outbox until None is, all that there is at a time as one."""
    while (message := outbox.get()) is not None:
        messages, more = gathered(outbox, message)
        yield says(messages=messages)
        if not more:
            return
        time.sleep(gather_s(len(messages)))
