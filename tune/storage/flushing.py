"""Files and directories flushed to the disk, so that they outlive a loss of power."""

from __future__ import annotations

import os
from pathlib import Path

__audition_internal__ = True


def flush_tree(folder: Path) -> None:
    """Flush all files below `folder`, then the directories that name them."""
    for path, _, names in os.walk(folder, topdown=False):
        for name in names:
            flush(Path(path, name))
        flush(Path(path))


def flush_up(folder: Path, top: Path) -> None:
    """Flush `folder` and the directories it is in, as far as `top`: each is named in the next."""
    flush(folder)
    while folder != top:
        folder = folder.parent
        flush(folder)


def flush(path: Path) -> None:
    """Flush one file, or a directory's list of names."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
