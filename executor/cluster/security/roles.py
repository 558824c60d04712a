"""What each role may call. Whoever has no certificate of the cluster's own authority may call nothing."""

from __future__ import annotations

from enum import StrEnum

SCHEME = "audition"


class Role(StrEnum):
    """What a certificate is good for."""

    DRIVER = "driver"
    """Runs experiments: may run any code on any node."""
    AGENT = "agent"
    """Runs what it is told on its own node, and reports."""
    VIEWER = "viewer"
    """Looks."""


ALLOWED: dict[str, frozenset[Role]] = {
    "Drive": frozenset({Role.DRIVER}),
    "Serve": frozenset({Role.AGENT}),
    "Status": frozenset({Role.DRIVER, Role.VIEWER}),
    "Drain": frozenset({Role.DRIVER}),
    "Submit": frozenset({Role.DRIVER}),
    "End": frozenset({Role.DRIVER}),
    "Forget": frozenset({Role.DRIVER}),
    "Stop": frozenset({Role.DRIVER}),
    "Invite": frozenset({Role.DRIVER}),
    "Renew": frozenset(Role),
    "Died": frozenset({Role.AGENT}),
}
"""The roles that may make each call."""


def identity(role: Role, name: str) -> str:
    """How a certificate says whose it is."""
    return f"{SCHEME}://{role}/{name}"


def role_of(identities: list[str]) -> Role | None:
    """The role in a certificate's names; None when there is none, or more than one."""
    found = {text.removeprefix(f"{SCHEME}://").partition("/")[0] for text in identities if text.startswith(SCHEME)}
    if len(found) != 1:
        return None
    (text,) = found
    return Role(text) if text in list(Role) else None
