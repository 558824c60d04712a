"""What ends a trial, or the whole experiment, by Ray Tune's names: ``tune.run(stop=...)``.

They are joined by ``|`` (any) and ``&`` (all), also with dictionaries of thresholds and plain functions.
"""

from __future__ import annotations

from typing import Any

from tune.errors import nearest
from tune.machine.improving import (
    ExperimentPlateauStopper,
    NoImprovementStopper,
    TargetStopper,
    TrialPlateauStopper,
)
from tune.machine.stopping import (
    AllStopper,
    CombinedStopper,
    FunctionStopper,
    MaximumIterationStopper,
    NoopStopper,
    Stopper,
    ThresholdStopper,
    TimeoutStopper,
)

__all__ = ["AllStopper", "CombinedStopper", "ExperimentPlateauStopper", "FunctionStopper", "MaximumIterationStopper"]
__all__ += ["NoImprovementStopper", "NoopStopper", "Stopper", "TargetStopper", "ThresholdStopper", "TimeoutStopper"]
__all__ += ["STOPPERS", "TrialPlateauStopper", "create_stopper"]

STOPPERS = {
    "maximum_iteration": "tune.stopper:MaximumIterationStopper",
    "timeout": "tune.stopper:TimeoutStopper",
    "target": "tune.stopper:TargetStopper",
    "trial_plateau": "tune.stopper:TrialPlateauStopper",
    "experiment_plateau": "tune.stopper:ExperimentPlateauStopper",
    "no_improvement": "tune.stopper:NoImprovementStopper",
}
"""The stoppers by the names that sweep files use."""


def create_stopper(name: str, **arguments: Any) -> Stopper:
    """The stopper called `name` in `STOPPERS`, built with `arguments`.

    Raises:
        ValueError: there is none of that name, or the arguments cannot work.
        TypeError: it takes no such arguments.
    """
    if name not in STOPPERS:
        raise ValueError(f"there is no stopper {name!r}{nearest(name, STOPPERS)}")
    kind: type[Stopper] = globals()[STOPPERS[name].partition(":")[2]]
    return kind(**arguments)
