"""Questions to somebody far away, whose answers come in another thread."""

from __future__ import annotations

import itertools
import queue
import threading
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Question(Generic[Answer]):
    """One that is asked under its number."""

    number: int
    answer: queue.SimpleQueue[Answer | None] = field(default_factory=queue.SimpleQueue)


class Questions(Generic[Answer]):
    """Those whose answers are still awaited. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._open: dict[int, Question[Answer]] = {}

    def open(self) -> Question[Answer]:
        """One that is about to be asked."""
        with self._lock:
            question: Question[Answer] = Question(next(self._numbers))
            self._open[question.number] = question
            return question

    def wait(self, question: Question[Answer], timeout_s: float | None) -> Answer | None:
        """The answer; None when none came in time (None: whenever it comes), or none ever will.

        Nobody waits for it any more afterwards.
        """
        try:
            return question.answer.get(timeout=timeout_s)
        except queue.Empty:
            return None if self._close(question.number) else question.answer.get()  # it has come just now
        finally:
            self._close(question.number)

    def answer(self, number: int, answer: Answer) -> bool:
        """An answer has come; whether somebody takes it, or it is too late."""
        question = self._close(number)
        if question is not None:
            question.answer.put(answer)
        return question is not None

    def give_up(self) -> None:
        """Those that are open now will not be answered."""
        for number in list(self._open):
            if question := self._close(number):
                question.answer.put(None)

    def _close(self, number: int) -> Question[Answer] | None:
        with self._lock:
            return self._open.pop(number, None)
