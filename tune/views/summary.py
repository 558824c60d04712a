"""The last words of a run: the best trial, what became of all, the first failure, and where to go on from here."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from tune.machine.events import Failure
from tune.machine.trial import Trial
from tune.views.lines import metrics_of, where_words
from tune.views.objectives import Objectives
from tune.views.ranking import metric_of
from tune.views.tally import Tally
from tune.views.wording import cut, duration_text, lines_of, one_line, pairs_text, typed

_TRACEBACK_LINES = 6
_LONGEST_CONFIG = 200
_MOST_OF_FRONT = 5
_INDENT = " " * 10


def summary(tally: Tally, directory: Path, total: int | None) -> list[str]:
    """At most seven lines, and a few more when trials failed."""
    experiment = tally.experiment
    place = typed(str(directory))
    closing = experiment.closing
    cut_short = not experiment.finished or (closing is not None and closing.keep)
    resumable = cut_short and not (closing is not None and closing.error)
    return [
        *_best(tally),
        _line("trials", _counts(tally, total)),
        *_failures(tally),
        *_switched_off(tally),
        _line("results", place),
        _line("load", f"tune.ResultGrid({json.dumps(place, ensure_ascii=False)})"),
        *([_line("resume", f"audition resume {shlex.quote(place)}")] if resumable else []),
    ]


def _best(tally: Tally) -> list[str]:
    experiment = tally.experiment
    trial, result, metrics = experiment.best, experiment.best_result, experiment.plan.metrics
    if trial is None or result is None:
        return _only_one(tally)
    if len(metrics) > 1 and (front := _front(tally)):
        return front
    values = pairs_text({name: result[name] for name in metrics if name in result})
    told = f"{trial.trial_id}  {values} at iteration {result['training_iteration']}"
    broken = Objectives(constraints=experiment.plan.outcome_constraints).broken(result)
    least = [_line("", f"no trial keeps the constraints; this one breaks {', '.join(broken)}")] if broken else []
    return [_line("best", told), *least, *_config(tally, trial)]


def _front(tally: Tally) -> list[str]:
    """The trials that no other is better than in everything, by their last results."""
    plan, trials = tally.experiment.plan, tally.experiment.trials
    objectives = Objectives(dict(zip(plan.metrics, plan.modes, strict=True)), plan.outcome_constraints)
    front = objectives.front({name: trial.last_result for name, trial in trials.items() if trial.last_result})
    lines: list[str] = []
    for name in front[:_MOST_OF_FRONT]:
        last = trials[name].last_result or {}
        values = pairs_text({metric: metric_of(last, metric) for metric in plan.metrics})
        config = cut(pairs_text(tally.parameters(trials[name])), _LONGEST_CONFIG)
        lines.append(_line("" if lines else "front", f"{name}  {values}" + (f"  {config}" if config else "")))
    more = len(front) - len(lines)
    return [*lines, *([_line("", f"and {more} more that no other betters in everything")] if more else [])]


def _only_one(tally: Tally) -> list[str]:
    """Without a metric nothing is best; but of a single trial one wants to see what it reported."""
    trials = tally.experiment.trials
    trial = next(iter(trials.values()), None)
    if len(trials) != 1 or trial is None or trial.last_result is None:
        return []
    values = pairs_text({name: trial.last_result[name] for name in metrics_of(trial)})
    return [_line("last", f"{trial.trial_id}  {values} at iteration {trial.totals.iteration}"), *_config(tally, trial)]


def _config(tally: Tally, trial: Trial) -> list[str]:
    config = pairs_text(tally.parameters(trial))
    return [_line("", cut(config, _LONGEST_CONFIG))] if config else []


def _counts(tally: Tally, total: int | None) -> str:
    experiment = tally.experiment
    parts = [
        f"{count} {word}"
        for count, word in (
            (tally.done, "done"),
            (tally.stopped, "stopped"),
            (tally.failed, "failed"),
            (len(experiment.paused), "paused"),
            (len(experiment.waiting) + len(experiment.resting) + len(experiment.live), "to go on"),
            (tally.dismissed, "never started"),
        )
        if count
    ]
    known = len(experiment.trials)
    of_all = f" of {total}" if total is not None and total > known else ""
    told = f"{known}{of_all} in {duration_text(experiment.time)}" + (f": {', '.join(parts)}" if parts else "")
    return told + (f" ({why})" if (why := _why_over(tally, total)) else "")


def _why_over(tally: Tally, total: int | None) -> str:
    """Why the run ended before all of its trials were suggested."""
    experiment = tally.experiment
    if experiment.closing:
        return one_line(experiment.closing.reason)
    early = experiment.search_over and (total is None or len(experiment.trials) < total)
    return "the searcher has nothing else to try" if early and not experiment.search_error else ""


def _failures(tally: Tally) -> list[str]:
    if not tally.failures:
        return []
    first = tally.failures[0]
    config = cut(pairs_text(tally.parameters(first.trial)), _LONGEST_CONFIG)
    alike, others = first.count - 1, tally.failed - first.count
    told = f"{first.trial.trial_id} with {config}" if config else first.trial.trial_id
    told += f", {alike} more in the same way" if alike else ""
    told += f", {others} in other ways" if others else ""
    return [_line("failed", told), *(f"{_INDENT}{line}" for line in _tail(first.failure))]


def _switched_off(tally: Tally) -> list[str]:
    return [_line("" if at else "without", text) for at, text in enumerate(tally.switched_off)]


def _tail(failure: Failure) -> list[str]:
    """The end of the user's own traceback; of a process that died, how, and the last lines that it printed."""
    if failure.traceback:
        return lines_of(failure.traceback)[-_TRACEBACK_LINES:]
    where = [where_words(failure)] if failure.where else []
    return [*lines_of(failure.summary)[:2], *where, *lines_of(failure.log_tail)[-_TRACEBACK_LINES:]]


def _line(word: str, told: str) -> str:
    return f"{word:<10}{told}"
