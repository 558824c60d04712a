"""From an address to an executor."""

from __future__ import annotations

from typing import Any

from executor.interface import TrialExecutor
from executor.local import LocalExecutor

_KINDS = {"local": LocalExecutor}


def connect(address: str | TrialExecutor = "local", **options: Any) -> TrialExecutor:
    """The executor at `address`, made with `options`; one that is made already is passed through.

    Raises:
        ValueError: there is no such address, or options were given for an executor that is made already.
    """
    if isinstance(address, TrialExecutor):
        if options:
            raise ValueError(f"the executor is made already, so it cannot take {', '.join(options)}")
        return address
    if address not in _KINDS:
        known = ", ".join(map(repr, _KINDS))
        raise ValueError(f"no executor at {address!r}: there is {known}; or pass an executor of your own")
    return _KINDS[address](**options)
