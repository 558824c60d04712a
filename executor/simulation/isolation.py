"""What separate processes keep apart, for programs that share one: pickled values and random state."""

from __future__ import annotations

import pickle
import random
from collections.abc import Generator
from contextlib import closing
from typing import Any

from executor.interface import Program, Step
from executor.messages import Rank
from executor.pickling import encode

Steps = Generator[Step, Any, Any]


def through_pickle(program: Program, argument: Any, rank: Rank) -> Steps:
    """The steps of a copy of `program`, with its argument, its emissions and its value copied by pickling them."""
    answer = None
    with closing(copied(program).steps_of(rank, copied(argument))) as steps:
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return copied(end.value)
            answer = yield Step(copied(step.payload), step.seconds, step.waits)


def with_own_random_state(steps: Steps, seed: int) -> Steps:
    """`steps` with Python's and numpy's global random state seeded from `seed` while they run, and put back after."""
    answer = None
    outside = _random_state()
    _seed(seed)
    inside = _random_state()
    _set_random_state(outside)
    with closing(steps):
        while True:
            outside = _random_state()
            _set_random_state(inside)
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            finally:
                inside = _random_state()
                _set_random_state(outside)
            answer = yield step


def copied(value: Any) -> Any:
    """`value` as it comes out of a pickle.

    Raises:
        TypeError: it cannot be pickled.
    """
    body, buffers = encode(value)
    # Buffers of their own, as the ones behind the value are its owner's to change.
    return pickle.loads(body, buffers=[bytearray(buffer) for buffer in buffers])  # noqa: S301  made a line ago


def _seed(seed: int) -> None:
    import numpy

    random.seed(seed)
    numpy.random.seed(seed % 2**32)


def _random_state() -> tuple[Any, Any]:
    import numpy  # heavy, and most simulations never ask for this module's second half

    return random.getstate(), numpy.random.get_state()


def _set_random_state(state: tuple[Any, Any]) -> None:
    import numpy

    random.setstate(state[0])
    numpy.random.set_state(state[1])
