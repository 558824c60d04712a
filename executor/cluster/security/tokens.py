"""Tokens that let a newcomer in once, and the line in which one is handed over."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from executor.cluster.security.roles import Role
from executor.errors import ClusterError

VALID_S = 15 * 60.0

_TOKEN = re.compile(r"([0-9a-f]{8})\.([0-9a-f]{32})")
_PIN = re.compile(r"sha256:[0-9a-f]{64}")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


class TokenRefusedError(Exception):
    """Why a token lets nobody in, for the head's log; who sent it is told no more than that it does not."""


@dataclass(slots=True)
class _Issued:
    digest: bytes
    role: Role
    until: float


class Tokens:
    """The tokens that were given out and not used. Only their digests are kept."""

    def __init__(self) -> None:
        self._issued: dict[str, _Issued] = {}

    def issue(self, role: Role, now: float, valid_s: float = VALID_S) -> str:
        """A new token that earns one certificate for `role`."""
        number, secret = secrets.token_hex(4), secrets.token_hex(16)
        self._issued = {key: one for key, one in self._issued.items() if one.until > now}
        self._issued[number] = _Issued(_digest(secret), role, now + valid_s)
        return f"{number}.{secret}"

    def redeem(self, token: str, now: float) -> Role:
        """The role that a token earns; it is used up by that.

        Raises:
            TokenRefusedError: it is none of ours, too old, or was used before.
        """
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise TokenRefusedError("malformed")
        number, secret = match.groups()
        issued = self._issued.get(number)
        if issued is None:
            raise TokenRefusedError(f"unknown, or used before: {number}")
        if not hmac.compare_digest(issued.digest, _digest(secret)):
            raise TokenRefusedError(f"wrong secret: {number}")
        del self._issued[number]
        if now >= issued.until:
            raise TokenRefusedError(f"expired: {number}")
        return issued.role


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a newcomer needs: where to knock, what earns a certificate, and whose key must answer."""

    host: str
    port: int
    pin: str
    token: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.token}/{self.pin}"

    @classmethod
    def parse(cls, text: str) -> Invitation:
        """From the text that `str` made.

        Raises:
            ClusterError: it is not whole. The token is not repeated.
        """
        parts = text.strip().split("/")
        where = _ADDRESS.fullmatch(parts[0])
        if len(parts) != 3 or where is None or not _TOKEN.fullmatch(parts[1]) or not _PIN.fullmatch(parts[2]):
            raise ClusterError(
                "this is no invitation: one looks like HOST:PORT/TOKEN/sha256:PIN, as `audition cluster invite` "
                "prints it; copy all of it"
            )
        return cls(where[1], int(where[2]), parts[2], parts[1])


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
