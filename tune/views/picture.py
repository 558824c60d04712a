"""The picture of a running experiment: header, bar, the best so far, counts, a table of trials, failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from tune.machine.trial import Trial, TrialState
from tune.views.grid import Cell, grid
from tune.views.lines import failure_words, metrics_of
from tune.views.tally import Tally, rest_text
from tune.views.wording import clock_text, cut, duration_text, one_line, pairs_text, typed, value_text

_MOST_ROWS = 12
_MOST_FAILURES = 2
_BAR = 40
_ENOUGH_FOR_GUESS = 3

# Word, symbol and colour of each state: never colour alone.
_STATES = {
    TrialState.PENDING: ("waiting", "◌", "dim"),
    TrialState.RUNNING: ("running", "●", "cyan"),
    TrialState.PAUSING: ("pausing", "●", "cyan"),
    TrialState.PAUSED: ("paused", "‖", "blue"),
    TrialState.STOPPING: ("stopping", "●", "cyan"),
    TrialState.SUSPENDING: ("saving", "●", "cyan"),
    TrialState.ERROR: ("failed", "✗", "red"),
}
_RESTING = ("resting", "◌", "yellow")
_DONE = ("done", "✓", "green")
_STOPPED = ("stopped", "■", "yellow")


@dataclass(frozen=True, slots=True)
class Picture:
    """What does not change while it is drawn: names, and where this run took the experiment up."""

    name: str
    directory: Path
    total: int | None
    ended_before: int
    time_before: float


def draw(
    tally: Tally, picture: Picture, elapsed: float, width: int, height: int, *, over: bool = False
) -> RenderableType:
    """One frame, no more than `height` lines; `over` leaves out what the summary below it says."""
    head = [_header(tally, picture, elapsed, width, over=over), *_bar(tally, picture, elapsed, width, over=over)]
    middle = [] if over else [*_best(tally, width), Text(), _fitted(_counts(tally), width), Text()]
    foot = [] if over else [*_failures(tally, width), _footer(picture, width)]
    room = max(height - len(head) - len(middle) - len(foot) - 4, 1)
    table = (_final_table if over else _table)(tally, min(room, _MOST_ROWS), width)
    return Group(*head, Text(), *middle, *([*table, Text()] if table else []), *foot)


def _header(tally: Tally, picture: Picture, elapsed: float, width: int, *, over: bool) -> Text:
    plan = tally.experiment.plan
    symbol, word, style = _mood(tally, over=over)
    left = Text.assemble(
        (cut(one_line(picture.name), 40), "bold"),
        "  ",
        (f"{symbol} {word}", style),
        "  ",
        clock_text(picture.time_before + elapsed),
    )
    goals = (
        f"{one_line(metric)} {'↑' if mode == 'max' else '↓'}"
        for metric, mode in zip(plan.metrics, plan.modes, strict=False)
    )
    right = "  ".join(goals)
    gap = min(width, 100) - left.cell_len - len(right)
    if right and gap >= 2:
        left.append(" " * gap + right, "dim")
    return _fitted(left, width)


def _mood(tally: Tally, *, over: bool) -> tuple[str, str, str]:
    taken_up = tally.experiment.finished and not over  # drawn before the run knows that it goes on
    closing = None if taken_up else tally.experiment.closing
    if closing is not None and closing.error:
        return "✗", "cannot go on", "red"
    if closing is not None and closing.keep:
        return "‖", "interrupted" if over else "saving and stopping", "yellow"
    if over:
        return "✓", "finished", "green"
    return ("●", "ending", "yellow") if closing is not None else ("●", "running", "green")


def _bar(tally: Tally, picture: Picture, elapsed: float, width: int, *, over: bool) -> list[Text]:
    ended, total = tally.ended, picture.total
    if not total:
        return [Text(f"{ended} trials ended")]
    filled = round(_BAR * min(ended / total, 1))
    room = min(_BAR, max(width - 40, 10))
    filled = round(filled * room / _BAR)
    bar = Text.assemble(("█" * filled, "green"), ("░" * (room - filled), "dim"), f"  {ended}/{total} trials")
    since = ended - picture.ended_before
    if not over and since >= _ENOUGH_FOR_GUESS and ended < total and tally.experiment.closing is None:
        bar.append(f"   ~{duration_text(elapsed / since * (total - ended))} left", "dim")
    return [_fitted(bar, width)]


def _best(tally: Tally, width: int) -> list[Text]:
    experiment = tally.experiment
    trial, result = experiment.best, experiment.best_result
    if trial is None or result is None:
        told = "nothing reported yet" if not experiment.results else "no finite value yet"
        return [Text.assemble(("best  ", "dim"), (told, "dim"))] if experiment.plan.metrics else []
    named = {name: result[name] for name in experiment.plan.metrics if name in result}
    value = "  ".join(f"{one_line(name)} {value_text(one)}" for name, one in named.items())
    first = Text.assemble(
        ("best  ", "dim"),
        (trial.trial_id, "bold"),
        "  ",
        (value, "bold green"),
        (f"  iteration {result['training_iteration']}", "dim"),
    )
    config = pairs_text(tally.parameters(trial))
    return [_fitted(first, width), *([_fitted(Text(f"      {config}"), width)] if config else [])]


def _counts(tally: Tally) -> Text:
    experiment = tally.experiment
    counts = [
        (len(experiment.live), *_STATES[TrialState.RUNNING]),
        (len(experiment.waiting), *_STATES[TrialState.PENDING]),
        (len(experiment.resting), *_RESTING),
        (len(experiment.paused), *_STATES[TrialState.PAUSED]),
        (tally.done, *_DONE),
        (tally.stopped, *_STOPPED),
        (tally.failed, *_STATES[TrialState.ERROR]),
    ]
    told = Text()
    for count, word, symbol, style in counts:
        if count or word == "running":
            told.append(f"{symbol} {count} {word}   ", style)
    return told


def _rows(tally: Tally, most: int) -> list[Trial]:
    """The best trial, those that run or rest, then what ended last."""
    live = list(islice(list(tally.experiment.live.values()), _MOST_ROWS))
    resting = list(islice(list(tally.experiment.resting.values()), _MOST_ROWS))
    best = [trial for _, trial in tally.best]
    order = [*best[:1], *live, *resting, *list(tally.recent)[::-1], *best]
    return list({trial.trial_id: trial for trial in order}.values())[:most]


def _table(tally: Tally, most: int, width: int) -> list[Text]:
    """Trials and where they stand now."""
    rows = _rows(tally, most)
    metrics = tally.experiment.plan.metrics or (metrics_of(rows[0]) if rows else ())
    shown = [(trial, [(trial.last_result or {}).get(name) for name in metrics]) for trial in rows]
    hidden = len(tally.experiment.live) - sum(trial.state.live for trial in rows)
    more = [Text(f"... and {hidden} more running", "dim")] if hidden > 0 else []
    return [*_lines(tally, metrics, shown, width), *more]


def _final_table(tally: Tally, most: int, width: int) -> list[Text]:
    """The best trials by the best that each reached; without a metric, the last ones.

    Of several metrics, those that the trial had together in the end.
    """
    plan = tally.experiment.plan
    if not plan.metrics:
        return _table(tally, most, width)
    if len(plan.metrics) > 1:
        together = [(trial, trial.last_result or {}) for _, trial in tally.best[:most]]
        values = [(trial, [last.get(name) for name in plan.metrics]) for trial, last in together]
        return _lines(tally, plan.metrics, values, width)
    sign = -1 if plan.modes[0] == "min" else 1
    shown = [(trial, [sign * merit]) for (_, merit), trial in tally.best[:most]]
    return _lines(tally, (f"best {plan.metrics[0]}",), shown, width)


def _lines(tally: Tally, metrics: Sequence[str], rows: Sequence[tuple[Trial, list[Any]]], width: int) -> list[Text]:
    if not rows:
        return []
    names = tally.varying.names
    header = [Cell(one_line(name), "dim") for name in ("trial", "state", "iter", *metrics, "time", *names, "")]
    return grid([header, *(_row(tally, trial, values, names) for trial, values in rows)], width)


def _row(tally: Tally, trial: Trial, values: Sequence[Any], names: Sequence[str]) -> list[Cell]:
    word, symbol, style = _state(trial)
    parameters = tally.parameters(trial)
    best = trial is tally.experiment.best
    reached = trial.totals.iteration
    return [
        Cell(trial.trial_id, "bold" if best else ""),
        Cell(f"{symbol} {word}", style),
        Cell(str(reached) if reached else "", right=True),
        *(Cell(_shown(value), "bold green" if best else "", right=True) for value in values),
        Cell(duration_text(trial.totals.seconds) if reached else "", right=True),
        *(Cell(_shown(parameters.get(name)), right=_is_number(parameters.get(name))) for name in names),
        Cell(_why(tally, trial), "dim"),
    ]


def _why(tally: Tally, trial: Trial) -> str:
    if trial.state is TrialState.ERROR:
        return ""
    rest = rest_text(trial, tally.experiment.time)
    failed = failure_words(trial.failure) if rest and trial.failure else ""
    return "; ".join(filter(None, (rest, failed))) or one_line(trial.reason)


def _state(trial: Trial) -> tuple[str, str, str]:
    if trial.state is TrialState.TERMINATED:
        return _STOPPED if trial.reason else _DONE
    if trial.rests_until is not None:
        return _RESTING
    return _STATES[trial.state]


def _failures(tally: Tally, width: int) -> list[Text]:
    lines = []
    for kind in tally.failures[:_MOST_FAILURES]:
        others = f" and {kind.count - 1} more" if kind.count > 1 else ""
        told = f"{failure_words(kind.failure)}   {pairs_text(tally.parameters(kind.trial))}"
        lines.append(_fitted(Text.assemble((f"✗ {kind.trial.trial_id}{others} failed  ", "red"), told), width))
    lines += [_fitted(Text(f"✗ {told}", "yellow"), width) for told in tally.switched_off[:_MOST_FAILURES]]
    return [*lines, Text()] if lines else []


def _footer(picture: Picture, width: int) -> Text:
    return _fitted(
        Text(f"Ctrl-C stops and keeps the results in {one_line(typed(str(picture.directory)))}", "dim"), width
    )


def _shown(value: object) -> str:
    return "" if value is None else value_text(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fitted(text: Text, width: int) -> Text:
    """The text on one line, cut at the edge of the screen."""
    text.no_wrap = True
    text.truncate(width, overflow="ellipsis")
    return text
