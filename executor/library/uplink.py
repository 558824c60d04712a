"""A worker's link to its hub: whoever waits reads what comes, for all others too."""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from executor.interrupts import Condition, interruptible, uninterrupted
from executor.library.threads import ThreadInterrupts
from executor.processes.worker import SocketChannel
from executor.spinning import AdaptiveSpin

__audition_internal__ = True


def _nothing() -> None:
    """Until somebody wants it done."""


class Uplink:
    """See the module. `take` takes in what is read; what it leaves in `afterwards` is done once nothing is held."""

    def __init__(self, channel: SocketChannel, take: Callable[[tuple[Any, ...]], None]) -> None:
        self.afterwards: deque[Callable[[], None]] = deque()
        self.interrupts = ThreadInterrupts(self._interrupted)
        self.on_interrupt: Callable[[], None] = _nothing
        self.before_waiting: Callable[[], None] = _nothing
        """What whoever is going to wait has to do first: what others wait for may be held back here."""
        self.is_watched = False
        """Whether an event loop reads whenever there is something, also while nobody waits."""
        self.condition = Condition()
        self._channel = channel
        self._take = take
        self._poller = select.poll()
        self._poller.register(channel.fileno(), select.POLLIN)
        self._spin = AdaptiveSpin()
        self._begun = False
        self._reading = False
        self._others = 0

    def _interrupted(self, number: int, frame: Any) -> None:
        self.on_interrupt()

    def fileno(self) -> int:
        """The descriptor to wait on for what the hub sends."""
        return self._channel.fileno()

    def next_word(self) -> int | None:
        """The next word that the hub says past its messages."""
        return self._channel.next_word()

    def say(self, message: tuple[Any, ...]) -> None:
        """Tell the hub something."""
        self._channel.say(message)
        if self.interrupts.came:
            self.interrupts.catch_up()

    def read_now(self) -> None:
        """Take in what is there, without waiting for more."""
        self.until(lambda: False, 0.0)

    @uninterrupted
    def until(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Read what the hub sends until something holds, or the time is over; whether it holds.

        Raises:
            EOFError: the hub wants nothing more of this worker.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        condition = self.condition
        condition.acquire()
        try:
            while not ready():
                left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
                if self._reading:
                    if left_s == 0.0:
                        return False
                    self._wait_for_others(left_s)
                    continue
                if not self._read(left_s) and left_s is not None and time.monotonic() >= (deadline or 0.0):
                    return ready()
            return True
        finally:
            condition.release()

    def _wait_for_others(self, timeout_s: float | None) -> None:
        if self.interrupts.came:
            self.interrupts.catch_up()
        self._others += 1
        try:
            self.condition.wait(timeout_s)
        finally:
            self._others -= 1

    def _read(self, timeout_s: float | None) -> bool:
        """Read once, with the condition let go of meanwhile; whether anything came."""
        condition = self.condition
        self._reading = True
        condition.release()
        try:
            # Polled for: whoever sleeps in `recv` is woken for nothing whenever the hub takes an answer off the socket.
            # Not the first time: that may have come along with the order.
            if self._begun and not self._wait(timeout_s):
                return False
            self._begun = True
            for message in self._channel.read_posted():
                self._take(message)
        finally:
            condition.acquire()
            self._reading = False
            if self._others:
                condition.notify_all()
        if self.afterwards:
            condition.release()
            try:
                while self.afterwards:
                    self.afterwards.popleft()()
            finally:
                condition.acquire()
        return True

    @interruptible
    def _wait(self, timeout_s: float | None) -> bool:
        """Wait until there is something to read, and take nothing off the socket yet."""
        if self.interrupts.came:  # since the last look; nothing else would end the wait
            self.interrupts.catch_up()
        return self._spin.wait(self._poll, timeout_s)

    def _poll(self, timeout_s: float | None) -> bool:
        return bool(self._poller.poll(None if timeout_s is None else timeout_s * 1000))
