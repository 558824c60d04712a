"""The picture of a running experiment: header, bar, the best so far, counts, a table of trials, failures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from tune.machine.trial import Trial, TrialState
from tune.views.grid import Cell, grid
from tune.views.lines import failure_words, metrics_of
from tune.views.tally import Tally
from tune.views.wording import clock_text, cut, duration_text, one_line, pairs_text, value_text

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
    head = [_header(tally, picture, elapsed, width, over=over), *_bar(tally, picture, elapsed, width)]
    middle = [] if over else [*_best(tally, width), Text(), _counts(tally), Text()]
    foot = [] if over else [*_failures(tally, width), _footer(picture, width)]
    room = max(height - len(head) - len(middle) - len(foot) - 4, 1)
    rows = _rows(tally, min(room, _MOST_ROWS), over=over)
    table = [*_table(tally, rows, width), Text()] if rows else []
    return Group(*head, Text(), *middle, *table, *foot)


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
    closing = tally.experiment.closing
    if closing is not None and closing.keep:
        return "‖", "interrupted" if over else "saving and stopping", "yellow"
    if over:
        return "✓", "finished", "green"
    return ("●", "ending", "yellow") if closing is not None else ("●", "running", "green")


def _bar(tally: Tally, picture: Picture, elapsed: float, width: int) -> list[Text]:
    ended, total = tally.ended, picture.total
    if not total:
        return [Text(f"{ended} trials ended")]
    filled = round(_BAR * min(ended / total, 1))
    room = min(_BAR, max(width - 40, 10))
    filled = round(filled * room / _BAR)
    bar = Text.assemble(("█" * filled, "green"), ("░" * (room - filled), "dim"), f"  {ended}/{total} trials")
    since = ended - picture.ended_before
    if since >= _ENOUGH_FOR_GUESS and ended < total and tally.experiment.closing is None:
        bar.append(f"   ~{duration_text(elapsed / since * (total - ended))} left", "dim")
    return [_fitted(bar, width)]


def _best(tally: Tally, width: int) -> list[Text]:
    experiment = tally.experiment
    trial, result = experiment.best, experiment.best_result
    if trial is None or result is None:
        told = "nothing reported yet" if not experiment.results else "no finite value yet"
        return [Text.assemble(("best  ", "dim"), (told, "dim"))] if experiment.plan.metrics else []
    name = experiment.plan.metrics[0]
    value = f"{one_line(name)} {value_text(result[name])}"
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


def _rows(tally: Tally, most: int, *, over: bool) -> list[Trial]:
    """The best trial, those that run, then what ended last; when all is over, the best ones."""
    best = [trial for _, trial in tally.best]
    live = list(islice(list(tally.experiment.live.values()), _MOST_ROWS))
    recent = list(tally.recent)[::-1]
    order = [*best, *recent] if over else [*best[:1], *live, *recent, *best]
    return list({trial.trial_id: trial for trial in order}.values())[:most]


def _table(tally: Tally, rows: list[Trial], width: int) -> list[Text]:
    plan = tally.experiment.plan
    metrics = plan.metrics or (metrics_of(rows[0]) if rows else ())
    names = tally.varying.names
    header = [Cell(name, "dim") for name in ("trial", "state", "iter", *metrics, "time", *names, "")]
    lines = [_row(tally, trial, metrics, names) for trial in rows]
    hidden = len(tally.experiment.live) - sum(trial.state.live for trial in rows)
    more = [Text(f"  ... and {hidden} more running", "dim")] if hidden > 0 else []
    return [*grid([header, *lines], width), *more]


def _row(tally: Tally, trial: Trial, metrics: tuple[str, ...], names: tuple[str, ...]) -> list[Cell]:
    word, symbol, style = _state(trial)
    result = trial.last_result or {}
    parameters = tally.parameters(trial)
    best = trial is tally.experiment.best
    return [
        Cell(trial.trial_id, "bold" if best else ""),
        Cell(f"{symbol} {word}", style),
        Cell(str(trial.totals.iteration) if trial.totals.iteration else "", "", right=True),
        *(Cell(_shown(result.get(name)), "bold green" if best else "", right=True) for name in metrics),
        Cell(duration_text(trial.totals.seconds) if trial.totals.iteration else "", "", right=True),
        *(Cell(_shown(parameters.get(name)), "", right=_is_number(parameters.get(name))) for name in names),
        Cell(cut(one_line(trial.reason), 40) if trial.state is not TrialState.ERROR else "", "dim"),
    ]


def _state(trial: Trial) -> tuple[str, str, str]:
    if trial.state is TrialState.TERMINATED:
        return _STOPPED if trial.reason else _DONE
    return _STATES[trial.state]


def _failures(tally: Tally, width: int) -> list[Text]:
    lines = []
    for trial, failure in tally.failures[:_MOST_FAILURES]:
        told = f"{failure_words(failure)}   {pairs_text(tally.parameters(trial))}"
        lines.append(_fitted(Text.assemble((f"✗ {trial.trial_id} failed  ", "red"), told), width))
    if tally.failed > len(lines):
        lines.append(Text(f"  ... and {tally.failed - len(lines)} more failed", "dim"))
    return [*lines, Text()] if lines else []


def _footer(picture: Picture, width: int) -> Text:
    return _fitted(Text(f"results {picture.directory}   Ctrl-C stops and keeps results", "dim"), width)


def _shown(value: object) -> str:
    return "" if value is None else value_text(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fitted(text: Text, width: int) -> Text:
    """The text on one line, cut at the edge of the screen."""
    text.no_wrap = True
    text.truncate(width, overflow="ellipsis")
    return text
