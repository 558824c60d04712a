"""What of `init`'s `runtime_env` is sent to a cluster's nodes, and what is left to be set up for each call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from executor.hosting.runtime_env import RuntimeEnv
from executor.library.surroundings import module_path

_OF_CALLS = ("env_vars", "worker_process_setup_hook")


def sent_of(runtime_env: Mapping[str, Any] | None) -> RuntimeEnv:
    """Its code and variables, which all workers on nodes have; it was checked before."""
    given = runtime_env or {}
    folder = given.get("working_dir")
    return RuntimeEnv(
        working_dir=None if folder is None else Path(folder).absolute(),
        py_modules=tuple(map(module_path, given.get("py_modules") or ())),
        env_vars=dict(given.get("env_vars") or {}),
        excludes=tuple(given.get("excludes") or ()),
    )


def left_of(runtime_env: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What calls have by default, as on one machine."""
    return {name: value for name, value in (runtime_env or {}).items() if name in _OF_CALLS} or None
