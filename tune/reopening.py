"""Trials of a resumed run that go on although they had ended, and those that another search space leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from searchers.base import SearchContext
from searchers.constraints import broken_by
from searchers.known import misfit
from tune.machine.events import Dismissed, Event, Reopened, SpaceChanged
from tune.machine.experiment import Experiment
from tune.machine.stopping import Stopper
from tune.machine.trial import Trial, TrialState


@dataclass(frozen=True, slots=True)
class Reopening:
    """Which trials go on.

    Those that were not over; those that failed, from their latest checkpoints or, with `restart_errored`, from zero;
    and with `longer` those that a stop criterion had ended.
    """

    unfinished: bool = True
    errored: bool = False
    restart_errored: bool = False
    longer: bool = False

    def events(self, experiment: Experiment, stopper: Stopper | None) -> Iterator[Event]:
        """What that comes to; `stopper` is bound, was told nothing, and says which of the ended would end again."""
        for trial in list(experiment.trials.values()):
            if trial.state is TrialState.ERROR and (self.errored or self.restart_errored):
                yield Reopened(trial.trial_id, restart=self.restart_errored)
            elif self.longer and _was_enough(trial) and not _is_enough(trial, stopper):
                yield Reopened(trial.trial_id)
            elif not self.unfinished and trial.state in (TrialState.PENDING, TrialState.PAUSED):
                yield Dismissed(trial.trial_id)


def _was_enough(trial: Trial) -> bool:
    """Whether a stop criterion ended it: not itself, nor the scheduler for being worse than others."""
    ended = trial.state is TrialState.TERMINATED and not trial.cut_short and bool(trial.reason)
    return ended and trial.last_result is not None and not trial.last_result.get("done")


def _is_enough(trial: Trial, stopper: Stopper | None) -> bool:
    return stopper is not None and bool(stopper.why(trial.trial_id, trial.last_result or {}))


@dataclass(frozen=True, slots=True)
class Foreign:
    """The trials that do not fit a changed search space, each with the reason; `count` trials were there before."""

    count: int
    reasons: Mapping[str, str]

    def events(self, experiment: Experiment) -> Iterator[Event]:
        """They stay in the results, and those that were not over are."""
        yield SpaceChanged(self.count, tuple(self.reasons))
        for name in self.reasons:
            if not experiment.trials[name].state.final:
                yield Dismissed(name)

    def __str__(self) -> str:
        if not self.reasons:
            return f"the search space has changed: all {self.count} trials fit it"
        name, reason = next(iter(self.reasons.items()))
        many = f"{len(self.reasons)} of {self.count} trials do not fit it, and the searcher is not told of them"
        return f"the search space has changed: {many}; of {name} the reason is that {reason}"


def compare(configs: Mapping[str, Mapping[str, Any]], context: SearchContext) -> Foreign:
    """Hold each trial's configuration against the space that the searcher has now."""
    reasons = {}
    for name, config in configs.items() if context.define is None else ():
        if reason := misfit(context.space, config) or _broken(config, context):
            reasons[name] = reason
    return Foreign(len(configs), reasons)


def _broken(config: Mapping[str, Any], context: SearchContext) -> str:
    broken = broken_by(context.constraints, config)
    return f"{broken} does not hold" if broken else ""
