"""Objects from machine to machine, in mutual TLS with a certificate that only one driver and its nodes have.

Every record is sealed (AES-GCM), so a flipped byte, as an end before the end, breaks the connection and is no object.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, astuple, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import Struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from executor.depot.store import Loan, Place, Store

_log = logging.getLogger(__name__)

_LENGTH = Struct("<H")
_LOAN = Struct("<iQQ")
_SLICE = 1 << 20
_SILENT_S = 20.0
_CONNECT_S = 3.0
_MOST_AT_ONCE = 64
_VALID_DAYS = 365
_REST_S = 0.5
_OUT_OF_REACH = (errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH)

Peer = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Secret:
    """What proves that somebody belongs to a driver: a certificate of its own and the key to it, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Secret:
        """One that nobody else has."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "audition objects")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=_VALID_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def name_of(self, depot: str, port: int) -> str:
        """How a depot is called among the unix sockets of its machine: by what tells nothing, and no two have."""
        return f"audition-{hashlib.sha256(self.certificate + f'{depot}:{port}'.encode()).hexdigest()}"

    def context(self, *, server: bool) -> ssl.SSLContext:
        """How one end takes the other for one of us: by nothing but this very certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # there is one certificate, wherever its holders are
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self.certificate.decode())
        with tempfile.NamedTemporaryFile(prefix="audition-", suffix=".pem") as file:  # for us alone; ssl takes no bytes
            Path(file.name).write_bytes(self.certificate + self.key)
            context.load_cert_chain(file.name)
        return context


@dataclass(frozen=True, slots=True)
class Wish:
    """What a connection is for: to ``get`` an object, ``put`` one that is asked for, or ask to ``lend`` one."""

    verb: str
    home: str
    segment: int
    size: int


class Listener:
    """Serves those who show the secret: `serve` is handed what they wish, and the connection to do it on."""

    def __init__(self, at: socket.socket, secret: Secret, serve: Callable[[Wish, ssl.SSLSocket], None]) -> None:
        self._serve = serve
        self._context = secret.context(server=True)
        self._socket = at
        self._room = threading.Semaphore(_MOST_AT_ONCE)
        self._closed = threading.Event()
        threading.Thread(target=self._accept, name="audition-objects", daemon=True).start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            self._room.acquire()
            try:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._attend, args=(connection,), daemon=True).start()
            except (OSError, RuntimeError) as error:
                self._room.release()
                if not self._closed.wait(_REST_S):  # at once it would fail again: no descriptor is left, or no thread
                    _log.warning("a connection for an object cannot be taken just now: %s", error)

    def _attend(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(_SILENT_S)
            with self._context.wrap_socket(connection, server_side=True) as secured:
                (length,) = _LENGTH.unpack(_received(secured, _LENGTH.size))
                wish = json.loads(_received(secured, length))
                self._serve(
                    Wish(str(wish["verb"]), str(wish["home"]), int(wish["segment"]), int(wish["size"])), secured
                )
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.debug("a connection for an object ends: %s", error)
        finally:
            connection.close()
            self._room.release()

    def close(self) -> None:
        """Take no more."""
        self._closed.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def listening_at(peer: Peer | str) -> socket.socket:
    """A socket that others can dial there: an address and a port, or the name of a unix socket."""
    if isinstance(peer, tuple):
        return socket.create_server(peer)
    at = socket.socket(socket.AF_UNIX)
    try:
        at.bind(peer)
        at.listen()
    except OSError:
        at.close()
        raise
    return at


def get(peer: Peer, context: ssl.SSLContext, wish: Wish, memory: memoryview) -> None:
    """Fill `memory` with an object that `peer` has.

    Raises:
        OSError: it cannot be reached, is not one of us, or does not have all of it.
    """
    with _dialled(peer, context, wish) as connection:
        fill(connection, memory)


def put(peer: Peer, context: ssl.SSLContext, wish: Wish, memory: memoryview) -> None:
    """Send an object to `peer`, who has asked for it; returns once it has all of it.

    Raises:
        OSError: it cannot be reached, is not one of us, or does not take it.
    """
    with _dialled(peer, context, wish) as connection:
        pour(connection, memory)
        _received(connection, 1)


def is_out_of_reach(error: OSError) -> bool:
    """Whether an object failed because its peer cannot be reached or is silent: another try would take as long."""
    return isinstance(error, TimeoutError | ConnectionRefusedError | socket.gaierror) or error.errno in _OUT_OF_REACH


def borrow(peer: str, context: ssl.SSLContext, wish: Wish, store: Store) -> Place:
    """An object of another process of this machine, in the very memory in which it lies there.

    Raises:
        OSError: nobody is there, it is not one of us, does not have it, or cannot share it with us.
    """
    with _dialled(peer, context, wish) as connection:
        return store.borrow(connection, Loan(*_LOAN.unpack(_received(connection, _LOAN.size))), wish.size)


def _dialled(peer: Peer | str, context: ssl.SSLContext, wish: Wish) -> ssl.SSLSocket:
    with ExitStack() as stack:
        connection = stack.enter_context(_connected(peer))
        connection.settimeout(_SILENT_S)
        secured = stack.enter_context(context.wrap_socket(connection))
        head = json.dumps(asdict(wish)).encode()
        secured.sendall(_LENGTH.pack(len(head)) + head)
        stack.pop_all()  # from now on the caller's to close
    return secured


def _connected(peer: Peer | str) -> socket.socket:
    if isinstance(peer, tuple):
        return socket.create_connection(peer, timeout=_CONNECT_S)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_CONNECT_S)
    try:
        connection.connect(peer)
    except OSError:
        connection.close()
        raise
    return connection


def lend(connection: ssl.SSLSocket, loan: Loan) -> None:
    """Tell the other end where it finds an object on this machine."""
    connection.sendall(_LOAN.pack(*astuple(loan)))


def pour(connection: ssl.SSLSocket, memory: memoryview) -> None:
    """Send all of `memory`."""
    for begin in range(0, len(memory), _SLICE):
        connection.sendall(memory[begin : begin + _SLICE])


def fill(connection: ssl.SSLSocket, memory: memoryview) -> None:
    """Fill all of `memory` with what comes.

    Raises:
        ConnectionError: it ends before.
    """
    left = memory
    while left:
        got = connection.recv_into(left)
        if not got:
            raise ConnectionError(f"the connection ended {len(left)} bytes before the object did")
        left = left[got:]


def thank(connection: ssl.SSLSocket) -> None:
    """Say that all has come."""
    connection.sendall(b"\1")


def _received(connection: ssl.SSLSocket, size: int) -> bytes:
    buffer = bytearray(size)
    with memoryview(buffer) as view:
        fill(connection, view)
    return bytes(buffer)
