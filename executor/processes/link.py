"""The driver's end of one worker process: its sockets, and the call that it runs."""

from __future__ import annotations

import itertools
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from executor.framing import Frame, FrameReader, pack_plain
from executor.platform import Poller
from executor.processes.launcher import Launcher
from executor.processes.protocol import CANCEL, NUDGE, POSTED
from executor.processes.stacks import StackFile

# Of the process and not of a pool: what is numbered by its worker is not to be taken for another pool's.
link_numbers = itertools.count(1)
"""The numbers of worker processes, those on other machines too."""


@dataclass(slots=True)
class RunningCall:
    """A call between its start and its end."""

    call_id: str
    log_path: str | None
    unanswered: int | None = None
    killed: str | None = None
    listener: Callable[[Any], None] | None = None
    """Takes what the program tells, under the pool's lock, in the place of events."""


class Link:
    """One worker process, seen from the driver. At any time it runs at most one call."""

    def __init__(self, number: int, digest: str, launcher: Launcher, poller: Poller, memory_bytes: int) -> None:
        self.number = number
        self.digest = digest
        self.launcher = launcher
        self.call: RunningCall | None = None
        self.leaving = False
        self.log_path: str | None = None
        self.stacks = StackFile()
        self._poller = poller
        self._begun = 0
        self._data, data = socket.socketpair()
        self._control, control = socket.socketpair()
        self._data.setblocking(False)
        self._control.setblocking(False)
        self._reader = FrameReader(self._data)
        self._outbox: deque[bytes] = deque()
        self.fd = self._data.fileno()
        launcher.start(number, memory_bytes, data.detach(), control.detach(), self.stacks.share())

    @property
    def idle(self) -> bool:
        """Whether another call may be sent."""
        return self.call is None and not self.leaving and self.fd >= 0

    def begin(self, call: RunningCall, pieces: Sequence[bytes | memoryview], *, last: bool) -> None:
        """Send an order; after the `last` one the process ends by itself."""
        self.call, self.leaving, self.log_path = call, last, call.log_path
        self._begun += 1
        self.send(pieces)

    def post(self, message: Any) -> None:
        """Send plain values to a program that takes what is posted; see `SocketChannel.say`."""
        self.send(pack_plain(message, POSTED))

    def send(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Send without ever waiting; what does not fit now is copied, because it may change, and sent later."""
        if not self._outbox:
            pieces = self._send_now(pieces)
            if not pieces:
                return
            self._poller.watch_writes(self.fd, True)
        self._outbox.extend(map(bytes, pieces))

    def _send_now(self, pieces: Sequence[bytes | memoryview]) -> Sequence[bytes | memoryview]:
        """Send what fits; what is left."""
        for index, piece in enumerate(pieces):
            left = memoryview(piece)
            try:
                while left:
                    left = left[self._data.send(left) :]
            except BlockingIOError:
                return [left, *pieces[index + 1 :]]
            except OSError:
                return []  # it has ended, which is told elsewhere
        return []

    def flush(self) -> None:
        """Send more of what is left, now that there is room."""
        left = self._send_now(list(self._outbox))
        self._outbox = deque(map(bytes, left))
        if not left:
            self._poller.watch_writes(self.fd, False)

    def read(self) -> list[Frame]:
        """What has arrived.

        Raises:
            EOFError: the worker closed its end, mostly by ending.
            BlockingIOError: nothing has.
        """
        try:
            return self._reader.read()
        except ConnectionResetError:
            raise EOFError from None

    def nudge(self, word: int = CANCEL) -> None:
        """Say a word to the program of the running call past all that waits on the data socket."""
        with suppress(OSError):
            self._control.send(NUDGE.pack(self._begun, word))

    def leave(self) -> None:
        """Ask an idle worker to end."""
        self.leaving = True
        with suppress(OSError):
            self._data.shutdown(socket.SHUT_WR)

    def end_of_reading(self) -> None:
        """Wait for nothing more on the data socket."""
        if self.fd >= 0:
            self._poller.unregister(self.fd)
            self.fd = -1

    def disown(self) -> None:
        """In a forked copy of the driver: let go of what belongs to the original."""
        self.close()

    def close(self) -> None:
        """Close both sockets and the stack file."""
        self.stacks.close()
        self._data.close()
        self._control.close()
