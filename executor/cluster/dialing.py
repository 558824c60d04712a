"""From credentials to connections, on both ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc

from executor.cluster.line import CHANNEL_OPTIONS, Stream, Way, over_grpc
from executor.cluster.nearby import Nearby
from executor.cluster.security.authority import HEAD_NAME, Keyed
from executor.cluster.security.credentials import Credentials
from executor.errors import ClusterError

Dial = Callable[[], grpc.Channel]

ASK_S = 10.0


def dialer(target: str, load: Callable[[], Credentials]) -> Dial:
    """Dials the head at ``HOST:PORT`` with what `load` finds just then, since certificates are renewed."""
    options = (*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", HEAD_NAME))

    def dial() -> grpc.Channel:
        found = load()
        credentials = grpc.ssl_channel_credentials(found.authority, found.own.key, found.own.certificate)
        return grpc.secure_channel(target, credentials, options=options)

    return dial


def way(dial: Dial, folder: Path | None) -> Way:
    """To the head: over the socket in its `folder` where it listens there, as for its own machine; else dialled."""
    far = over_grpc(dial)
    if folder is None:
        return far
    near = Nearby(folder)

    def open_stream(method: str, says: Any, hears: Any) -> AbstractContextManager[Stream]:
        return (near.open if near.is_served() else far)(method, says, hears)

    return open_stream


def asked(dial: Dial, call: str, question: Any, reply: Any, within_s: float = ASK_S) -> Any:
    """The head's answer to one question.

    Raises:
        ClusterError: it cannot be reached, or refuses.
    """
    try:
        with dial() as channel:
            method = channel.unary_unary(
                f"/audition.cluster.v1.Cluster/{call}", question.SerializeToString, reply.FromString
            )
            return method(question, timeout=within_s)
    except grpc.RpcError as error:
        told = getattr(error, "details", lambda: "")() or str(error)
        raise ClusterError(told) from None


def mutual(authority: bytes, head: Keyed) -> grpc.ServerCredentials:
    """What the head listens with: only who has a certificate of the cluster's authority gets through."""
    return grpc.ssl_server_credentials([(head.key, head.certificate)], authority, require_client_auth=True)
