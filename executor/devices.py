"""Which gpus of this machine go to which reservation: whole ones alone, fractions sharing one."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any, Self

_log = logging.getLogger(__name__)

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
    more = (name for name in map(str, itertools.count()) if name not in found)
    return tuple(itertools.islice(itertools.chain(found, more), ceil(count)))


def discover(device_files: Path = Path("/dev")) -> tuple[str, ...]:
    """The names of this machine's gpus, as ``CUDA_VISIBLE_DEVICES`` knows them; loads nothing where there are none.

    Those that have fallen off the bus or need a reset are left out with a warning, and so are all when the driver
    does not answer.
    """
    if not (device_files / "nvidiactl").exists():
        return ()
    there = sum(file.name[6:].isdigit() for file in device_files.glob("nvidia*"))
    try:
        import pynvml  # nvidia-ml-py; the device files say nearly as much without it
    except ImportError:
        return _visible(there)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:  # as in containers that are only given what computes
            return _visible(there)
        _log.warning("no gpu is used: NVIDIA's driver does not answer: %s", error)
        return ()
    try:
        return tuple(name for name in _visible(int(pynvml.nvmlDeviceGetCount())) if not _is_lost(pynvml, name))
    finally:
        pynvml.nvmlShutdown()


def _visible(count: int) -> tuple[str, ...]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(map(str, range(count)))
    return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1"))[:count]


def _is_lost(pynvml: Any, name: str) -> bool:
    """Whether the driver says so; of a name that it does not know, as a shortened one, it says nothing."""
    try:
        by_index, by_uuid = pynvml.nvmlDeviceGetHandleByIndex, pynvml.nvmlDeviceGetHandleByUUID
        device = by_index(int(name)) if name.isdigit() else by_uuid(name)
        pynvml.nvmlDeviceGetMemoryInfo(device)
    except pynvml.NVMLError as error:
        lost: bool = error.value in (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED)
        if lost:
            _log.warning("gpu %s is not used: %s", name, error)
        return lost
    return False
