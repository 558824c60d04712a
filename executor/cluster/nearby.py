"""The way to a head on the same machine: a socket in its folder, for processes of the head's own user.

Whoever may enter the folder has the authority's key, so there is nobody to keep out and nothing to encrypt. What goes
over it is what goes over gRPC otherwise, at a fraction of the time: the method's name, and then each mail, behind its
length.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from executor.cluster.line import Stream, gather_s, gathered
from executor.cluster.streams import Kind, Visit, tell_mistake, tell_senseless
from executor.platform import here

_log = logging.getLogger(__name__)

SOCKET = "head.sock"

_LENGTH = struct.Struct("<I")
_MOST_BYTES = 64 * 2**20
_LONGEST_PATH = 100


def _framed(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


# ------------------------------------------------------------------------------------------------------------ who comes


class NearError(grpc.RpcError):
    """The stream broke, or nobody listens; says so as gRPC does."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self._told = told

    def details(self) -> str:
        """What happened."""
        return self._told


class Nearby:
    """The way to the head whose folder this is."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SOCKET

    def is_served(self) -> bool:
        """Whether a head listens there, on this very machine: a folder may be seen from several."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self._path))
            except OSError:
                return False
        return True

    @contextmanager
    def open(self, method: str, says: Any, hears: Any) -> Iterator[Stream]:
        """Open a stream.

        Raises:
            NearError: nobody listens.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self._path))
        except OSError as error:
            connection.close()
            raise NearError(f"Connection refused: {self._path}: {error}") from None
        with connection:
            stream = NearStream(connection, method, says, hears)
            try:
                yield stream
            finally:
                stream.cancel()


class NearStream:
    """One stream. What the socket does not take at once goes out by a thread, for as long as the head is behind."""

    def __init__(self, connection: socket.socket, method: str, says: Any, hears: Any) -> None:
        self._socket = connection
        self._says, self._hears = says, hears
        self._lock = threading.Lock()
        self._behind: deque[bytes] | None = None
        self._send(_framed(method.encode()))

    def put(self, message: Any) -> None:
        """Let a message go out, from any thread, without waiting; None ends what we say."""
        self._send(b"" if message is None else _framed(self._says(messages=[message]).SerializeToString()))

    def _send(self, data: bytes) -> None:
        with self._lock:
            if self._behind is not None:
                self._behind.append(data)
                return
            try:
                left = self._now(data)
            except OSError:
                self.cancel()  # who reads is told
                return
            if left:
                self._behind = deque((left,))
                threading.Thread(target=self._catch_up, name="audition-near", daemon=True).start()

    def _now(self, data: bytes) -> bytes:
        """Send what the socket takes; what is left."""
        if not data:
            self._socket.shutdown(socket.SHUT_WR)
            return data
        try:
            return data[self._socket.send(data, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return data

    def _catch_up(self) -> None:
        while True:
            with self._lock:
                assert self._behind is not None
                if not self._behind:
                    self._behind = None
                    return
                data = self._behind.popleft()
            try:
                if data:
                    self._socket.sendall(data)
                else:
                    self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.cancel()
                return

    def __iter__(self) -> Iterator[Any]:
        try:
            with self._socket.makefile("rb") as file:
                while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
                    (length,) = _LENGTH.unpack(head)
                    mail = file.read(length)
                    if len(mail) < length:
                        return
                    yield self._hears.FromString(mail)
        except (OSError, ValueError) as error:
            raise NearError(f"the stream broke: {error}") from None

    def cancel(self) -> None:
        """End it now; from any thread."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended


# ------------------------------------------------------------------------------------------------------------- the head


async def listen(folder: Path, kinds: Mapping[str, Kind]) -> asyncio.Server | None:
    """Serve who is of this user and on this machine; None where there can be no such socket: they come over gRPC then.

    `kinds` are those of the streams, by their methods.
    """
    path = folder / SOCKET
    if len(os.fsencode(path)) > _LONGEST_PATH:
        _log.info("who is on this machine comes over gRPC too: %s is too long a name for a socket", path)
        return None
    try:
        listener = _bound(path)
    except OSError as error:
        _log.warning("who is on this machine comes over gRPC too: no socket at %s: %s", path, error)
        return None
    return await asyncio.get_running_loop().create_unix_server(lambda: _Attendant(kinds), sock=listener)


def _bound(path: Path) -> socket.socket:
    """A socket of that name, in the place of one that an earlier head has left."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), 0o600)  # before it has a name, so that nobody else can ever open it
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    return listener


class _Attendant(asyncio.Protocol):
    """Serves one stream, whose outbox it is: what comes is taken where it is read, which costs no switch of tasks."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = kinds
        self._kind: Kind | None = None
        self._visit: Visit | None = None
        self._transport: Any = None
        self._read = bytearray()
        self._outbox: asyncio.Queue[Any] = asyncio.Queue()
        self._flushes = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if here.user_across(transport.get_extra_info("socket")) not in (os.getuid(), None):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self._read += data
        try:
            for one in self._whole():
                self._take(one)
        except (ValueError, DecodeError) as error:
            tell_senseless(error)
            self._transport.close()
        except Exception:  # noqa: BLE001 - it is this stream's end, and not the head's
            tell_mistake()
            self._transport.close()

    def _whole(self) -> Iterator[bytes]:
        """What has come as a whole."""
        read, at = self._read, 0
        while len(read) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(read, at)
            if length > _MOST_BYTES:
                raise ValueError(f"a mail of {length} bytes is more than {_MOST_BYTES}")
            begin, at = at + _LENGTH.size, at + _LENGTH.size + length
            if at > len(read):
                at = begin - _LENGTH.size
                break
            yield bytes(memoryview(read)[begin:at])
        del read[:at]

    def _take(self, data: bytes) -> None:
        if self._kind is None:
            self._kind = self._kinds.get(data.decode())
            if self._kind is None:
                raise ValueError(f"there is no stream called {data[:40]!r}")
        elif self._visit is None:
            self._visit = self._kind.meet(self._kind.hello(data), self)
        else:
            for message in self._kind.says.FromString(data).messages:
                self._visit.take(message)

    def connection_lost(self, error: Exception | None) -> None:
        if self._visit is not None:
            self._visit.leave()

    def put_nowait(self, message: Any) -> None:
        """Let a message go out, with all that there is when the loop comes round; None ends the stream."""
        self._outbox.put_nowait(message)
        if not self._flushes:
            self._flushes = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send a mail; after a crowd the next one waits a moment."""
        assert self._kind is not None, "nobody is there before a hello"
        loop, outbox = asyncio.get_running_loop(), self._outbox
        if outbox.empty():
            self._flushes = False
            return
        messages, more = gathered(outbox, outbox.get_nowait())
        if messages and not self._transport.is_closing():
            self._transport.write(_framed(self._kind.hears(messages=messages).SerializeToString()))
        if more:
            loop.call_later(gather_s(len(messages)), self._flush)
        else:
            self._transport.close()
