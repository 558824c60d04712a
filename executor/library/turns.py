"""Who turns the hub: whoever waits, and when nobody does a thread in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from executor.interrupts import Condition, Interrupts, uninterrupted

_log = logging.getLogger(__name__)

_TICK_S = 0.002
_LONG_S = 0.05
_REST_S = 0.1


class Turns:
    """Hands the turning from one thread to the next, with no switch of threads where one waits again and again.

    The background thread takes over only when nobody has waited for a moment: it looks again after each tick, and stops
    looking while somebody waits for long. A turn that goes wrong is logged there; one of a thread that waits raises.
    """

    def __init__(
        self,
        turn: Callable[[float | None], None],
        wake: Callable[[], None],
        afterwards: deque[Callable[[], None]],
        interrupts: Interrupts,
    ) -> None:
        self._interrupts = interrupts
        self._turn = turn
        self._wake = wake
        self._afterwards = afterwards
        self._condition = Condition()
        self._turning = False
        self._waiting = 0
        self._rounds = 0
        self._in_background = False
        self._parked = False
        self._closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True, name="audition-hub")
        self._thread.start()

    @uninterrupted
    def until(self, ready: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until `ready`, turning the hub when no other thread does; whether it came in time."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        condition = self._condition
        condition.acquire()
        self._waiting += 1
        try:
            while not ready():
                left_s = None if deadline is None else deadline - time.monotonic()
                if (left_s is not None and left_s <= 0) or self._closed:
                    return ready()
                if not self._turning:
                    self._one_turn(left_s)
                else:
                    if self._in_background:
                        self._wake()
                    if self._interrupts.came:
                        self._interrupts.catch_up()
                    condition.wait(left_s)
            return True
        finally:
            self._waiting -= 1
            if self._parked or self._waiting:
                condition.notify_all()
            condition.release()

    def _one_turn(self, timeout_s: float | None) -> None:
        """One turn, with the condition let go of meanwhile."""
        self._turning = True
        self._rounds += 1
        self._condition.release()
        try:
            self._turn(timeout_s)
        finally:
            self._condition.acquire()
            self._turning = False
            if self._waiting > 1 or (self._in_background and self._waiting):
                self._condition.notify_all()
        if self._afterwards:
            # When the turn is over: a callback may itself wait for a value, and turn.
            self._condition.release()
            try:
                self.call_back()
            finally:
                self._condition.acquire()

    def call_back(self) -> None:
        """Call back whoever wanted it, without any lock: it is the user's own code."""
        while True:
            try:
                callback = self._afterwards.popleft()
            except IndexError:
                return  # all are told; another thread may have taken the last one
            callback()

    def notice(self) -> None:
        """Have what is to be done afterwards done soon, though no event may come."""
        if self._afterwards:
            self._wake()
            with self._condition:
                if self._parked or not self._turning:
                    self._condition.notify_all()

    def _serve(self) -> None:
        condition = self._condition
        seen, since = -1, 0.0
        with condition:
            while not self._closed:
                if self._turning or self._waiting or self._rounds != seen:
                    now = time.monotonic()
                    if self._rounds != seen:
                        seen, since = self._rounds, now
                    self._parked = self._waiting > 0 and now - since > _LONG_S
                    condition.wait(None if self._parked else _TICK_S)
                    self._parked = False
                    continue
                self._in_background = True
                try:
                    self._one_turn(None)
                except Exception:  # noqa: BLE001 - others are to be heard, and a caretaker has nobody else who does
                    if not self._closed:
                        _log.exception("something that has come cannot be taken in")
                        condition.wait(_REST_S)
                finally:
                    self._in_background = False
                    seen = self._rounds

    def close(self) -> None:
        """Stop turning; whoever waits is let go."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()
