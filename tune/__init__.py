"""Hyperparameter tuning: `run` a function many times with different configurations, and lose nothing.

Each name is imported when it is first used, so that ``import tune`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schedulers import create_scheduler
    from searchers import (
        choice,
        constrained,
        create_searcher,
        describe,
        finrange,
        grid_search,
        logfinrange,
        lognormal,
        lograndint,
        loguniform,
        normal,
        ordinal,
        qlognormal,
        qlograndint,
        qloguniform,
        qrandint,
        qrandn,
        quniform,
        randint,
        randn,
        reverseloguniform,
        sample_from,
        uniform,
    )
    from tune.callback import Callback
    from tune.detached import DetachedRun
    from tune.doors import Tuner, resume, run
    from tune.errors import (
        CheckpointCorruptError,
        ExperimentBusyError,
        InvalidArgumentError,
        JournalCorruptError,
        MetricNotReportedError,
        NotAnExperimentError,
        NotInTrialError,
        NotRankZeroError,
        NotRebuildableError,
        NotReplayableError,
        NotReportableError,
        SearcherError,
        StorageNotSharedError,
        StorageUnreachableError,
        TrialFailedError,
        TuneError,
    )
    from tune.machine.stopping import CombinedStopper, FunctionStopper, MaximumIterationStopper, Stopper
    from tune.settings import CheckpointConfig, FailureConfig, RunConfig, TuneConfig
    from tune.simulation.curves import Curves
    from tune.simulation.door import SimulatedResults, simulate
    from tune.simulation.replay import Overheads
    from tune.storage.checkpoints import Checkpoint
    from tune.views.results import ExperimentAnalysis, Result, ResultGrid
    from tune.worker.api import TuneContext, get_checkpoint, get_context, report, should_stop
    from tune.worker.objective import TrialPruned
    from tune.worker.trainable import Trainable
    from tune.wrappers import Gang, PlacementGroupFactory, with_parameters, with_resources

_MODULES = {
    "schedulers": ("create_scheduler",),
    "searchers": (
        *("create_searcher", "uniform", "quniform", "loguniform", "qloguniform", "randn", "qrandn", "randint"),
        *("qrandint", "lograndint", "qlograndint", "choice", "sample_from", "grid_search"),
        *("reverseloguniform", "normal", "lognormal", "qlognormal", "finrange", "logfinrange", "ordinal"),
        *("constrained", "describe"),
    ),
    "tune.callback": ("Callback",),
    "tune.errors": (
        *("TuneError", "InvalidArgumentError", "MetricNotReportedError", "TrialFailedError", "SearcherError"),
        *("NotAnExperimentError", "ExperimentBusyError", "JournalCorruptError", "NotRebuildableError"),
        *(
            "CheckpointCorruptError",
            "NotInTrialError",
            "NotRankZeroError",
            "NotReplayableError",
            "NotReportableError",
            "StorageNotSharedError",
            "StorageUnreachableError",
        ),
    ),
    "tune.machine.stopping": ("Stopper", "CombinedStopper", "FunctionStopper", "MaximumIterationStopper"),
    "tune.detached": ("DetachedRun",),
    "tune.doors": ("run", "resume", "Tuner"),
    "tune.settings": ("TuneConfig", "RunConfig", "CheckpointConfig", "FailureConfig"),
    "tune.simulation.curves": ("Curves",),
    "tune.simulation.door": ("simulate", "SimulatedResults"),
    "tune.simulation.replay": ("Overheads",),
    "tune.storage.checkpoints": ("Checkpoint",),
    "tune.views.results": ("ResultGrid", "Result", "ExperimentAnalysis"),
    "tune.worker.api": ("report", "get_checkpoint", "get_context", "should_stop", "TuneContext"),
    "tune.worker.objective": ("TrialPruned",),
    "tune.worker.trainable": ("Trainable",),
    "tune.wrappers": ("with_parameters", "with_resources", "PlacementGroupFactory", "Gang"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
__all__ = ["create_scheduler", "create_searcher", "uniform", "quniform", "loguniform", "qloguniform", "randn"]
__all__ += ["qrandn", "randint", "qrandint", "lograndint", "qlograndint", "choice", "sample_from", "grid_search"]
__all__ += ["reverseloguniform", "normal", "lognormal", "qlognormal", "finrange", "logfinrange", "ordinal"]
__all__ += ["constrained", "describe"]
__all__ += ["Callback", "TuneError", "InvalidArgumentError", "MetricNotReportedError", "TrialFailedError"]
__all__ += [
    "SearcherError",
    "NotAnExperimentError",
    "ExperimentBusyError",
    "JournalCorruptError",
    "NotRebuildableError",
    "NotReplayableError",
]
__all__ += [
    "CheckpointCorruptError",
    "NotInTrialError",
    "NotReportableError",
    "StorageNotSharedError",
    "StorageUnreachableError",
    "NotRankZeroError",
    "Stopper",
    "CombinedStopper",
    "FunctionStopper",
    "MaximumIterationStopper",
]
__all__ += ["run", "resume", "Tuner", "TuneConfig", "RunConfig", "CheckpointConfig", "FailureConfig", "Checkpoint"]
__all__ += ["ResultGrid", "Result", "ExperimentAnalysis", "report", "get_checkpoint", "get_context", "should_stop"]
__all__ += ["TuneContext", "TrialPruned", "Trainable", "with_parameters", "with_resources", "PlacementGroupFactory"]
__all__ += ["Gang", "DetachedRun"]
__all__ += ["simulate", "Curves", "Overheads", "SimulatedResults"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tune' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
