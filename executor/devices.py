"""Which gpus of this machine go to which reservation: whole ones alone, fractions sharing one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import ceil
from typing import Self

_UNIT = 10_000

Shares = tuple[tuple[str, int], ...]
"""Devices by name, and how much of each, in 1/10,000."""


class Devices:
    """Named devices and how much of each is free.

    The amounts of a node say how much there is in all; this says whether it lies on devices in the right pieces.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._free = dict.fromkeys(names, _UNIT)

    @classmethod
    def of_shares(cls, shares: Shares) -> Self:
        """The devices, or parts of them, that were taken elsewhere."""
        devices = cls(())
        devices._free = dict(shares)
        return devices

    def take(self, amount: float) -> Shares | None:
        """Shares of devices that make `amount`: that many whole ones, and for a fraction the fullest that has it.

        None when the devices that are free just now do not have it in these pieces.
        """
        whole, fraction = divmod(round(amount * _UNIT), _UNIT)
        taken = [(name, _UNIT) for name, free in self._free.items() if free == _UNIT][:whole]
        if len(taken) < whole:
            return None
        if fraction:
            rest = {name: free for name, free in self._free.items() if (name, _UNIT) not in taken and free >= fraction}
            if not rest:
                return None
            taken.append((min(rest, key=rest.__getitem__), fraction))
        for name, share in taken:
            self._free[name] -= share
        return tuple(taken)

    def take_these(self, shares: Shares) -> None:
        """Take shares that were taken from devices of these names before."""
        for name, share in shares:
            self._free[name] -= share

    def give_back(self, shares: Shares) -> None:
        """Free what `take` gave."""
        for name, share in shares:
            self._free[name] += share


def names(count: float | None) -> tuple[str, ...]:
    """The names of `count` gpus, of all there are by default; more than there are count on, for tests without any."""
    found = discover()
    if count is None:
        return found
    return tuple(found[index] if index < len(found) else str(index) for index in range(ceil(count)))


def discover() -> tuple[str, ...]:
    """The names of this machine's gpus, as ``CUDA_VISIBLE_DEVICES`` knows them; loads nothing where there are none."""
    if not os.path.exists("/dev/nvidiactl"):
        return ()
    count = _count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(map(str, range(count)))
    return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1"))[:count]


def _count() -> int:
    try:
        import pynvml  # nvidia-ml-py; the device files say nearly as much without it
    except ImportError:
        return sum(name.startswith("nvidia") and name[6:].isdigit() for name in os.listdir("/dev"))
    pynvml.nvmlInit()
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()
