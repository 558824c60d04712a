"""What every scheduler is put through: arguments for each short name, small enough that all it can do happens soon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schedulers import TrialScheduler, create_scheduler

_PBT = {
    "time_attr": "training_iteration",
    "perturbation_interval": 2,
    "hyperparam_mutations": {"x": [1, 2, 3]},
    "require_attrs": False,
}

_PB2 = {
    "time_attr": "training_iteration",
    "perturbation_interval": 2,
    "hyperparam_bounds": {"x": [0.0, 3.0]},
    "require_attrs": False,
}

ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "fifo": [{}],
    "asha": [
        {"max_t": 9, "reduction_factor": 3},
        {"max_t": 9, "reduction_factor": 2, "brackets": 2, "type": "promotion"},
        {"max_t": 6, "reduction_factor": 2, "stop_last_trials": False, "type": "promotion"},
    ],
    "async_hyperband": [{"max_t": 9, "grace_period": 2}],
    "asynchyperband": [{"max_t": 9}],
    "hyperband": [{"max_t": 9}, {"max_t": 7, "reduction_factor": 2, "stop_last_trials": False}],
    "hb_bohb": [{"max_t": 9}, {"max_t": 8, "reduction_factor": 2}],
    "median_stopping_rule": [
        {"time_attr": "training_iteration", "grace_period": 2},
        {"time_attr": "training_iteration", "grace_period": 1, "min_time_slice": 2},
        {"time_attr": "training_iteration", "grace_period": 1, "min_time_slice": 1, "hard_stop": False},
    ],
    "medianstopping": [{"grace_period": 0.5, "min_samples_required": 2, "hard_stop": False}],
    "pbt": [{**_PBT}, {**_PBT, "synch": True}],
    "pbt_replay": [{"policy": [(0, {"x": 1}), (3, {"x": 2}), (5, {"x": 3})]}],
    "pb2": [{**_PB2}, {**_PB2, "synch": True}],
    "resource_changing": [{}, {"base_scheduler": ("hyperband", {"max_t": 9})}],
    "auto": [{"max_t": 9}, {"max_t": 9, "reduction_factor": 2}],
    "pasha": [{"max_t": 9, "reduction_factor": 2}],
}
"""By short name: every one has at least one entry."""

Build = Callable[[], TrialScheduler]


def _build(name: str, arguments: dict[str, Any]) -> Build:
    """A base scheduler is given by its name and arguments, and made anew each time."""

    def build() -> TrialScheduler:
        base = arguments.get("base_scheduler")
        own = {"base_scheduler": create_scheduler(base[0], **base[1])} if base else {}
        return create_scheduler(name, **{**arguments, **own})

    return build


SLOW = frozenset({"pb2"})
"""Those that fit a model at each decision: put through the same, but seldom, in the long tests."""

_ALL: dict[str, Build] = {
    f"{name}-{number}": _build(name, arguments)
    for name, variants in ARGUMENTS.items()
    for number, arguments in enumerate(variants)
}
BUILDS = {name: build for name, build in _ALL.items() if name.rsplit("-", 1)[0] not in SLOW}
SLOW_BUILDS = {name: build for name, build in _ALL.items() if name not in BUILDS}
"""How to make each of them."""
