"""Asks a fleet for room, aside: its head may take its time to answer, and nobody is to stand still meanwhile."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from executor.errors import ExecutorClosedError, InfeasibleRequestError
from executor.hosting.fleet import Fleet
from executor.messages import Reservation
from executor.resources import Request

_KEPT_S = 1.0


@dataclass(frozen=True, slots=True)
class Question:
    """A request and the nodes that it avoids, and both again of what will do `instead`, if there is such a thing.

    `news` is how much news there had been when it was asked: if there was more since, it is another question.
    """

    request: Request
    avoid: tuple[str, ...]
    instead: tuple[Request, tuple[str, ...]] | None
    news: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Room, or room for what is asked for `instead`; or none just now; or why there never will be any."""

    question: Question
    at: float
    reservation: Reservation | None = None
    is_instead: bool = False
    never: str = ""


class Asking:
    """One question after another, on a thread of its own; `answered` is called there. Else called under a lock."""

    def __init__(self, fleet: Fleet, answered: Callable[[], None]) -> None:
        self._fleet = fleet
        self._answered = answered
        self._questions: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._open: set[Request] = set()
        self._answers: dict[Request, Answer] = {}
        self._thread: threading.Thread | None = None

    def is_open(self, request: Request) -> bool:
        """Whether it was asked for, and there is no answer yet."""
        return request in self._open

    def ask(self, question: Question) -> None:
        """Ask for room."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._ask_all, name="audition-asking", daemon=True)
            self._thread.start()
        self._open.add(question.request)
        self._questions.put(question)

    def take(self, request: Request) -> Answer | None:
        """The answer to a request, if there is one; each is given once."""
        return self._answers.pop(request, None)

    def unwanted(self, now: float) -> list[Answer]:
        """The answers that nobody has taken for a while: nobody needs that room any more."""
        late = [request for request, answer in list(self._answers.items()) if answer.at + _KEPT_S <= now]
        return [self._answers.pop(request) for request in late]

    def due(self, now: float) -> float | None:
        """How long until an answer is unwanted."""
        return min((answer.at + _KEPT_S - now for answer in list(self._answers.values())), default=None)

    def _ask_all(self) -> None:
        while (question := self._questions.get()) is not None:
            try:
                answer = self._answer_to(question)
            except ExecutorClosedError:
                return
            self._answers[question.request] = answer
            self._open.discard(question.request)  # not before: else it would be asked for twice
            self._answered()

    def _answer_to(self, question: Question) -> Answer:
        try:
            return self._room_for(question)
        except ExecutorClosedError:
            raise
        except Exception as error:  # noqa: BLE001 - who waits for it is told, and others are to be asked for
            return Answer(question, time.monotonic(), never=str(error) or repr(error))

    def _room_for(self, question: Question) -> Answer:
        reservation = self._fleet.reserve(question.request, question.avoid)
        if reservation is not None or question.instead is None:
            return Answer(question, time.monotonic(), reservation)
        with suppress(InfeasibleRequestError):  # those nodes have no such thing, and others have
            reservation = self._fleet.reserve(*question.instead)
        return Answer(question, time.monotonic(), reservation, is_instead=True)

    def close(self) -> None:
        """Ask no more."""
        self._questions.put(None)
