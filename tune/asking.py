"""Asking the searcher: on the loop's thread, or aside from it, so that a model that thinks long holds up nobody.

Aside, the searcher lives on a thread of its own. What happens is told to it there, in order; it is asked there, and
what it answers is taken when it is ready. So an answer rests on what had happened when the question was put, which the
journal keeps: a searcher that makes notes as it suggests can make them again on resume.
"""

from __future__ import annotations

import logging
import threading
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from time import perf_counter
from typing import Any

from searchers.base import FINISHED, Searcher, Suggestion
from searchers.domain import Domain
from tune.machine.policies import Policies
from tune.size import refused_config

log = logging.getLogger(__name__)

_WORTH_IT = 0.02
_CLOSING_S = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a searcher answered to being asked for a trial: a suggestion, or how it raised (`error`, a traceback)."""

    suggestion: Suggestion = None
    error: str = ""


class Asking(ABC):
    """One question for a new trial at a time, and any number for parameters."""

    is_aside = False

    @property
    def thinks(self) -> bool:
        """Whether a question is open."""
        return False

    @abstractmethod
    def ask(self, trial_id: str) -> bool:
        """Have a suggestion made for `trial_id`, the next trial; whether that is a new question."""

    @abstractmethod
    def answer(self) -> Answer | None:
        """The answer to what was asked last; None while the searcher thinks."""

    @abstractmethod
    def taken(self) -> None:
        """A trial was made of the answer."""

    @abstractmethod
    def parameter(self, trial_id: str, name: str, domain: Domain, then: Callable[[Any], None]) -> None:
        """Have a value made for a parameter that a running trial asks for, and `then` called with it, in `deliver`."""

    def deliver(self) -> None:
        """Hand out the values that have been made."""

    def pays_ahead(self, running: int) -> bool:
        """Whether to ask before there is room, with so many trials running."""
        return False

    def close(self) -> None:
        """Ask nothing more."""


class AskingInline(Asking):
    """Whoever asks waits: as long as nothing, for what is drawn at random."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._trial_id = ""

    def ask(self, trial_id: str) -> bool:
        self._trial_id = trial_id
        return False

    def answer(self) -> Answer:
        return _suggestion(self._policies.searcher, self._trial_id)

    def taken(self) -> None:
        pass

    def parameter(self, trial_id: str, name: str, domain: Domain, then: Callable[[Any], None]) -> None:
        then(_parameter(self._policies.searcher, trial_id, name, domain))


class AskingAside(Asking):
    """The searcher of `policies` on a thread of its own; `policies` is left with one that passes on what it is told.

    `wake` is called, from that thread, when something is ready.

    A suggestion is made when there is room for the trial, and rests on all that is known then. Where models take so
    long that this leaves rooms empty for more than a fiftieth of the time, the next one is made ahead, while trials
    run; it then lacks what the trial that makes room for it has brought, never more.
    """

    is_aside = True

    def __init__(self, policies: Policies, wake: Callable[[], None]) -> None:
        self._searcher = policies.searcher
        self._wake = wake
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._asked = ""
        self._asked_after = -1
        self._answer: Answer | None = None
        self._values: deque[Callable[[], None]] = deque()
        self._told = 0
        self._thinks_s = 0.0
        self._apart_s = 0.0
        self._taken_at = 0.0
        policies.searcher = _Messenger(self._searcher, self._tell)
        self._thread = threading.Thread(target=self._think, name="searcher", daemon=True)
        self._thread.start()

    @property
    def thinks(self) -> bool:
        return bool(self._asked) and self._answer is None

    def ask(self, trial_id: str) -> bool:
        if self._asked == trial_id and not self._was_put_off():
            return False
        self._asked, self._asked_after, self._answer = trial_id, self._told, None
        self._work.put(partial(self._suggest, trial_id))
        return True

    def _was_put_off(self) -> bool:
        """Whether the searcher had nothing then, and has been told something since."""
        answer = self._answer
        return answer is not None and answer == Answer() and self._asked_after != self._told

    def answer(self) -> Answer | None:
        return self._answer

    def taken(self) -> None:
        now = perf_counter()
        if self._taken_at:
            self._apart_s = _blend(self._apart_s, now - self._taken_at)
        self._taken_at = now

    def parameter(self, trial_id: str, name: str, domain: Domain, then: Callable[[Any], None]) -> None:
        self._work.put(partial(self._give, trial_id, name, domain, then))

    def deliver(self) -> None:
        while self._values:
            self._values.popleft()()

    def pays_ahead(self, running: int) -> bool:
        return pays(self._thinks_s, self._apart_s, running)

    def close(self) -> None:
        self._work.put(None)
        self._thread.join(_CLOSING_S)

    # On the loop's thread, by the hooks.

    def _tell(self, hook: Callable[[], None]) -> None:
        self._told += 1
        self._work.put(hook)

    # On the searcher's thread.

    def _think(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:
                log.exception("the search algorithm raised; going on without its answer")

    def _suggest(self, trial_id: str) -> None:
        began = perf_counter()
        answer = _suggestion(self._searcher, trial_id)
        self._thinks_s = _blend(self._thinks_s, perf_counter() - began)
        self._answer = answer
        self._wake()

    def _give(self, trial_id: str, name: str, domain: Domain, then: Callable[[Any], None]) -> None:
        self._values.append(partial(then, _parameter(self._searcher, trial_id, name, domain)))
        self._wake()


class _Messenger(Searcher):
    """Stands for a searcher on another thread: passes on what it is told."""

    def __init__(self, searcher: Searcher, tell: Callable[[Callable[[], None]], None]) -> None:
        self._searcher = searcher
        self._tell = tell
        self.context = searcher.context

    @property
    def total_trials(self) -> int | None:
        return self._searcher.total_trials

    def suggest(self, trial_id: str) -> Suggestion:
        raise AssertionError("asked aside")

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        # A copy: parameters that the trial asks for are added to its configuration as it runs.
        self._tell(partial(self._searcher.on_trial_add, trial_id, dict(config)))

    def on_trial_start(self, trial_id: str) -> None:
        self._tell(partial(self._searcher.on_trial_start, trial_id))

    def on_trial_pause(self, trial_id: str) -> None:
        self._tell(partial(self._searcher.on_trial_pause, trial_id))

    def on_parameter(self, trial_id: str, name: str, domain: Domain, value: Any) -> None:
        self._tell(partial(self._searcher.on_parameter, trial_id, name, domain, value))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._tell(partial(self._searcher.on_trial_result, trial_id, result))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._tell(partial(self._searcher.on_trial_complete, trial_id, result, error))


def pays(thinks_s: float, apart_s: float, running: int) -> bool:
    """Whether to ask ahead: a suggestion takes `thinks_s`, trials begin `apart_s` apart, `running` at a time.

    Never one trial after another: each of these is to know the one before it.
    """
    return running > 1 and thinks_s > _WORTH_IT * running * apart_s > 0


def _suggestion(searcher: Searcher, trial_id: str) -> Answer:
    """What the searcher suggests; it is asked once more when it raises, and nothing else after that."""
    error = ""
    for _ in range(2):
        try:
            config = searcher.suggest(trial_id)
            if config is not None and config is not FINISHED and not isinstance(config, dict):
                raise TypeError(f"a configuration is a dictionary, suggest returned {config!r}")
            if isinstance(config, dict) and (why := refused_config(config, f"what was suggested for {trial_id}")):
                raise ValueError(why)
            return Answer(config)
        except Exception:
            log.exception("%s: the search algorithm raised%s", trial_id, "" if error else "; it is asked once more")
            error = traceback.format_exc()
    log.error("no more trials are started: the search algorithm raised twice")
    return Answer(error=error)


def _parameter(searcher: Searcher, trial_id: str, name: str, domain: Domain) -> Any:
    """What the searcher gives; drawn at random when it raises."""
    try:
        return searcher.suggest_parameter(trial_id, name, domain)
    except Exception:
        log.exception("%s: the search algorithm raised; %s is drawn at random", trial_id, name)
        return domain.sample(searcher.rng(trial_id, name))


def _blend(mean: float, value: float) -> float:
    """A running mean in which the last few values count most; the first one alone."""
    return value if not mean else 0.7 * mean + 0.3 * value
