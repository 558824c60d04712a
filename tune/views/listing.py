"""A short table of an experiment's trials, best first: as text for a terminal, as HTML for a notebook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from shutil import get_terminal_size
from typing import Any

from tune.views import marks, ranking
from tune.views.reading import TrialRecord
from tune.views.snapshot import Snapshot
from tune.views.varying import Varying
from tune.views.wording import cut, duration_text, flatten, one_line, switched_off_text, value_text

_WIDTH = 100
_MOST_METRICS = 4


@dataclass(frozen=True, slots=True)
class Listing:
    """A title, columns, rows of cells, how many trials are not shown, which columns are numbers, and what to know."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0
    numeric: frozenset[int] = frozenset()
    remarks: tuple[str, ...] = ()


def listing(snapshot: Snapshot, metric: str | None, mode: str | None, *, rows: int) -> Listing:
    """The best `rows` trials by the metric; the first ones when there is none."""
    ordered = _ordered(snapshot, metric, mode)
    shown = ordered[:rows]
    varying = Varying()
    for record in ordered[:1000]:
        varying.add(record.config())
    metrics = _metrics(snapshot, shown, metric)
    cells = [_cells(snapshot, record, metrics, varying.names) for record in shown]
    columns = ("trial", "state", *marks.columns(snapshot), "iteration", *metrics, "time", *varying.names)
    return Listing(
        _title(snapshot, ordered, metric),
        tuple(one_line(name) for name in columns),
        tuple(tuple("" if value is None else _cell(value) for value in line) for line in cells),
        len(ordered) - len(shown),
        frozenset(at for at in range(len(columns)) if at and _numbers([line[at] for line in cells])),
        tuple(map(switched_off_text, snapshot.switched_off)),
    )


def as_text(listing: Listing) -> str:
    """Aligned columns, as many as fit on the terminal, or into a hundred characters."""
    lines = [listing.columns, *listing.rows]
    room = get_terminal_size((_WIDTH, 24)).columns
    widths = [max(len(line[at]) for line in lines) for at in range(len(listing.columns))]
    fitting = 0
    while fitting < len(widths) and sum(widths[: fitting + 1]) + 2 * fitting <= room:
        fitting += 1
    told = [listing.title]
    for line in lines if listing.rows else []:
        cells = (
            line[at].rjust(widths[at]) if at in listing.numeric else line[at].ljust(widths[at]) for at in range(fitting)
        )
        told.append("  ".join(cells).rstrip())
    if listing.left_out:
        told.append(f"... and {listing.left_out} more")
    return "\n".join([*told, *listing.remarks])


def as_html(listing: Listing) -> str:
    """A plain table; everything that a user named is escaped."""
    head = "".join(
        f'<th style="text-align:{_side(listing, at)}">{escape(name)}</th>' for at, name in enumerate(listing.columns)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:{_side(listing, at)}">{escape(cell)}</td>' for at, cell in enumerate(line))
        + "</tr>"
        for line in listing.rows
    )
    more = f"<p>&hellip; and {listing.left_out} more</p>" if listing.left_out else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if listing.rows else ""
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in listing.remarks)
    return f"<div><p><strong>{escape(listing.title)}</strong></p>{table}{more}{remarks}</div>"


def _side(listing: Listing, at: int) -> str:
    return "right" if at in listing.numeric else "left"


def _ordered(snapshot: Snapshot, metric: str | None, mode: str | None) -> Sequence[TrialRecord]:
    if metric is None or mode is None:
        return snapshot.trials
    known = snapshot.compared

    def place(record: TrialRecord) -> tuple[float, float]:
        last = known.get(record.trial_id, {})
        return snapshot.objectives.violation(last), -ranking.ascending(ranking.metric_of(last, metric), mode)

    return sorted(snapshot.trials, key=place)


def _metrics(snapshot: Snapshot, shown: Sequence[TrialRecord], metric: str | None) -> list[str]:
    """The metrics worth a column: the experiment's own, else the first few numbers that trials reported."""
    if metric is not None:
        return list(dict.fromkeys([metric, *snapshot.facts.get("metrics", [])]))
    reported = {
        name: None
        for record in shown
        for name, value in flatten(snapshot.last_metrics.get(record.trial_id, {})).items()
        if isinstance(value, int | float)
    }
    return list(reported)[:_MOST_METRICS]


def _cells(snapshot: Snapshot, record: TrialRecord, metrics: Sequence[str], parameters: Sequence[str]) -> list[Any]:
    last = snapshot.last_result(record.trial_id)
    config = flatten(record.config())
    time = duration_text(last["time_total_s"]) if last else None
    return [
        record.trial_id,
        record.state,
        *marks.cells(snapshot, record.trial_id).values(),
        last.get("training_iteration"),
        *(ranking.metric_of(last, name) for name in metrics),
        time,
        *(config.get(name) for name in parameters),
    ]


def _cell(value: Any) -> str:
    return value_text(value)


def _numbers(values: Sequence[Any]) -> bool:
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)


def _title(snapshot: Snapshot, ordered: Sequence[TrialRecord], metric: str | None) -> str:
    states = ", ".join(f"{count} {state}" for state, count in sorted(Counter(one.state for one in ordered).items()))
    name = cut(one_line(str(snapshot.facts.get("name", snapshot.directory.name))), 60)
    by = f", best {one_line(metric)} first" if metric and ordered else ""
    return f"{name}: {len(ordered)} trials" + (f" ({states})" if states else "") + by
