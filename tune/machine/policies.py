"""The three policies of an experiment behind one door: told what happens, asked what to do, and kept from harm.

A policy that raises ends nothing by itself: the error is logged with the trial's id, and the answer is a harmless one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from schedulers.base import Candidates, Continue, Decision, Stop, TrialScheduler
from searchers.base import Searcher
from tune.errors import never_reported
from tune.machine.events import ParameterGiven
from tune.machine.stopping import Stopper
from tune.machine.trial import AUTOMATIC, Trial, is_finite

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(slots=True)
class Policies:
    """Scheduler, searcher and stopper; `metrics` are the names their decisions rest on."""

    scheduler: TrialScheduler
    searcher: Searcher
    stopper: Stopper | None = None
    metrics: tuple[str, ...] = ()
    time_attr: str | None = None

    def judge(self, trial: Trial, result: dict[str, Any]) -> Decision:
        """What a running trial shall do after `result`; the stop criteria come first, and the searcher is told."""
        if self.finite(result):
            self._guard(trial, lambda: self.searcher.on_trial_result(trial.trial_id, result))
        stopper = self.stopper
        reason = self._guard(trial, lambda: stopper.why(trial.trial_id, result)) if stopper else ""
        if reason:
            return Stop(reason, complete=True)
        if done := self.done(result):
            return done
        if not self.has_metrics(result):
            return Continue()
        decision = self._guard(trial, lambda: self.scheduler.on_trial_result(trial, result))
        if isinstance(decision, Decision):
            return decision
        if decision is not None:
            log.error("%s: the scheduler answered %r, which is no decision; it goes on", trial.trial_id, decision)
        return Continue()

    @staticmethod
    def done(result: dict[str, Any]) -> Stop | None:
        """A trial may end itself."""
        return Stop("it reported done", complete=True) if result.get("done") else None

    def free_until(self, trial: Trial, iteration: int) -> int:
        """The iteration before which nothing that `trial` reports can be answered but by going on."""
        if self.stopper is not None:
            return 0
        return self._guard(trial, lambda: self.scheduler.free_until(trial, iteration)) or 0

    def wants_end(self) -> bool:
        """Whether the stopper ends the whole experiment."""
        return bool(self.stopper and self._guard(None, self.stopper.stop_all))

    def added(self, trial: Trial) -> None:
        """A trial exists."""
        self._guard(trial, lambda: self.searcher.on_trial_add(trial.trial_id, trial.config))
        self._guard(trial, lambda: self.scheduler.on_trial_add(trial))

    def launched(self, trial: Trial) -> None:
        """An attempt begins."""
        self._guard(trial, lambda: self.searcher.on_trial_start(trial.trial_id))
        self._guard(trial, lambda: self.scheduler.on_trial_start(trial))

    def paused(self, trial: Trial) -> None:
        """A trial was paused, and its process is gone."""
        self._guard(trial, lambda: self.searcher.on_trial_pause(trial.trial_id))

    def asked(self, trial_id: str) -> None:
        """On resume: the searcher was asked here for a trial that was added later."""
        self._guard(trial_id, lambda: self.searcher.on_ask(trial_id))

    def given(self, event: ParameterGiven) -> None:
        """A running trial was given a parameter."""
        name, domain, value = event.name, event.domain, event.value
        self._guard(event.trial_id, lambda: self.searcher.on_parameter(event.trial_id, name, domain, value))

    def returned(self, trial: Trial, result: dict[str, Any]) -> None:
        """A trial returned its last result: nothing is decided on it, but the stopper counts it."""
        stopper = self.stopper
        if stopper is not None:
            self._guard(trial, lambda: stopper.why(trial.trial_id, result))

    def completed(self, trial: Trial) -> None:
        """A trial ended for good, with its last result."""
        result = trial.last_result
        usable = result if result is not None and self.finite(result) else None
        self._guard(trial, lambda: self.searcher.on_trial_complete(trial.trial_id, usable))
        self._guard(trial, lambda: self.scheduler.on_trial_complete(trial, result))

    def failed(self, trial: Trial) -> None:
        """A trial failed for good."""
        self._guard(trial, lambda: self.searcher.on_trial_complete(trial.trial_id, None, error=True))
        self._guard(trial, lambda: self.scheduler.on_trial_error(trial))

    def choose(self, candidates: Candidates) -> str | None:
        """Which waiting or paused trial starts next; None leaves the room to a new trial."""
        if not candidates.waiting and not candidates.paused:
            return None
        chosen = self._guard(None, lambda: self.scheduler.choose_trial_to_run(candidates))
        if chosen is None:
            return None
        if isinstance(chosen, str) and (chosen in candidates.waiting or chosen in candidates.paused):
            return chosen
        log.error("the scheduler chose trial %r, which cannot start now", chosen)
        return None

    def missing(self, trial_id: str, result: dict[str, Any]) -> str:
        """Which name that decisions rest on a result lacks, with the nearest that it has; empty when it has all."""
        reported = [name for name in result if name not in AUTOMATIC]
        for name, role in [(metric, "metric") for metric in self.metrics] + [(self.time_attr, "time_attr")]:
            if name and name not in result:
                return never_reported(role, name, trial_id, reported)
        return ""

    def has_metrics(self, result: dict[str, Any]) -> bool:
        """Whether `result` has every metric that decisions rest on."""
        return all(name in result for name in self.metrics)

    def finite(self, result: dict[str, Any]) -> bool:
        """Whether `result` can be fed to a model: every decisive metric is there and a finite number."""
        return all(is_finite(result.get(name)) for name in self.metrics)

    def _guard(self, trial: Trial | str | None, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except Exception:
            about = trial.trial_id if isinstance(trial, Trial) else trial or "experiment"
            log.exception("%s: a policy raised; going on without its answer", about)
            return None
