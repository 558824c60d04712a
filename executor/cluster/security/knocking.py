"""The newcomer's side of the door: what an invitation earns."""

from __future__ import annotations

import socket
import ssl

from executor.cluster.protos import cluster as pb
from executor.cluster.security.authority import Keyed, pin, request
from executor.cluster.security.credentials import Credentials
from executor.cluster.security.doorkeeper import MOST_BYTES, SIZE_BYTES
from executor.cluster.security.tokens import Invitation
from executor.errors import ClusterError

_KNOCK_S = 10.0


def knock(invitation: Invitation) -> tuple[Credentials, pb.Certified]:
    """Be let in: the credentials that the invitation earns, and what else the head says.

    Raises:
        ClusterError: nobody answers, it is not the head that the invitation names, or it lets nobody in.
    """
    asked, key = request(socket.gethostname())
    wanted = pb.EnrolRequest(token=invitation.token, request=asked, name=socket.gethostname())
    where = (invitation.host.strip("[]"), invitation.port)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the invitation says whose key it must be
    try:
        with socket.create_connection(where, timeout=_KNOCK_S) as plain, context.wrap_socket(plain) as door:
            _check_key(door, invitation)
            question = wanted.SerializeToString()
            door.sendall(len(question).to_bytes(SIZE_BYTES) + question)
            certified = pb.Certified.FromString(_answer(door, invitation))
    except OSError as error:
        raise ClusterError(
            f"nobody answers at {invitation.host}:{invitation.port}: {error}. Is the head there, and lets a firewall "
            "through to this port?"
        ) from None
    return Credentials(certified.authority, Keyed(certified.certificate, key)), certified


def _check_key(door: ssl.SSLSocket, invitation: Invitation) -> None:
    shown = door.getpeercert(binary_form=True)
    assert shown is not None, "a server has a certificate"
    found = pin(ssl.DER_cert_to_PEM_cert(shown).encode())
    if found != invitation.pin:
        raise ClusterError(
            f"who answers at {invitation.host}:{invitation.port} is not the head that the invitation names: its key is "
            f"{found}. Somebody may stand in between; the token was not sent"
        )


def _answer(door: ssl.SSLSocket, invitation: Invitation) -> bytes:
    size = int.from_bytes(_exactly(door, SIZE_BYTES))
    answer = _exactly(door, size) if 0 < size <= MOST_BYTES else b""
    if not answer:
        raise ClusterError(
            f"the head at {invitation.host} does not let us in: this invitation lets nobody in (any more). One is good "
            "once and for 15 minutes: `audition cluster invite` there prints another"
        )
    return answer


def _exactly(door: ssl.SSLSocket, size: int) -> bytes:
    """So many bytes; none when the other end hangs up before."""
    found = bytearray()
    while len(found) < size:
        try:
            more = door.recv(size - len(found))
        except (ssl.SSLEOFError, ConnectionResetError):
            return b""
        if not more:
            return b""
        found += more
    return bytes(found)
