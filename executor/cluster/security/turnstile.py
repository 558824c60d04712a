"""Who may knock at the door: how many at once, how often, and how often with an invitation that is none. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers may take. Of IPv6 the 64 bits that one customer is given count as one address."""

    at_once: int = 200
    at_once_of_one: int = 50
    knocks_a_minute: int = 600
    """Of one address; many nodes may come from behind one."""
    wrong_a_minute: int = 10
    """Invitations of one address that let nobody in; then the address waits for the next minute."""
    addresses: int = 10_000
    """Remembered in a minute; who comes after so many waits for the next."""


@dataclass(slots=True)
class _Address:
    since: float
    knocks: int = 0
    wrong: int = 0
    inside: int = 0


class Turnstile:
    """Counts those who come and go."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._known: dict[str, _Address] = {}
        self._inside = 0
        self._swept_at = 0.0

    def enter(self, address: str, now: float) -> str:
        """Somebody knocks; why he is turned away, nothing when he may come in."""
        limits = self._limits
        key = _network(address)
        known = self._known.get(key)
        if known is None:
            self._sweep(now)
            if len(self._known) >= limits.addresses:
                return "too many different addresses knock"
            known = self._known[key] = _Address(now)
        elif now - known.since >= _MINUTE_S:
            known.since, known.knocks, known.wrong = now, 0, 0
        known.knocks += 1
        if known.wrong >= limits.wrong_a_minute:
            return f"{known.wrong} invitations within a minute that let nobody in"
        if known.knocks > limits.knocks_a_minute:
            return f"more than {limits.knocks_a_minute} knocks within a minute"
        if known.inside >= limits.at_once_of_one or self._inside >= limits.at_once:
            return "too many at once"
        known.inside += 1
        self._inside += 1
        return ""

    def leave(self, address: str, *, wrong: bool = False) -> None:
        """Somebody who came in is gone; whether with an invitation that let nobody in."""
        known = self._known[_network(address)]
        known.inside -= 1
        known.wrong += wrong
        self._inside -= 1

    def _sweep(self, now: float) -> None:
        """Forget who has not come for a minute."""
        if now - self._swept_at >= _MINUTE_S:
            self._swept_at = now
            self._known = {key: one for key, one in self._known.items() if one.inside or now - one.since < _MINUTE_S}


def _network(address: str) -> str:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
