"""The way to a head on the same machine: a socket in its folder, for processes of the head's own user.

Whoever may enter the folder has the authority's key, so there is nobody to keep out and nothing to encrypt. What goes
over it is what goes over gRPC otherwise, each mail behind its length, at a fraction of the time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self

import grpc

from executor.platform import here

_log = logging.getLogger(__name__)

SOCKET = "drive.sock"

_LENGTH = struct.Struct("<I")
_MOST_BYTES = 64 * 2**20
_LONGEST_PATH = 100


class NearError(grpc.RpcError):
    """The stream broke, or nobody listens; says so as gRPC does."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self._told = told

    def details(self) -> str:
        """What happened."""
        return self._told


class NearChannel:
    """A channel to the head whose folder this is, as far as a line needs one: for a single stream."""

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Each stream closes what it opened."""

    def stream_stream(
        self, _method: str, request_serializer: Callable[[Any], bytes], response_deserializer: Callable[[bytes], Any]
    ) -> Callable[[Iterator[Any]], NearStream]:
        """Opens streams."""
        return lambda mails: NearStream(self._path, map(request_serializer, mails), response_deserializer)


class NearStream:
    """One stream: sends what an iterator gives, and iterates over what comes.

    Raises:
        NearError: nobody listens.
    """

    def __init__(self, path: Path, mails: Iterator[bytes], load: Callable[[bytes], Any]) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._load = load
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise NearError(f"Connection refused: {path}: {error}") from None
        self._file = self._socket.makefile("rb")
        threading.Thread(target=self._send, args=(mails,), name="audition-near", daemon=True).start()

    def _send(self, mails: Iterator[bytes]) -> None:
        try:
            for mail in mails:
                self._socket.sendall(_LENGTH.pack(len(mail)) + mail)
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.cancel()  # who reads is told

    def __iter__(self) -> Iterator[Any]:
        try:
            while len(head := self._file.read(_LENGTH.size)) == _LENGTH.size:
                (length,) = _LENGTH.unpack(head)
                mail = self._file.read(length)
                if len(mail) < length:
                    break
                yield self._load(mail)
        except (OSError, ValueError) as error:
            raise NearError(f"the stream broke: {error}") from None
        finally:
            self._file.close()
            self._socket.close()

    def cancel(self) -> None:
        """End the stream now; from any thread."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended


Way = grpc.Channel | NearChannel
"""What a line to the head is dialled over."""

Drive = Callable[[AsyncIterator[bytes]], AsyncGenerator[Any, None]]


async def listen(folder: Path, drive: Drive) -> asyncio.Server | None:
    """Serve drivers of this user on this machine; None where there can be no such socket: they come over gRPC then."""
    path = folder / SOCKET
    if len(os.fsencode(path)) > _LONGEST_PATH:
        _log.info("drivers on this machine come over gRPC too: %s is too long a name for a socket", path)
        return None

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not _is_ours(writer.get_extra_info("socket")):
            writer.close()
            return
        try:
            async with aclosing(drive(_mails(reader))) as mails:
                async for mail in mails:
                    data = mail.SerializeToString()
                    writer.write(_LENGTH.pack(len(data)) + data)
                    await writer.drain()
        except (OSError, ValueError) as error:
            _log.info("a stream on this machine broke: %s", error)
        finally:
            writer.close()

    try:
        listener = _bound(path)
    except OSError as error:
        _log.warning("drivers on this machine come over gRPC too: no socket at %s: %s", path, error)
        return None
    return await asyncio.start_unix_server(serve, sock=listener, limit=2**20)


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


def _is_ours(connection: Any) -> bool:
    return here.user_across(connection) in (os.getuid(), None)


async def _mails(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    try:
        while True:
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            if length > _MOST_BYTES:
                raise ValueError(f"a mail of {length} bytes is more than {_MOST_BYTES}")
            yield await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return
