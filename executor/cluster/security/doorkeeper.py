"""The port where newcomers knock: a token earns a certificate, once.

Anybody who reaches the port may speak here, so everything is small: one question and one answer over TLS, each a
protobuf message after four bytes with its size, within a few seconds. Who is not let in is hung up on without a word.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path

from google.protobuf.message import DecodeError

from executor.cluster import clock
from executor.cluster.protos import cluster as pb
from executor.cluster.security.authority import Keyed, issue
from executor.cluster.security.roles import Role
from executor.cluster.security.tokens import TokenRefusedError, Tokens
from executor.cluster.security.turnstile import Turnstile
from executor.errors import ClusterError

_log = logging.getLogger(__name__)

AGENT_VALID_S = 48 * 3600.0
DRIVER_VALID_S = 30 * 24 * 3600.0
MOST_BYTES = 16 * 2**10
"""A question or an answer; both take some 2 KiB."""
SIZE_BYTES = 4

_BROKEN = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_REFUSAL_S = 0.5
_NO_ROOM_S = 0.1
_QUIET_S = 1.0


class Doorkeeper:
    """Lets newcomers in. `port` is where the cluster itself is served; a visit may take `visit_s`."""

    def __init__(
        self,
        authority: Keyed,
        tokens: Tokens,
        cluster: str,
        port: int,
        *,
        turnstile: Turnstile | None = None,
        visit_s: float = 10.0,
    ) -> None:
        self._authority, self._tokens, self._cluster, self._port = authority, tokens, cluster, port
        self._turnstile = turnstile or Turnstile()
        self._visit_s = visit_s
        self._visits: set[asyncio.Task[None]] = set()
        self._told_at = 0.0

    async def serve(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        """Let in whoever may, until cancelled.

        Raises:
            OSError: nobody will ever come in at `listener` again. That the system has no room just now is waited out.
        """
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    sock, peer = await loop.sock_accept(listener)
                except OSError as error:
                    if error.errno in _BROKEN:
                        raise
                    self._tell(f"nobody can come in: {error}")
                    await asyncio.sleep(_NO_ROOM_S)
                    continue
                if why := self._turnstile.enter(peer[0], clock.now()):
                    self._tell(f"{peer[0]}: turned away: {why}")
                    sock.close()
                    continue
                visit = asyncio.create_task(self._visit(sock, peer[0], context))
                self._visits.add(visit)
                visit.add_done_callback(self._visits.discard)
        finally:
            listener.close()
            for visit in self._visits:
                visit.cancel()

    def _tell(self, what: str) -> None:
        """Into the log, but a flood is not to fill it."""
        if clock.now() - self._told_at >= _QUIET_S:
            self._told_at = clock.now()
            _log.warning("%s", what)

    async def _visit(self, sock: socket.socket, address: str, context: ssl.SSLContext) -> None:
        wrong = False
        try:
            async with asyncio.timeout(self._visit_s):
                await self._talk(sock, context)
        except (DecodeError, TokenRefusedError, ClusterError) as error:
            wrong = True
            self._tell(f"{address}: not let in: {error}")
        except (OSError, EOFError, TimeoutError) as error:
            _log.debug("%s: hung up: %s", address, error)
        finally:
            sock.close()
            self._turnstile.leave(address, wrong=wrong)

    async def _talk(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MOST_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, sock, ssl=context, ssl_handshake_timeout=self._visit_s
        )
        try:
            size = int.from_bytes(await reader.readexactly(SIZE_BYTES))
            if size > MOST_BYTES:
                raise DecodeError(f"a message of {size} bytes")
            answer = await self._answer(await reader.readexactly(size))
            transport.write(len(answer).to_bytes(SIZE_BYTES) + answer)
            transport.close()
            with suppress(OSError):
                await reader.read()  # until the other end has it all, and hangs up
        finally:
            transport.abort()

    async def _answer(self, question: bytes) -> bytes:
        try:
            asked = pb.EnrolRequest.FromString(question)
            role = self._tokens.redeem(asked.token, time.time())
            return self.certify(asked.request, role, asked.name or "unnamed").SerializeToString()
        except (DecodeError, TokenRefusedError, ClusterError):
            await asyncio.sleep(_REFUSAL_S)  # guessing is to be slow
            raise

    def certify(self, asked: bytes, role: Role, name: str) -> pb.Certified:
        """A certificate for a request.

        Raises:
            ClusterError: it is no request.
        """
        valid_s = AGENT_VALID_S if role is Role.AGENT else DRIVER_VALID_S
        certificate = issue(self._authority, asked, role, _UNSAFE.sub("-", name), valid_s)
        return pb.Certified(
            certificate=certificate,
            authority=self._authority.certificate,
            role=role,
            cluster=self._cluster,
            port=self._port,
        )


def door(host: str, port: int) -> socket.socket:
    """A socket that listens for newcomers.

    Raises:
        ClusterError: the port is taken, or the address is not this machine's.
    """
    host = host.strip("[]")
    try:
        if host == "::":
            return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ClusterError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


def one_sided(certificate: Path, key: Path) -> ssl.SSLContext:
    """What the doorkeeper shows; it asks for no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    return context
