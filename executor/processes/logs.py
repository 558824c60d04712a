"""The files that workers print into: their last lines, their size cap, and none left behind that are empty."""

from __future__ import annotations

import os
from contextlib import suppress

TAIL_LINES = 20

_TAIL_BYTES = 8192
_KEPT_SHARE = 10


def tail(path: str | None) -> str:
    """The last lines of the file, as many as an error message can bear."""
    if path is None:
        return ""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def remove_if_empty(path: str) -> None:
    """Remove the file if nothing was ever printed into it."""
    with suppress(OSError):
        if os.stat(path).st_size == 0:
            os.unlink(path)


def cut(path: str, cap_bytes: int) -> None:
    """Keep only the last tenth of a file larger than `cap_bytes`.

    Its writers append, so that they go on behind what is kept; what they print during the cut may be lost.
    """
    try:
        if os.stat(path).st_size <= cap_bytes:
            return
        with open(path, "r+b", buffering=0) as file:
            file.seek(-(cap_bytes // _KEPT_SHARE), os.SEEK_END)
            kept = file.read()
            file.truncate(0)
        with open(path, "ab", buffering=0) as file:
            file.write(b"[... earlier output was dropped: the log had outgrown %d bytes ...]\n" % cap_bytes + kept)
    except OSError:
        return  # removed or read-only: then there is nothing that we could cut
