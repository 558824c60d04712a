"""The schedulers by the names that configuration files use."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from typing import Any

from schedulers.base import TrialScheduler

SCHEDULERS = {
    "fifo": "schedulers.fifo:FIFOScheduler",
    "asha": "schedulers.asha:ASHAScheduler",
    "async_hyperband": "schedulers.asha:AsyncHyperBandScheduler",
    "asynchyperband": "schedulers.asha:AsyncHyperBandScheduler",
    "auto": "schedulers.auto:AutoScheduler",
    "hyperband": "schedulers.hyperband:HyperBandScheduler",
    "hb_bohb": "schedulers.hb_bohb:HyperBandForBOHB",
    "median_stopping_rule": "schedulers.median:MedianStoppingRule",
    "medianstopping": "schedulers.median:MedianStoppingRule",
    "pasha": "schedulers.pasha:PASHAScheduler",
    "pbt": "schedulers.pbt:PopulationBasedTraining",
    "pbt_replay": "schedulers.replay:PopulationBasedTrainingReplay",
    "pb2": "schedulers.pb2:PB2",
    "resource_changing": "schedulers.resizing:ResourceChangingScheduler",
}


def create_scheduler(name: str, **kwargs: Any) -> TrialScheduler:
    """The scheduler called `name` in `SCHEDULERS`, built with `kwargs`.

    Raises:
        ValueError: there is no such scheduler, it takes no such arguments, or their values cannot work.
    """
    if name not in SCHEDULERS:
        raise ValueError(f"there is no scheduler {name!r}{_nearest(name, list(SCHEDULERS))}")
    module, class_name = SCHEDULERS[name].split(":")
    cls: type[TrialScheduler] = getattr(import_module(module), class_name)
    # Not signature(cls): of a class without a constructor that tells the base's __new__, which takes anything.
    taken = [] if cls.__init__ is object.__init__ else list(signature(cls.__init__).parameters)[1:]
    unknown = [f"{key!r}{_nearest(key, taken)}" for key in kwargs if key not in taken]
    if unknown:
        raise ValueError(f"scheduler {name!r} takes no argument {'; nor '.join(unknown)}")
    return cls(**kwargs)


def _nearest(word: str, known: list[str]) -> str:
    if not known:
        return ": it takes none"
    begun = [other for other in known if other.startswith(word)]
    if near := begun or get_close_matches(word, known, n=1):
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(known)}"
