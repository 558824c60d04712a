"""About how large values are: what a report or a configuration may weigh before there is a better place for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__audition_internal__ = True

MOST_REPORTED = 1 << 20
MOST_CONFIGURED = 16 << 20
"""Bytes. Each is journaled, and sent from process to process."""

_NUMBERS = frozenset((float, int, bool, type(None)))


def weight(value: Any) -> int:
    """About how many bytes `value` takes as text, or where it cannot be text as a buffer; quick for small ones."""
    if type(value) in _NUMBERS:
        return 8
    if type(value) is str:
        return len(value)
    if isinstance(value, Mapping):
        return sum(8 + (len(key) if type(key) is str else 8) + weight(one) for key, one in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return sum(map(weight, value))
    if isinstance(value, bytes | bytearray):
        return len(value)
    size = getattr(value, "nbytes", 8)  # numpy's and torch's arrays
    return size if isinstance(size, int) else 8


def heaviest(values: Mapping[Any, Any]) -> Any:
    """The key under which most of `values` lies."""
    return max(values, key=lambda name: weight(values[name]))


def refused_config(config: Mapping[str, Any], whose: str) -> str:
    """Why `whose` configuration is too large, and what to do instead; empty when it is not."""
    bytes_ = weight(config)
    if bytes_ <= MOST_CONFIGURED:
        return ""
    return (
        f"{whose} holds {bytes_ / (1 << 20):.0f} MiB, most of it under {heaviest(config)!r}, and a configuration may"
        f" have {MOST_CONFIGURED >> 20}: give data with tune.with_parameters(train, name=data), or have trials load it"
    )
