"""Options that tasks and actors share: where to run, and which exceptions are worth another try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from executor.library.placement import PlacementGroup, PlacementGroupSchedulingStrategy
from executor.library.plans import Spot
from executor.library.refs import number_of
from executor.pickling import dump


def placed(options: Mapping[str, Any]) -> tuple[Spot | None, bool]:
    """The place in a placement group, and whether a call from inside one may be put beside its parent.

    Raises:
        ValueError: it is none of what there is.
    """
    strategy = options.get("scheduling_strategy")
    group, bundle = options.get("placement_group"), options.get("placement_group_bundle_index", -1)
    captures = options.get("placement_group_capture_child_tasks", True)
    if isinstance(strategy, PlacementGroupSchedulingStrategy):
        group, bundle = strategy.placement_group, strategy.placement_group_bundle_index
        captures = strategy.placement_group_capture_child_tasks
    elif strategy not in (None, "DEFAULT", "SPREAD"):
        raise ValueError(
            f"scheduling_strategy must be 'DEFAULT', 'SPREAD' or a PlacementGroupSchedulingStrategy, got {strategy!r}"
        )
    if group in (None, "default"):
        return None, group is None and "placement_group" not in options
    if not isinstance(group, PlacementGroup):
        raise ValueError(f"placement_group must be what executor.placement_group returned, got {group!r}")
    if isinstance(bundle, bool) or not isinstance(bundle, int) or not -1 <= bundle < group.bundle_count:
        raise ValueError(f"placement_group_bundle_index must be -1 to {group.bundle_count - 1}, got {bundle!r}")
    return Spot(number_of(group.ref), bundle, bool(captures)), False


def strategy_of(options: Mapping[str, Any], otherwise: str = "PACK") -> str:
    """How one bundle finds its node: spread over them where that is asked for, by default as little as can be."""
    given = options.get("scheduling_strategy")
    return given if given == "SPREAD" else otherwise


def retried(options: Mapping[str, Any]) -> bool | bytes:
    """Which exceptions are worth another try: none, all, or those of some classes, pickled.

    Raises:
        ValueError: it is neither a bool nor a list of classes of exceptions.
    """
    given = options.get("retry_exceptions", False)
    if isinstance(given, bool) or given is None:
        return bool(given)
    kinds = tuple(given) if isinstance(given, Sequence) else (given,)
    if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        raise ValueError(f"retry_exceptions must be True, False or a list of classes of exceptions, got {given!r}")
    return dump(kinds)
