"""The three policies of an experiment behind one door: told what happens, asked what to do, and kept from harm.

A policy that raises ends nothing by itself: the error is logged with the trial's id, and the answer is a harmless one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from schedulers.base import Candidates, Continue, Decision, Decisions, Stop, TrialScheduler
from schedulers.fifo import FIFOScheduler
from searchers.base import Searcher
from tune.errors import never_reported
from tune.machine.events import ParameterGiven
from tune.machine.stopping import Stopper
from tune.machine.trial import AUTOMATIC, Trial, is_finite

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_ERRORS = 3
"""How often a scheduler may raise with no decision in between."""


@dataclass(slots=True)
class Policies:
    """Scheduler, searcher and stopper; `metrics` are the names their decisions rest on.

    `constrained` are the metrics that outcome constraints are on: a trial whose last result lacks one completes without
    a result. The searcher is told nothing of the `foreign` trials: they are of an earlier search space.
    """

    scheduler: TrialScheduler
    searcher: Searcher
    stopper: Stopper | None = None
    metrics: tuple[str, ...] = ()
    time_attr: str | None = None
    constrained: tuple[str, ...] = ()
    foreign: frozenset[str] = frozenset()
    errors: int = 0
    scheduler_errors: int = 0

    def judge(self, trial: Trial, result: dict[str, Any]) -> tuple[Decision, Decisions]:
        """What a running trial shall do after `result`, and then others.

        The stop criteria come first, and the searcher is told.
        """
        if self.finite(result):
            self._inform(trial.trial_id, lambda: self.searcher.on_trial_result(trial.trial_id, result))
        stopper = self.stopper
        reason = self._guard(trial, lambda: stopper.why(trial.trial_id, result)) if stopper else ""
        if reason:
            return Stop(reason, complete=True), {}
        if done := self.done(result):
            return done, {}
        if not self.has_metrics(result):
            return Continue(), {}
        errors = self.errors
        answer = self._heed(trial, lambda: self.scheduler.on_trial_result(trial, result))
        if self.errors == errors:
            self.scheduler_errors = 0
        if isinstance(answer, Decision):
            return answer, {}
        decisions = _decisions(trial, answer)
        return decisions.pop(trial.trial_id, Continue()), decisions

    @staticmethod
    def done(result: dict[str, Any]) -> Stop | None:
        """A trial may end itself."""
        return Stop("it reported done", complete=True) if result.get("done") else None

    def free_until(self, trial: Trial, iteration: int) -> int:
        """The iteration before which nothing that `trial` reports can be answered but by going on."""
        stopper = self.stopper
        free = self._heed(trial, lambda: self.scheduler.free_until(trial, iteration)) or 0
        if stopper is None or not free:
            return free
        return min(free, self._guard(trial, lambda: stopper.free_until(trial.trial_id, iteration)) or 0)

    def wants_end(self) -> str:
        """Why the stopper ends the whole experiment, empty when it does not."""
        if self.stopper is None or not self._guard(None, self.stopper.stop_all):
            return ""
        return self._why_all(self.stopper)

    def time_passed(self, time: float) -> None:
        """Tell the stopper how many seconds the experiment has lived."""
        stopper = self.stopper
        if stopper is not None:
            self._guard(None, lambda: stopper.on_time(time))

    @property
    def deadline(self) -> float | None:
        """The second of the experiment's life at which time alone may end it."""
        stopper = self.stopper
        return None if stopper is None else self._guard(None, lambda: stopper.deadline_s)

    def time_is_up(self) -> str:
        """Why time alone ends the whole experiment now, empty when it does not."""
        if self.stopper is None or not self._guard(None, self.stopper.time_is_up):
            return ""
        return self._why_all(self.stopper)

    def _why_all(self, stopper: Stopper) -> str:
        return self._guard(None, stopper.why_all) or f"{type(stopper).__name__} ended the experiment"

    def opened(self, resources: dict[str, float]) -> None:
        """The run begins, or goes on."""
        self._heed(None, lambda: self.scheduler.on_open(resources))

    def completed_config(self, trial_id: str, config: dict[str, Any]) -> dict[str, Any]:
        """A new trial's configuration, with what the scheduler adds to it."""
        found = self._heed(trial_id, lambda: dict(self.scheduler.complete_config(trial_id, config)))
        return config if found is None else found

    def added(self, trial: Trial) -> None:
        """A trial exists, or one that had ended goes on."""
        self._inform(trial.trial_id, lambda: self.searcher.on_trial_add(trial.trial_id, trial.config))
        self._heed(trial, lambda: self.scheduler.on_trial_add(trial))

    def launched(self, trial: Trial) -> None:
        """An attempt begins."""
        self._inform(trial.trial_id, lambda: self.searcher.on_trial_start(trial.trial_id))
        self._heed(trial, lambda: self.scheduler.on_trial_start(trial))

    def paused(self, trial: Trial) -> None:
        """A trial was paused, and its process is gone."""
        self._inform(trial.trial_id, lambda: self.searcher.on_trial_pause(trial.trial_id))
        self._heed(trial, lambda: self.scheduler.on_trial_pause(trial))

    def asked(self, trial_id: str) -> None:
        """On resume: the searcher was asked here for a trial that was added later."""
        self._inform(trial_id, lambda: self.searcher.on_ask(trial_id))

    def given(self, event: ParameterGiven) -> None:
        """A running trial was given a parameter."""
        name, domain, value = event.name, event.domain, event.value
        self._inform(event.trial_id, lambda: self.searcher.on_parameter(event.trial_id, name, domain, value))

    def returned(self, trial: Trial, result: dict[str, Any]) -> None:
        """A trial returned its last result: nothing is decided on it, but the stopper counts it."""
        stopper = self.stopper
        if stopper is not None:
            self._guard(trial, lambda: stopper.why(trial.trial_id, result))

    def completed(self, trial: Trial) -> Decisions:
        """A trial ended for good, with its last result; answers what others shall do."""
        result = trial.last_result
        usable = result if result is not None and self.finite(result) and self._constrained(result) else None
        self._forget(trial)
        self._inform(trial.trial_id, lambda: self.searcher.on_trial_complete(trial.trial_id, usable))
        return _decisions(trial, self._heed(trial, lambda: self.scheduler.on_trial_complete(trial, result)))

    def failed(self, trial: Trial) -> Decisions:
        """A trial failed for good; answers what others shall do."""
        self._forget(trial)
        self._inform(trial.trial_id, lambda: self.searcher.on_trial_complete(trial.trial_id, None, error=True))
        return _decisions(trial, self._heed(trial, lambda: self.scheduler.on_trial_error(trial)))

    def _forget(self, trial: Trial) -> None:
        stopper = self.stopper
        if stopper is not None:
            self._guard(trial, lambda: stopper.on_trial_end(trial.trial_id))

    def choose(self, candidates: Candidates) -> str | None:
        """Which waiting or paused trial starts next; None leaves the room to a new trial."""
        if not candidates.waiting and not candidates.paused:
            return None
        chosen = self._heed(None, lambda: self.scheduler.choose_trial_to_run(candidates))
        if chosen is None:
            return None
        if isinstance(chosen, str) and (chosen in candidates.waiting or chosen in candidates.paused):
            return chosen
        log.error("the scheduler chose trial %r, which cannot start now", chosen)
        return None

    def missing(self, trial_id: str, result: dict[str, Any]) -> str:
        """Which name that decisions rest on a result lacks, with the nearest that it has; empty when it has all."""
        reported = [name for name in result if name not in AUTOMATIC]
        roles = [(name, "metric") for name in self.metrics]
        roles += [(name, "an outcome constraint's metric") for name in self.constrained]
        for name, role in [*roles, (self.time_attr, "time_attr")]:
            if name and name not in result:
                return never_reported(role, name, trial_id, reported)
        return ""

    def has_metrics(self, result: dict[str, Any]) -> bool:
        """Whether `result` has every metric that decisions rest on."""
        return all(name in result for name in self.metrics)

    def finite(self, result: dict[str, Any]) -> bool:
        """Whether `result` can be fed to a model: every decisive metric is there and a finite number."""
        return all(is_finite(result.get(name)) for name in self.metrics)

    def _constrained(self, result: dict[str, Any]) -> bool:
        return all(is_finite(result.get(name)) for name in self.constrained)

    def _inform(self, trial_id: str, call: Callable[[], None]) -> None:
        """Tell the searcher of a trial, if it is one of its own space."""
        if trial_id not in self.foreign:
            self._guard(trial_id, call)

    def _heed(self, about: Trial | str | None, call: Callable[[], T]) -> T | None:
        """What the scheduler answers. One that raises again and again is not asked any more: trials run on without."""
        errors = self.errors
        answer = self._guard(about, call)
        if self.errors > errors:
            self.scheduler_errors += 1
        if self.scheduler_errors == MOST_ERRORS:
            self.scheduler_errors = 0
            log.error(
                "the scheduler raised %d times with no decision in between and is not asked any more: all trials,"
                " paused ones too, run to their ends; mend it and resume",
                MOST_ERRORS,
            )
            context, self.scheduler = self.scheduler.context, FIFOScheduler()
            self.scheduler.bind(context)
        return answer

    def _guard(self, trial: Trial | str | None, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except Exception:
            about = trial.trial_id if isinstance(trial, Trial) else trial or "experiment"
            log.exception("%s: a policy raised; going on without its answer", about)
            self.errors += 1
            return None


def _decisions(trial: Trial, answer: object) -> dict[str, Decision]:
    """What a scheduler answered when it was told of `trial`, as decisions by trial; nonsense is said and left out."""
    if answer is None:
        return {}
    if not isinstance(answer, Mapping):
        log.error("%s: the scheduler answered %r, which is no decision; it goes on", trial.trial_id, answer)
        return {}
    for about, decision in answer.items():
        if not isinstance(decision, Decision):
            log.error("%s: the scheduler decided %r about %s, which is no decision", trial.trial_id, decision, about)
    return {about: decision for about, decision in answer.items() if isinstance(decision, Decision)}
