"""The code of a `runtime_env` as it is sent to a cluster's nodes."""

from __future__ import annotations

from pathlib import Path

from executor.hosting.runtime_env import RuntimeEnv, Shipped
from executor.library.plans import Code


def packed(code: Code) -> tuple[Shipped, ...]:
    """What is sent of it, the folder first.

    Raises:
        ValueError: a package would be too large, or is empty.
        OSError: something cannot be read.
    """
    folder = None if code.folder is None else Path(code.folder)
    return RuntimeEnv(folder, tuple(map(Path, code.modules)), excludes=code.excludes).packed()
