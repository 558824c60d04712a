"""Which trial goes on, which pauses, which stops: plain objects, useful alone.

Each name is imported when it is first used, so that ``import schedulers`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schedulers.allocation import DistributeResources, DistributeResourcesToTopJob, Holdings
    from schedulers.asha import ASHAScheduler, AsyncHyperBandScheduler
    from schedulers.auto import AutoScheduler
    from schedulers.base import (
        Candidates,
        Continue,
        Decision,
        Decisions,
        Exploit,
        Pause,
        Resize,
        Save,
        ScheduleContext,
        Stop,
        Trial,
        TrialScheduler,
    )
    from schedulers.fifo import FIFOScheduler
    from schedulers.hb_bohb import HyperBandForBOHB
    from schedulers.hyperband import HyperBandScheduler
    from schedulers.median import MedianStoppingRule
    from schedulers.pasha import PASHAScheduler
    from schedulers.pb2 import PB2
    from schedulers.pbt import PopulationBasedTraining
    from schedulers.registry import SCHEDULERS, create_scheduler
    from schedulers.replay import PopulationBasedTrainingReplay
    from schedulers.resizing import ResourceChangingScheduler

__all__ = ["ASHAScheduler", "AsyncHyperBandScheduler", "AutoScheduler", "FIFOScheduler"]
__all__ += ["HyperBandForBOHB", "HyperBandScheduler", "MedianStoppingRule", "PASHAScheduler"]
__all__ += ["PB2", "PopulationBasedTraining", "PopulationBasedTrainingReplay"]
__all__ += ["DistributeResources", "DistributeResourcesToTopJob", "Holdings", "ResourceChangingScheduler"]
__all__ += ["Candidates", "Decision", "Decisions", "ScheduleContext", "Trial", "TrialScheduler"]
__all__ += ["Continue", "Exploit", "Pause", "Resize", "Save", "Stop"]
__all__ += ["SCHEDULERS", "create_scheduler"]

_MODULES = {
    "schedulers.asha": ("ASHAScheduler", "AsyncHyperBandScheduler"),
    "schedulers.allocation": ("DistributeResources", "DistributeResourcesToTopJob", "Holdings"),
    "schedulers.auto": ("AutoScheduler",),
    "schedulers.fifo": ("FIFOScheduler",),
    "schedulers.hb_bohb": ("HyperBandForBOHB",),
    "schedulers.hyperband": ("HyperBandScheduler",),
    "schedulers.median": ("MedianStoppingRule",),
    "schedulers.pasha": ("PASHAScheduler",),
    "schedulers.pb2": ("PB2",),
    "schedulers.pbt": ("PopulationBasedTraining",),
    "schedulers.replay": ("PopulationBasedTrainingReplay",),
    "schedulers.resizing": ("ResourceChangingScheduler",),
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
