"""Ray's `ray.util`: what is built on tasks and actors."""

from importlib import import_module
from typing import Any

from executor.library.api import list_named_actors
from executor.util.actor_pool import ActorPool
from executor.util.completion import as_completed, map_unordered

# The function, as in Ray, and not the module of the same name: imported here, it is what `util.placement_group` is.
from executor.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from executor.util.serializability import inspect_serializability

_MODULES = ("joblib", "multiprocessing", "queue", "scheduling_strategies")


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'executor.util' has no attribute {name!r}")
    return import_module(f"executor.util.{name}")


__all__ = [
    "ActorPool", "as_completed", "map_unordered", "inspect_serializability", "list_named_actors",
    "PlacementGroup", "placement_group", "placement_group_table", "remove_placement_group",
]  # fmt: skip
