"""A running experiment as plain lines, one for each change of a trial's state: for pipes, files and logs."""

from __future__ import annotations

import time
from typing import TextIO

from tune.machine.events import Entry, Failure, Reported, SwitchedOff
from tune.machine.experiment import Experiment
from tune.machine.trial import AUTOMATIC, Trial
from tune.views.tally import Change, Tally
from tune.views.wording import duration_text, one_line, pairs_text, switched_off_text, typed, value_text

_LONGEST_REASON = 300
_MOST_METRICS = 3


class Lines:
    """Writes lines as things happen. With `every_result` also one for each report."""

    def __init__(self, tally: Tally, stream: TextIO, total: int | None, *, every_result: bool = False) -> None:
        self._tally = tally
        self._stream = stream
        self._total = total
        self._every_result = every_result

    def start(self) -> None:
        """Nothing to draw yet."""

    def show(self, entry: Entry, change: Change | None) -> None:
        """Write what `change` says, if anything."""
        if isinstance(entry.event, SwitchedOff):
            self._stream.write(f"{clock_of(entry.wall)} {switched_off_text(entry.event)}\n")
            self._stream.flush()
        if change is None and self._every_result and isinstance(entry.event, Reported):
            change = Change(self._tally.experiment.trials[entry.event.trial_id], "reported")
        if change is not None:
            self._stream.write(change_line(change, self._tally, entry.wall, self._total) + "\n")
            self._stream.flush()

    def finish(self, summary: list[str]) -> None:
        """Write the last words."""
        self._stream.write("".join(f"{line}\n" for line in summary))
        self._stream.flush()


def change_line(change: Change, tally: Tally, wall: float, total: int | None) -> str:
    """``12:04:07 t54 stopped accuracy=0.984 iteration=9 3.9s lr=0.0022 | best t37 0.9871 | 59/100 (reason)``."""
    trial = change.trial
    words = [clock_of(wall), trial.trial_id, change.word]
    if change.word != "started":
        words += reached_words(tally.experiment, trial)
    parts = [" ".join([*words, pairs_text(tally.parameters(trial))]).rstrip()]
    if best := best_words(tally.experiment):
        parts.append(best)
    parts.append(f"{tally.ended}/{total}" if total is not None else f"{tally.ended} ended")
    failed = failure_words(change.failure) if change.failure else ""
    told = "; ".join(filter(None, (failed, one_line(change.reason))))
    return " | ".join(parts) + (f" ({told})" if told else "")


def clock_of(wall: float) -> str:
    """The hour of the day, here: ``12:04:07``."""
    return time.strftime("%H:%M:%S", time.localtime(wall))


def reached_words(experiment: Experiment, trial: Trial) -> list[str]:
    """How far a trial came: its metrics, iteration, and time."""
    result = trial.last_result
    if result is None:
        return []
    names = experiment.plan.metrics or metrics_of(trial)
    values = {name: result[name] for name in names if name in result}
    # Of the last result, not of the trial: that may have been taken back to a checkpoint meanwhile.
    iteration, seconds = result["training_iteration"], result["time_total_s"]
    return [pairs_text({**values, "iteration": iteration}), duration_text(seconds)]


def metrics_of(trial: Trial) -> tuple[str, ...]:
    """The first few numbers that a trial reported itself: what to show when the run names no metric."""
    result = trial.last_result or {}
    names = [name for name, value in result.items() if name not in AUTOMATIC and isinstance(value, int | float)]
    return tuple(names[:_MOST_METRICS])


def best_words(experiment: Experiment) -> str:
    """The best trial so far and its value; empty when there is none."""
    if experiment.best is None or experiment.best_result is None:
        return ""
    return f"best {experiment.best.trial_id} {value_text(experiment.best_result[experiment.plan.metrics[0]])}"


def failure_words(failure: Failure) -> str:
    """The first line of what went wrong, and where."""
    first = next(iter(failure.summary.splitlines()), failure.kind)
    where = where_words(failure)
    return one_line(first)[:_LONGEST_REASON] + (f", {where}" if where else "")


def where_words(failure: Failure) -> str:
    """The user's innermost line, its file as one would type it here."""
    return one_line(typed(failure.where))
