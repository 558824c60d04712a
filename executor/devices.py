"""Which gpus of this machine go to which reservation: whole ones alone, fractions sharing one."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
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
        self._withheld: frozenset[str] = frozenset()

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
        there = {name: free for name, free in self._free.items() if name not in self._withheld}
        taken = [(name, _UNIT) for name, free in there.items() if free == _UNIT][:whole]
        if len(taken) < whole:
            return None
        if fraction:
            rest = {name: free for name, free in there.items() if (name, _UNIT) not in taken and free >= fraction}
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

    def withhold(self, names: Collection[str]) -> None:
        """Give no part of these devices from now on, but of all others."""
        self._withheld = frozenset(names)

    @property
    def withheld(self) -> float:
        """How much is free, and is not given."""
        return sum(free for name, free in self._free.items() if name in self._withheld) / _UNIT


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
    there = _visible(sum(file.name[6:].isdigit() for file in device_files.glob("nvidia*")))
    try:
        with _nvml(device_files) as pynvml:
            if pynvml is None:
                return there
            found = {name: _why_lost(pynvml, name) for name in _visible(int(pynvml.nvmlDeviceGetCount()))}
    except _UnansweredError as error:
        _log.warning("no gpu is used: NVIDIA's driver does not answer: %s", error)
        return ()
    for name, why in found.items():
        if why:
            _log.warning("gpu %s is not used: %s", name, why)
    return tuple(name for name, why in found.items() if not why)


def lost(names: Sequence[str], device_files: Path = Path("/dev"), within_s: float = 10.0) -> dict[str, str]:
    """Those of these gpus that cannot be used just now, and why. All, when the driver says nothing `within_s`."""
    told: list[dict[str, str]] = []
    # A driver in trouble may never answer: whoever asked it is then left behind.
    asking = threading.Thread(target=lambda: told.append(_lost(names, device_files)), name="audition-nvml", daemon=True)
    asking.start()
    asking.join(within_s)
    return told[0] if told else dict.fromkeys(names, f"NVIDIA's driver did not answer within {within_s:g} s")


def _lost(names: Sequence[str], device_files: Path) -> dict[str, str]:
    try:
        with _nvml(device_files) as pynvml:
            found = {} if pynvml is None else {name: _why_lost(pynvml, name) for name in names}
    except _UnansweredError as error:
        return dict.fromkeys(names, f"NVIDIA's driver does not answer: {error}")
    return {name: why for name, why in found.items() if why}


class _UnansweredError(Exception):
    """NVIDIA's driver is there, and does not answer."""


@contextmanager
def _nvml(device_files: Path) -> Iterator[Any]:
    """The binding of the driver's own library; None where there is none, as the device files say nearly as much."""
    if not (device_files / "nvidiactl").exists():
        yield None
        return
    try:
        import pynvml  # nvidia-ml-py
    except ImportError:
        yield None
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value != pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            raise _UnansweredError(str(error)) from None
        yield None  # as in containers that are only given what computes
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def _visible(count: int) -> tuple[str, ...]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(map(str, range(count)))
    return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1"))[:count]


def _why_lost(pynvml: Any, name: str) -> str:
    """Why the driver says so, if it does; of a name that it does not know, as a shortened one, it says nothing."""
    try:
        by_index, by_uuid = pynvml.nvmlDeviceGetHandleByIndex, pynvml.nvmlDeviceGetHandleByUUID
        device = by_index(int(name)) if name.isdigit() else by_uuid(name)
        pynvml.nvmlDeviceGetMemoryInfo(device)
    except pynvml.NVMLError as error:
        return str(error) if error.value in (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED) else ""
    return ""
