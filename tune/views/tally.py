"""What the progress views keep of a running experiment: small, and cheap to keep, however many trials there are."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, assert_never

from tune.machine.events import (
    Begun,
    CheckpointRefused,
    Closing,
    Decided,
    Dismissed,
    Ended,
    Entry,
    Event,
    Evicted,
    ExploitDropped,
    Exploited,
    Failed,
    Failure,
    Finished,
    HeldUp,
    Interrupted,
    Launched,
    Opened,
    Overdue,
    ParameterGiven,
    Reopened,
    Reported,
    ResizeDropped,
    Rested,
    SaveBegun,
    Saved,
    SaveFailed,
    SearchEnded,
    SpaceChanged,
    Suggested,
    SwitchedOff,
    TimedOut,
)
from tune.machine.experiment import Experiment
from tune.machine.merit import NO_MERIT, Merit, merit_of
from tune.machine.trial import Trial, TrialState
from tune.views.reading import failed_search
from tune.views.varying import Varying
from tune.views.wording import duration_text, switched_off_text

_MOST_RECENT = 16
_MOST_BEST = 8
_MOST_KINDS = 3


@dataclass(frozen=True, slots=True)
class Change:
    """A trial's state changed, in people's words: ``started``, ``paused``, ``done``, ``stopped``, ``failed``..."""

    trial: Trial
    word: str
    reason: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class FailureKind:
    """Trials that failed in the same way: the first of them, what went wrong, and how many they are."""

    trial: Trial
    failure: Failure
    count: int = 1


class Tally:
    """Follows an experiment entry by entry: counts of what ended, the best few trials, the most recent ones, failures.

    The lists are tuples, replaced whole, so that another thread may draw them meanwhile.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.varying = Varying()
        self.done = self.stopped = self.failed = self.dismissed = 0
        self.best: tuple[tuple[Merit, Trial], ...] = ()
        self.recent: deque[Trial] = deque(maxlen=_MOST_RECENT)
        self.failures: tuple[FailureKind, ...] = ()
        self._reasons: dict[str, str] = {}
        for trial in experiment.trials.values():
            self._take_up(trial)

    @property
    def ended(self) -> int:
        """How many trials will never run again."""
        return self.done + self.stopped + self.failed + self.dismissed

    @property
    def switched_off(self) -> list[str]:
        """What the run goes on without, a sentence each."""
        experiment = self.experiment
        search = [failed_search(experiment.search_error)] if experiment.search_error else []
        return [switched_off_text(off) for off in (*experiment.switched_off, *search)]

    def take(self, entry: Entry) -> Change | None:
        """Take in an entry; what changed about its trial, None when only numbers did."""
        event = entry.event
        match event:
            case Reported() | Suggested() | ParameterGiven():
                self._take_values(entry, event)
                return None
            case Decided():
                return self._decided(entry, event, self.experiment.trials[event.trial_id])
            case Exploited():
                self.varying.add(event.config)
                words = f"copies {event.donor} as of iteration {event.checkpoint.iteration}"
                return Change(self.experiment.trials[event.trial_id], "changed", words)
            case Evicted():
                return Change(self.experiment.trials[event.trial_id], "moves", event.why)
            case ExploitDropped() | ResizeDropped():
                return Change(self.experiment.trials[event.trial_id], "unchanged", event.why)
            case Launched() | Ended() | Failed() | Interrupted() | Dismissed():
                return self._change(entry, event, self.experiment.trials[event.trial_id])
            case Opened() | SearchEnded() | Closing() | Finished() | HeldUp() | SwitchedOff() | SpaceChanged():
                return None
            case SaveBegun() | Saved() | SaveFailed() | CheckpointRefused():
                return None
            case Overdue() | TimedOut() | Reopened() | Begun() | Rested():
                return None
            case _:
                assert_never(event)

    def parameters(self, trial: Trial) -> dict[str, Any]:
        """The parameters of `trial` that differ between trials, flat."""
        return self.varying.of(trial.config)

    def _take_values(self, entry: Entry, event: Reported | Suggested | ParameterGiven) -> None:
        if isinstance(event, Suggested):
            self.varying.add(event.config)
        elif isinstance(event, ParameterGiven):
            self.varying.add({event.name: event.value})
        else:
            self._rank(self.experiment.trials[event.trial_id], event.metrics)
            reason = getattr(entry.verdict.decision, "reason", "") if entry.verdict else ""
            if reason:
                self._reasons[event.trial_id] = reason

    def _decided(self, entry: Entry, event: Decided, trial: Trial) -> Change | None:
        if reason := getattr(event.decision, "reason", ""):
            self._reasons[event.trial_id] = reason
        state = TrialState(entry.state or trial.state)
        return self._left(trial, event, state) if state.final else None

    def _change(self, entry: Entry, event: Event, trial: Trial) -> Change | None:
        match event:
            case Launched():
                return Change(trial, *_launch_words(event))
            case Failed() if event.final:
                return self._failed_for_good(trial, event.failure)
            case Ended() if event.metrics is not None:
                self._rank(trial, event.metrics)
        return self._left(trial, event, TrialState(entry.state or trial.state))

    def _failed_for_good(self, trial: Trial, failure: Failure) -> Change:
        self.failed += 1
        self.recent.append(trial)
        self._reasons.pop(trial.trial_id, None)
        self._group(trial, failure)
        return Change(trial, "failed", failure=failure)

    def _left(self, trial: Trial, event: Event, state: TrialState) -> Change | None:
        """A trial's process is gone, or will never come."""
        reason = self._reasons.pop(trial.trial_id, "") or self._closing_reason()
        if state.final:
            return self._ended(trial, reason)
        if isinstance(event, Interrupted):
            return None
        if state is TrialState.PAUSED:
            return Change(trial, "paused", reason)
        if isinstance(event, Failed) and event.failure.kind != "killed":
            return Change(trial, "retries", rest_text(trial, self.experiment.time), failure=event.failure)
        return Change(trial, "suspended", reason)

    def _ended(self, trial: Trial, reason: str) -> Change | None:
        if trial.attempt == 0:
            self.dismissed += 1
            return None
        self.recent.append(trial)
        if trial.cut_short:
            self.stopped += 1
            return Change(trial, "stopped", reason)
        self.done += 1
        return Change(trial, "done", reason)

    def _group(self, trial: Trial, failure: Failure) -> None:
        """Count a failure with those that look the same."""
        alike = [_looks(kind.failure) == _looks(failure) for kind in self.failures]
        if any(alike):
            counted = zip(self.failures, alike, strict=True)
            self.failures = tuple(replace(kind, count=kind.count + same) for kind, same in counted)
        elif len(self.failures) < _MOST_KINDS:
            self.failures = (*self.failures, FailureKind(trial, failure))

    def _closing_reason(self) -> str:
        closing = self.experiment.closing
        return closing.reason if closing else ""

    def _rank(self, trial: Trial, metrics: Mapping[str, Any]) -> None:
        """Keep the few trials whose best result is best."""
        plan = self.experiment.plan
        if not plan.metrics:
            return
        merit = merit_of(plan, metrics)
        full = len(self.best) >= _MOST_BEST
        if merit == NO_MERIT or (full and merit <= self.best[-1][0]):
            return
        before = next((pair[0] for pair in self.best if pair[1] is trial), None)
        if before is not None and merit <= before:
            return
        others = [pair for pair in self.best if pair[1] is not trial]
        self.best = tuple(sorted([*others, (merit, trial)], key=_best_first)[:_MOST_BEST])

    def _take_up(self, trial: Trial) -> None:
        """Count a trial of an experiment that goes on."""
        self.varying.add(trial.config)
        if trial.last_result is not None:
            self._rank(trial, trial.last_result)
        if trial.state is TrialState.ERROR and trial.failure is not None:
            self._failed_for_good(trial, trial.failure)
        elif trial.state is TrialState.TERMINATED and trial.attempt == 0:
            self.dismissed += 1
        elif trial.state is TrialState.TERMINATED and trial.cut_short:
            self.stopped += 1
        elif trial.state is TrialState.TERMINATED:
            self.done += 1


def rest_text(trial: Trial, time: float) -> str:
    """How long a trial that failed by no fault of its own rests before it starts again; empty when it does not."""
    if trial.rests_until is None:
        return ""
    return f"rests {duration_text(max(trial.rests_until - time, 0.0))} before it starts again"


def _best_first(pair: tuple[Merit, Trial]) -> tuple[float, float, int]:
    (kept, value), trial = pair
    return -kept, -value, trial.number


def _looks(failure: Failure) -> tuple[str, str, str]:
    """What failures of one kind share: the error's name and where it was raised; the message may hold values."""
    return failure.kind, failure.summary.partition(":")[0].partition("\n")[0], failure.where


def _launch_words(event: Launched) -> tuple[str, str]:
    if event.attempt == 1:
        return "started", ""
    since = f"from iteration {event.checkpoint.iteration}" if event.checkpoint else "from the beginning"
    return "started", f"attempt {event.attempt}, {since}"
