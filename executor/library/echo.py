"""What workers print, shown in the driver: line by line, each with who printed it."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field

_LOOK_S = 0.2
_LOOK_AT_IDLE_S = 1.0
_MOST_BYTES = 1 << 16


@dataclass(slots=True)
class _Log:
    """One worker's log: how far it was shown, and who prints there."""

    path: str
    shown: int = 0
    who: str = ""
    rest: bytes = field(default=b"")


class Echo:
    """Follows the logs of workers; nothing is read that has not grown, and a flood is shown in part."""

    def __init__(self) -> None:
        self._logs: dict[int, _Log] = {}
        self._looked_at = 0.0
        self._lines: list[str] = []

    def follow(self, number: int, path: str | None) -> None:
        """Show what the worker `number` prints."""
        if path is not None:
            self._logs[number] = _Log(path)

    def name(self, number: int, who: str) -> None:
        """Say who prints there from now on."""
        if (log := self._logs.get(number)) is not None:
            log.who = who

    def leave(self, number: int) -> None:
        """The worker is gone: what it has printed last is to be shown."""
        if (log := self._logs.pop(number, None)) is not None:
            self._read(log)
            if log.rest:
                self._lines.append(f"({log.who}) {log.rest.decode(errors='replace')}")

    def look(self, now: float, *, busy: bool) -> float | None:
        """Read what is new, if it is time to; how long until it is."""
        if not self._logs:
            return None
        pause_s = _LOOK_S if busy else _LOOK_AT_IDLE_S
        if now - self._looked_at < pause_s:
            return self._looked_at + pause_s - now
        self._looked_at = now
        for log in self._logs.values():
            self._read(log)
        return pause_s

    def look_now(self) -> None:
        """Read what is new."""
        self.look(time.monotonic() + _LOOK_AT_IDLE_S, busy=False)

    def show(self) -> None:
        """Print what was read; to be called where it may take its time."""
        if self._lines:
            lines, self._lines = self._lines, []
            try:
                sys.stdout.write("".join(f"{line}\n" for line in lines))
                sys.stdout.flush()
            except (OSError, ValueError, AttributeError):
                pass  # closed, or none

    @property
    def has_lines(self) -> bool:
        """Whether there is anything to show."""
        return bool(self._lines)

    def _read(self, log: _Log) -> None:
        try:
            size = os.stat(log.path).st_size  # noqa: PTH116 - for many files, five times a second
            if size == log.shown:
                return
            if size < log.shown:
                log.shown = 0  # it was cut
            begin = max(log.shown, size - _MOST_BYTES)
            with open(log.path, "rb") as file:  # noqa: PTH123 - the same
                file.seek(begin)
                text = file.read(size - begin)
        except OSError:
            return
        if begin > log.shown:
            self._lines.append(f"({log.who}) [... {begin - log.shown} bytes are in {log.path} ...]")
        log.shown = size
        *lines, log.rest = (log.rest + text).split(b"\n")
        self._lines += [f"({log.who}) {line.decode(errors='replace')}" for line in lines]
