"""What a driver and the caretaker of actors that outlive their drivers write to each other, and values on that way.

A letter is a pickled tuple that begins with one of these numbers. What users' programs give and take stays packed, and
so does what is asked and answered: if it cannot be read, who waits for it is known all the same, and told.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

from executor.cluster.controllers import ACTORS
from executor.library.backend import Backend
from executor.library.values import Packed, inlined, place_of

# A driver to a caretaker.
ASK = 1  # number of the question, verb, arguments as if they were a letter
CALL = 2  # [call, ...] for one actor: its number, the calls as in `messages.CALLS`
CANCEL = 3  # number of the call

# A caretaker to a driver.
TELL = 10  # number of the question, whether it went well, value or packed exception as if it were a letter
RESULT = 11  # number of the call, VALUE or ERROR, packed (a list of packed but for one return)


def caretaker_of(namespace: str) -> str:
    """What the controller beside the head is called that has the actors of a namespace."""
    return f"{ACTORS}:{namespace}"


def written(*letter: Any) -> bytes:
    """A letter as it is sent."""
    return pickle.dumps(letter, 5)


def read(content: bytes) -> tuple[Any, ...]:
    """A letter as it was written, by a driver that may run code here."""
    letter: tuple[Any, ...] = pickle.loads(content)  # noqa: S301
    return letter


class Gathering:
    """Has values at hand that lie on nodes: whoever reads a letter has no way to where they are."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def bring(self, values: Sequence[Packed], then: Callable[[str], None]) -> None:
        """Have all of them here; `then` is told, under the lock, why one is not to be had, or nothing."""
        places = [place for place in map(place_of, values) if place is not None]
        left, problem = len(places), ""

        def come(why_not: str) -> None:
            nonlocal left, problem
            with self._backend.lock:
                left -= 1
                problem = problem or why_not
                if not left:
                    then(problem)
            self._backend.wake()

        if not places:
            then("")
        for place in places:
            self._backend.bring(place, come)

    def inlined(self, packed: Packed) -> Packed:
        """A value that is here, with all that belongs to it."""
        place = place_of(packed)
        return packed if place is None else inlined(packed, self._backend.path_of(place))
