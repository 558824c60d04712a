"""What processes print, read from their logs as they grow, to be shown where the caller is."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from executor.hosting.messages import Printed

_MOST_AT_ONCE = 4 * 2**20


@dataclass(slots=True)
class _Followed:
    call_id: str
    path: Path
    told: int = 0

    def fresh(self) -> bytes:
        """What was printed since the last time; of very much only the end."""
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                begin = self.told if self.told <= size else 0  # it had outgrown its cap, and was cut
                skipped = max(0, size - begin - _MOST_AT_ONCE)
                file.seek(begin + skipped)
                text = file.read(size - begin - skipped)
        except OSError:
            return b""
        self.told = size
        return b"[... %d bytes are not shown ...]\n" % skipped + text if skipped else text


class Prints:
    """The logs of calls, in `folder`, until the process that prints there is gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._followed: dict[str, _Followed] = {}
        self._calls: defaultdict[int, list[str]] = defaultdict(list)

    def __bool__(self) -> bool:
        return bool(self._followed)

    def follow(self, call_id: str, process: int) -> str:
        """Where a call that begins in `process` is to print."""
        followed = self._followed[call_id] = _Followed(call_id, self._folder / f"{next(self._numbers)}.log")
        self._calls[process].append(call_id)
        return str(followed.path)

    def fresh(self) -> list[Printed]:
        """What all have printed since the last time."""
        return [printed for call_id in list(self._followed) for printed in self.fresh_of(call_id)]

    def fresh_of(self, call_id: str) -> list[Printed]:
        """What one call has printed since the last time, if anything."""
        followed = self._followed.get(call_id)
        text = followed.fresh() if followed is not None else b""
        return [Printed(call_id, text)] if text else []

    def leave(self, process: int) -> list[Printed]:
        """The process is gone: its last words, and for each of its calls that nothing follows."""
        last: list[Printed] = []
        for call_id in self._calls.pop(process, []):
            last += [*self.fresh_of(call_id), Printed(call_id, b"")]
            with suppress(OSError):
                self._followed.pop(call_id).path.unlink()
        return last
