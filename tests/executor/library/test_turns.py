"""Who turns the hub."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from queue import SimpleQueue

import pytest

from executor.interrupts import Interrupts
from executor.library.turns import Turns
from tests.executor.library.events import DEADLINE_S


def test_the_background_turns_again_after_it_has_served_one_who_waited() -> None:
    begun: SimpleQueue[None] = SimpleQueue()
    woken = threading.Event()
    there: list[None] = []

    def turn(_timeout_s: float | None) -> None:
        begun.put(None)
        woken.wait()
        woken.clear()
        there.append(None)

    turns = Turns(turn, woken.set, deque(), Interrupts())
    try:
        begun.get(timeout=DEADLINE_S)
        threading.Event().wait(0.1)  # so that it has turned for long, when somebody comes
        assert turns.until(lambda: bool(there), DEADLINE_S)
        begun.get(timeout=5)
    finally:
        turns.close()


def test_the_background_turns_again_after_a_turn_went_wrong(caplog: pytest.LogCaptureFixture) -> None:
    begun: SimpleQueue[int] = SimpleQueue()
    woken = threading.Event()
    numbers = itertools.count()

    def turn(_timeout_s: float | None) -> None:
        begun.put(number := next(numbers))
        if not number:
            raise LookupError("nobody knows it")
        woken.wait()

    turns = Turns(turn, woken.set, deque(), Interrupts())
    try:
        assert [begun.get(timeout=DEADLINE_S) for _ in range(2)] == [0, 1]
        assert "nobody knows it" in caplog.text
    finally:
        turns.close()
