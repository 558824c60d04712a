"""The port where newcomers knock: a token earns a certificate, once; and the newcomer's side of it."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import time
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from executor.cluster.protos import cluster as pb
from executor.cluster.security.authority import HEAD_NAME, Keyed, issue, pin, request
from executor.cluster.security.credentials import Credentials
from executor.cluster.security.roles import Role
from executor.cluster.security.tokens import Invitation, TokenRefusedError, Tokens
from executor.errors import ClusterError

_log = logging.getLogger(__name__)

AGENT_VALID_S = 48 * 3600.0
DRIVER_VALID_S = 30 * 24 * 3600.0

_METHOD = "/audition.cluster.v1.Doorkeeper/Enrol"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_REFUSAL_S = 0.5
_KNOCK_S = 10.0


class Doorkeeper:
    """Lets newcomers in. `port` is where the cluster itself is served."""

    def __init__(self, authority: Keyed, tokens: Tokens, cluster: str, port: int) -> None:
        self._authority, self._tokens, self._cluster, self._port = authority, tokens, cluster, port

    def handlers(self) -> grpc.GenericRpcHandler:
        """What a server without clients' certificates serves."""
        enrol: Any = grpc.unary_unary_rpc_method_handler(self._enrol, None, pb.Certified.SerializeToString)
        return grpc.method_handlers_generic_handler("audition.cluster.v1.Doorkeeper", {"Enrol": enrol})

    async def _enrol(self, data: bytes, context: Any) -> pb.Certified:
        try:
            asked = pb.EnrolRequest.FromString(data)
            role = self._tokens.redeem(asked.token, time.time())
            return self.certify(asked.request, role, asked.name or "unnamed")
        except (DecodeError, TokenRefusedError, ClusterError) as error:
            _log.warning("%s: not let in: %s", context.peer(), error)
            await asyncio.sleep(_REFUSAL_S)  # guessing is to be slow
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "this invitation lets nobody in (any more)")
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


def knock(invitation: Invitation) -> tuple[Credentials, pb.Certified]:
    """Be let in: the credentials that the invitation earns, and what else the head says.

    Raises:
        ClusterError: nobody answers, it is not the head that the invitation names, or it lets nobody in.
    """
    door = _door(invitation)
    asked, key = request(socket.gethostname())
    credentials = grpc.ssl_channel_credentials(root_certificates=door)
    options = (("grpc.ssl_target_name_override", HEAD_NAME),)
    with grpc.secure_channel(f"{invitation.host}:{invitation.port}", credentials, options=options) as channel:
        enrol = channel.unary_unary(_METHOD, pb.EnrolRequest.SerializeToString, pb.Certified.FromString)
        wanted = pb.EnrolRequest(token=invitation.token, request=asked, name=socket.gethostname())
        try:
            certified: pb.Certified = enrol(wanted, timeout=_KNOCK_S)
        except grpc.RpcError as error:
            told = getattr(error, "details", lambda: "")() or str(error)
            raise ClusterError(
                f"the head at {invitation.host} does not let us in: {told}. An invitation is good once and for 15 "
                f"minutes: `audition cluster invite` there prints another"
            ) from None
    return Credentials(certified.authority, Keyed(certified.certificate, key)), certified


def _door(invitation: Invitation) -> bytes:
    """The certificate at the door, if it is the one whose key the invitation names."""
    host = invitation.host.strip("[]")
    try:
        found = ssl.get_server_certificate((host, invitation.port), timeout=_KNOCK_S).encode()
    except OSError as error:
        raise ClusterError(f"nobody answers at {invitation.host}:{invitation.port}: {error}") from None
    if pin(found) != invitation.pin:
        raise ClusterError(
            f"who answers at {invitation.host}:{invitation.port} is not the head that the invitation names: its key is "
            f"{pin(found)}. Somebody may stand in between; the token was not sent"
        )
    return found
