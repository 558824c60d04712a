"""The three policies of an experiment behind one door: told what happens, asked what to do, and kept from harm.

A policy that raises ends nothing by itself (`tune.machine.guard`): the error is logged with the trial's id, and the
answer is a harmless one. A scheduler that is switched off gives way to first in, first out: all trials, paused ones
too, run to their ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from schedulers.base import Candidates, Continue, Decision, Decisions, Stop, TrialScheduler
from schedulers.fifo import FIFOScheduler
from searchers.base import Searcher
from tune.errors import never_reported
from tune.machine.events import ParameterGiven, SwitchedOff
from tune.machine.guard import MOST_SCHEDULER_ERRORS, Guard, guarded
from tune.machine.stopping import Stopper
from tune.machine.totals import is_finite
from tune.machine.trial import AUTOMATIC, Trial

log = logging.getLogger(__name__)
T = TypeVar("T")


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
    _switched_off: list[SwitchedOff] = field(default_factory=list)
    _guard: Guard = field(init=False)
    _stopper: Stopper | None = field(init=False)

    def __post_init__(self) -> None:
        self._stopper = guarded(self.stopper, self._switched_off.append)
        name = type(self.scheduler).__name__
        self._guard = Guard("scheduler", name, MOST_SCHEDULER_ERRORS, self._switched_off.append)

    def take_switched_off(self) -> list[SwitchedOff]:
        """What was switched off since the last call."""
        taken = self._switched_off[:]
        self._switched_off.clear()
        return taken

    def judge(self, trial: Trial, result: dict[str, Any]) -> tuple[Decision, Decisions]:
        """What a running trial shall do after `result`, and then others.

        The stop criteria come first, and the searcher is told.
        """
        if self.finite(result):
            self._inform(trial.trial_id, lambda: self.searcher.on_trial_result(trial.trial_id, result))
        if self._stopper is not None and (reason := self._stopper.why(trial.trial_id, result)):
            return Stop(reason, complete=True), {}
        if done := self.done(result):
            return done, {}
        if not self.has_metrics(result):
            return Continue(), {}
        answer = self._heed("on_trial_result", trial, lambda: self.scheduler.on_trial_result(trial, result))
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
        free = self._heed("free_until", trial, lambda: self.scheduler.free_until(trial, iteration)) or 0
        if self._stopper is None or not free:
            return free
        return min(free, self._stopper.free_until(trial.trial_id, iteration))

    def wants_end(self) -> str:
        """Why the stopper ends the whole experiment, empty when it does not."""
        return self._stopper.why_all() if self._stopper is not None and self._stopper.stop_all() else ""

    def time_passed(self, time: float) -> None:
        """Tell the stopper how many seconds the experiment has lived."""
        if self._stopper is not None:
            self._stopper.on_time(time)

    @property
    def deadline(self) -> float | None:
        """The second of the experiment's life at which time alone may end it."""
        return None if self._stopper is None else self._stopper.deadline_s

    def time_is_up(self) -> str:
        """Why time alone ends the whole experiment now, empty when it does not."""
        return self._stopper.why_all() if self._stopper is not None and self._stopper.time_is_up() else ""

    def opened(self, resources: dict[str, float]) -> None:
        """The run begins, or goes on."""
        self._heed("on_open", None, lambda: self.scheduler.on_open(resources))

    def completed_config(self, trial_id: str, config: dict[str, Any]) -> dict[str, Any]:
        """A new trial's configuration, with what the scheduler adds to it."""
        found = self._heed("complete_config", trial_id, lambda: dict(self.scheduler.complete_config(trial_id, config)))
        return config if found is None else found

    def added(self, trial: Trial) -> None:
        """A trial exists, or one that had ended goes on."""
        self._inform(trial.trial_id, lambda: self.searcher.on_trial_add(trial.trial_id, trial.config))
        self._heed("on_trial_add", trial, lambda: self.scheduler.on_trial_add(trial))

    def launched(self, trial: Trial) -> None:
        """An attempt begins. To the scheduler one that comes again to where it was told to leave has not yet left."""
        self._inform(trial.trial_id, lambda: self.searcher.on_trial_start(trial.trial_id))
        if trial.saving.owed is None:
            self._heed("on_trial_start", trial, lambda: self.scheduler.on_trial_start(trial))

    def paused(self, trial: Trial) -> None:
        """A trial was paused, and its process is gone."""
        self._inform(trial.trial_id, lambda: self.searcher.on_trial_pause(trial.trial_id))
        self._heed("on_trial_pause", trial, lambda: self.scheduler.on_trial_pause(trial))

    def asked(self, trial_id: str) -> None:
        """On resume: the searcher was asked here for a trial that was added later."""
        self._inform(trial_id, lambda: self.searcher.on_ask(trial_id))

    def given(self, event: ParameterGiven) -> None:
        """A running trial was given a parameter."""
        name, domain, value = event.name, event.domain, event.value
        self._inform(event.trial_id, lambda: self.searcher.on_parameter(event.trial_id, name, domain, value))

    def returned(self, trial: Trial, result: dict[str, Any]) -> None:
        """A trial returned its last result: nothing is decided on it, but the stopper counts it."""
        if self._stopper is not None:
            self._stopper.why(trial.trial_id, result)

    def completed(self, trial: Trial) -> Decisions:
        """A trial ended for good, with its last result; answers what others shall do."""
        result = trial.last_result
        usable = result if result is not None and self.finite(result) and self._constrained(result) else None
        self._forget(trial)
        self._inform(trial.trial_id, lambda: self.searcher.on_trial_complete(trial.trial_id, usable))
        answer = self._heed("on_trial_complete", trial, lambda: self.scheduler.on_trial_complete(trial, result))
        return _decisions(trial, answer)

    def failed(self, trial: Trial) -> Decisions:
        """A trial failed for good; answers what others shall do."""
        self._forget(trial)
        self._inform(trial.trial_id, lambda: self.searcher.on_trial_complete(trial.trial_id, None, error=True))
        return _decisions(trial, self._heed("on_trial_error", trial, lambda: self.scheduler.on_trial_error(trial)))

    def _forget(self, trial: Trial) -> None:
        if self._stopper is not None:
            self._stopper.on_trial_end(trial.trial_id)

    def choose(self, candidates: Candidates) -> str | None:
        """Which waiting or paused trial starts next; None leaves the room to a new trial.

        Asked again at once when the scheduler raises: a run must not end because nobody was chosen.
        """
        if not candidates.waiting and not candidates.paused:
            return None
        chosen = self._chosen(candidates)
        while self._guard.raised:
            chosen = self._chosen(candidates)
        if chosen is None:
            return None
        if isinstance(chosen, str) and (chosen in candidates.waiting or chosen in candidates.paused):
            return chosen
        log.error("the scheduler chose trial %r, which cannot start now", chosen)
        return None

    def _chosen(self, candidates: Candidates) -> str | None:
        return self._heed("choose_trial_to_run", None, lambda: self.scheduler.choose_trial_to_run(candidates))

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
        if trial_id in self.foreign:
            return
        try:
            call()
        except Exception:
            log.exception("%s: the search algorithm raised when it was told; going on", trial_id)

    def _heed(self, question: str, about: Trial | str | None, call: Callable[[], T]) -> T | None:
        """What the scheduler answers. One that raises again and again is not asked any more: trials run on without."""
        about = about.trial_id if isinstance(about, Trial) else about or "experiment"
        answer = self._guard.ask(question, about, call, None)
        if self._guard.off and type(self.scheduler) is not FIFOScheduler:
            context, self.scheduler = self.scheduler.context, FIFOScheduler()
            self.scheduler.bind(context)
        return answer


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
