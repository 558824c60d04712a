"""What ends a trial, or the whole experiment, by Ray Tune's names: ``tune.run(stop=...)``.

They are joined by ``|`` (any) and ``&`` (all), also with dictionaries of thresholds and plain functions.
"""

from __future__ import annotations

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
__all__ += ["TrialPlateauStopper"]
