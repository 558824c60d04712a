"""How long a trial may be silent, and how long it may take: deadlines of those that run.

Times are seconds of the experiment's life. A trial that saves a checkpoint is not silent: it may have ended but for
that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tune.machine.events import TimedOut
from tune.machine.plan import Plan
from tune.machine.trial import Trial


def is_patient(plan: Plan) -> bool:
    """Whether trials may take as long as they like."""
    return plan.report_timeout_s is plan.trial_timeout_s is plan.start_timeout_s is None


def next_end(plan: Plan, trials: Iterable[Trial]) -> float | None:
    """When the first of these running trials will have been silent, or have run, for too long."""
    return min((end for trial in trials for end, _ in _ends(plan, trial)), default=None)


def timed_out(plan: Plan, trials: Iterable[Trial], time: float) -> Iterator[TimedOut]:
    """Those that have been by `time`."""
    for trial in trials:
        end, why = min(_ends(plan, trial), default=(None, ""))
        if end is not None and time >= end:
            yield TimedOut(trial.trial_id, trial.attempt, why)


def _ends(plan: Plan, trial: Trial) -> Iterator[tuple[float, str]]:
    if trial.timed_out:
        return
    if plan.trial_timeout_s is not None:
        left = plan.trial_timeout_s - trial.lived_s
        yield trial.launched_at + left, f"it ran for {plan.trial_timeout_s:g} s in all its attempts (trial_timeout_s)"
    if plan.start_timeout_s is not None and not trial.has_begun:
        why = f"it did not begin within {plan.start_timeout_s:g} s (start_timeout_s)"
        yield trial.launched_at + plan.start_timeout_s, why
    if plan.report_timeout_s is not None and trial.has_begun and not trial.saving.under_way:
        why = f"it reported nothing for {plan.report_timeout_s:g} s (report_timeout_s)"
        yield trial.heard_at + plan.report_timeout_s, why
