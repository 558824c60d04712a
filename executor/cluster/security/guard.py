"""Who is at the other end of a connection, and whether he may call what he calls; asked before a message is read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any

import grpc
from cryptography import x509

from executor.cluster.security.authority import serial
from executor.cluster.security.roles import ALLOWED, Role, role_of

_log = logging.getLogger(__name__)


class Guard:
    """Admits by certificate; `denied` are the serial numbers of those that were taken back.

    `proves` says whether a token is that of the controller of a name beside the head.
    """

    def __init__(
        self,
        denied: Callable[[], Collection[str]] = lambda: (),
        proves: Callable[[str, str], bool] = lambda *_: False,
    ) -> None:
        self._denied = denied
        self._proves = proves

    async def admit(self, context: Any, call: str) -> Role:
        """The caller's role, if it may make the call; ends the call otherwise."""
        certificate = _certificate(context)
        role = role_of(_identities(certificate)) if certificate else None
        if certificate is None or role is None:
            _log.warning("%s: %s without a certificate that says a role", context.peer(), call)
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "a certificate of this cluster is needed")
            raise AssertionError("abort raises")
        if serial(certificate) in self._denied():
            _log.warning("%s: %s with a certificate that was taken back", context.peer(), call)
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "this certificate was taken back: join again")
        if role not in ALLOWED[call]:
            _log.warning("%s: a %s may not call %s", context.peer(), role, call)
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"a {role} may not call {call}")
        return role

    def name(self, context: Any) -> str:
        """The name in the caller's certificate."""
        certificate = _certificate(context)
        assert certificate is not None, "only who was admitted has a name"
        (identity,) = _identities(certificate)
        return identity.rpartition("/")[2]

    def is_controller(self, name: str, token: str) -> bool:
        """Whether a driver that shows this token is the controller of that name, and not another driver."""
        return self._proves(name, token)


class OpenDoor(Guard):
    """Admits everybody: for tests of what is behind the door, on loopback."""

    async def admit(self, context: Any, call: str) -> Role:
        return Role.DRIVER

    def name(self, context: Any) -> str:
        return ""

    def is_controller(self, name: str, token: str) -> bool:
        return True


def _certificate(context: Any) -> bytes | None:
    found: list[bytes] = context.auth_context().get("x509_pem_cert", [])
    return found[0] if found else None


def _identities(certificate: bytes) -> list[str]:
    names = x509.load_pem_x509_certificate(certificate).extensions
    try:
        found = names.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return found.get_values_for_type(x509.UniformResourceIdentifier)
