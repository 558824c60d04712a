"""Keeps policies from harm: one that raises ends nothing, and one that raises again and again is asked no more."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from schedulers.base import NEVER
from tune.machine.events import SwitchedOff
from tune.machine.stopping import CombinedStopper, NoopStopper, Stopper

log = logging.getLogger(__name__)
T = TypeVar("T")
D = TypeVar("D")

MOST_SCHEDULER_ERRORS = 3
MOST_STOPPER_ERRORS = 10
"""More than a scheduler's: a plain function often raises until what it looks at was reported once."""


class Guard:
    """Asks one policy, and counts how often in a row it raised at the same question.

    After `most_errors` times it is off: `on_off` is told, and whoever asks is to ask somebody else. With `apart` what
    is asked about one trial is a question of its own, and so many trials in a row that end without an answer count too.
    """

    def __init__(
        self,
        part: str,
        name: str,
        most_errors: int,
        on_off: Callable[[SwitchedOff], None],
        *,
        apart: bool = False,
    ) -> None:
        self.part = part
        self.name = name
        self.off = False
        self.raised = False
        self._most_errors = most_errors
        self._on_off = on_off
        self._apart = apart
        self._errors: dict[str, Counter[str]] = {}
        """By whom they were raised about, and at which question; all in one where nobody is apart."""
        self._unanswered: Counter[str] = Counter()
        """How many trials in a row have ended without an answer to a question."""

    def ask(self, question: str, about: str, call: Callable[[], T], instead: D) -> T | D:
        """What `call` answers, or `instead` when it raises; `raised` then says so until the next question."""
        try:
            answer = call()
        except Exception as error:
            self.raised = True
            told = "%s: the %s %s raised in %s; going on without its answer"
            log.exception(told, about, self.part, self.name, question)
            self._count(question, about, error)
            return instead
        self.raised = False
        if self._errors:
            self._errors.get(self._key(about), Counter()).pop(question, None)
        if self._unanswered:
            self._unanswered.pop(question, None)
        return answer

    def forget(self, about: str) -> None:
        """A trial is over: what it was asked about in vain to the end had no answer once more."""
        self._unanswered.update(self._errors.pop(about, Counter()).keys())

    def _key(self, about: str) -> str:
        return about if self._apart else ""

    def _count(self, question: str, about: str, error: Exception) -> None:
        errors = self._errors.setdefault(self._key(about), Counter())
        errors[question] += 1
        if self.off or max(errors[question], self._unanswered[question]) < self._most_errors:
            return
        self.off = True
        log.error(
            "the %s %s raised %d times in a row in %s and is not asked any more; mend it and resume",
            self.part,
            self.name,
            self._most_errors,
            question,
        )
        self._on_off(SwitchedOff(self.part, self.name, f"{type(error).__name__}: {error}"))


class GuardedStopper(Stopper):
    """A stopper that cannot do harm: where it raises it ends nothing, and in the end it is left out."""

    def __init__(self, stopper: Stopper, on_off: Callable[[SwitchedOff], None]) -> None:
        self._stopper = stopper
        self._name = type(stopper).__name__
        self._guard = Guard("stopper", self._name, MOST_STOPPER_ERRORS, on_off, apart=True)
        self._time_s = 0.0
        self._came_in_vain: float | None = None

    def _ask(self, question: str, call: Callable[[], T], instead: D, about: str = "experiment") -> T | D:
        answer = self._guard.ask(question, about, call, instead)
        if self._guard.off:
            self._stopper = NoopStopper()
        return answer

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return bool(self.why(trial_id, result))

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        return self._ask("__call__", lambda: self._stopper.why(trial_id, result), "", trial_id)

    def stop_all(self) -> bool:
        return self._ask("stop_all", self._stopper.stop_all, False)

    def why_all(self) -> str:
        return self._ask("why_all", self._stopper.why_all, "") or f"{self._name} ended the experiment"

    def free_until(self, trial_id: str, iteration: int) -> int:
        promised = self._ask("free_until", lambda: self._stopper.free_until(trial_id, iteration), 0, trial_id)
        return NEVER if self._guard.off else promised

    def on_trial_end(self, trial_id: str) -> None:
        self._ask("on_trial_end", lambda: self._stopper.on_trial_end(trial_id), None, trial_id)
        self._guard.forget(trial_id)

    def on_time(self, time_s: float) -> None:
        self._time_s = max(time_s, self._time_s)
        self._ask("on_time", lambda: self._stopper.on_time(time_s), None)

    @property
    def deadline_s(self) -> float | None:
        """Never one that came and brought nothing: it would be waited for without end."""
        deadline = self._ask("deadline_s", lambda: self._stopper.deadline_s, None)
        return None if deadline == self._came_in_vain else deadline

    def time_is_up(self) -> bool:
        if self._ask("time_is_up", self._stopper.time_is_up, False):
            return True
        deadline = self.deadline_s
        if deadline is not None and deadline <= self._time_s:
            self._came_in_vain = deadline
        return False


def guarded(stopper: Stopper | None, on_off: Callable[[SwitchedOff], None]) -> Stopper | None:
    """`stopper` behind a guard; of those of which any may end a trial, each behind its own."""
    if stopper is None:
        return None
    if isinstance(stopper, CombinedStopper):
        parts = [guarded(part, on_off) for part in stopper.parts]
        return CombinedStopper(*filter(None, parts))
    return GuardedStopper(stopper, on_off)
