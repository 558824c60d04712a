"""Which trial goes on, which pauses, which stops: plain objects, useful alone.

Each name is imported when it is first used, so that ``import schedulers`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schedulers.asha import ASHAScheduler, AsyncHyperBandScheduler
    from schedulers.auto import AutoScheduler
    from schedulers.base import (
        Candidates,
        Continue,
        Decision,
        Pause,
        Save,
        ScheduleContext,
        Stop,
        Trial,
        TrialScheduler,
    )
    from schedulers.fifo import FIFOScheduler
    from schedulers.registry import SCHEDULERS, create_scheduler

__all__ = ["ASHAScheduler", "AsyncHyperBandScheduler", "AutoScheduler", "FIFOScheduler"]
__all__ += ["Candidates", "Decision", "ScheduleContext", "Trial", "TrialScheduler"]
__all__ += ["Continue", "Pause", "Save", "Stop"]
__all__ += ["SCHEDULERS", "create_scheduler"]

_MODULES = {
    "schedulers.asha": ("ASHAScheduler", "AsyncHyperBandScheduler"),
    "schedulers.auto": ("AutoScheduler",),
    "schedulers.fifo": ("FIFOScheduler",),
    "schedulers.registry": ("SCHEDULERS", "create_scheduler"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}  # the rest lives in schedulers.base


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'schedulers' has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "schedulers.base")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
