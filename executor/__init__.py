"""Stateful actors, tasks and distributed objects on worker processes: ``import executor as ray``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from executor.errors import ExecutorError
    from executor.library.api import (
        as_completed,
        available_resources,
        cancel,
        cluster_resources,
        emit,
        exit_actor,
        get,
        get_actor,
        get_gpu_ids,
        get_runtime_context,
        init,
        is_initialized,
        kill,
        list_named_actors,
        nodes,
        put,
        remote,
        shutdown,
        stacks,
        status,
        wait,
    )
    from executor.library.handles import ActorHandle, method
    from executor.library.placement import PlacementGroup, placement_group, remove_placement_group
    from executor.library.refs import ObjectRef, ObjectRefGenerator
    from executor.util.actor_pool import ActorPool
    from executor.util.joblib import register_joblib
    from executor.util.queue import Queue

# Imported when they are asked for: `tune` needs the executor, and none of this.
_HOMES = {
    "executor.errors": ("ExecutorError",),
    "executor.library.api": (
        "as_completed", "available_resources", "cancel", "cluster_resources", "emit", "exit_actor", "get", "get_actor",
        "get_gpu_ids", "get_runtime_context", "init", "is_initialized", "kill", "list_named_actors", "nodes", "put",
        "remote", "shutdown", "stacks", "status", "wait",
    ),
    "executor.library.handles": ("ActorHandle", "method"),
    "executor.library.placement": ("PlacementGroup", "placement_group", "remove_placement_group"),
    "executor.library.refs": ("ObjectRef", "ObjectRefGenerator"),
    "executor.util.actor_pool": ("ActorPool",),
    "executor.util.joblib": ("register_joblib",),
    "executor.util.queue": ("Queue",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("actor", "exceptions", "futures", "multiprocessing", "util")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"executor.{name}")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'executor' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF, *_MODULES})


__all__ = [
    "init", "shutdown", "is_initialized", "remote", "method",
    "get", "put", "wait", "as_completed", "ObjectRef", "ObjectRefGenerator",
    "cancel", "kill", "exit_actor", "emit", "ActorHandle", "get_actor", "list_named_actors",
    "placement_group", "remove_placement_group", "PlacementGroup",
    "ActorPool", "Queue", "register_joblib",
    "nodes", "cluster_resources", "available_resources", "status", "stacks", "get_runtime_context", "get_gpu_ids",
    "ExecutorError",
]  # fmt: skip
