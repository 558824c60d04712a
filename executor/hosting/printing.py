"""What calls print on their nodes, kept here: in each one's own log, or shown at once."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Log:
    """Where a process on a node prints to here, until its last word."""

    node: str
    path: str | None


class Logs:
    """The logs of the processes that run on nodes."""

    def __init__(self) -> None:
        self._logs: dict[str, _Log] = {}

    def __len__(self) -> int:
        return len(self._logs)

    def open(self, call_id: str, node: str, path: str | None) -> None:
        """A call on `node` prints to the file at `path`, or to where this process does."""
        self._logs[call_id] = _Log(node, path)

    def lose(self, node: str) -> None:
        """Nothing more is printed on a node."""
        self._logs = {call_id: log for call_id, log in self._logs.items() if log.node != node}

    def add(self, call_id: str, text: bytes) -> None:
        """A call has printed, or with no text its last; what cannot be written is lost, as it would be here."""
        log = self._logs.get(call_id)
        if log is None or not text:
            self._logs.pop(call_id, None)
            return
        try:
            _write(log, text)
        except (OSError, ValueError) as error:
            _log.warning("call %s: what it printed cannot be kept: %s", call_id, error)


def _write(log: _Log, text: bytes) -> None:
    if log.path is None:
        sys.stdout.flush()
        os.write(1, text)
        return
    path = Path(log.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(text)
