"""Tables and JSON on the terminal: coloured and fitted there, plain and whole when piped. Users' strings are inert."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import typer

from tune.cli.colour import is_terminal, paint
from tune.storage.data import Lost
from tune.views.wording import one_line, value_text

_COLOURS = {
    "RUNNING": "cyan",
    "running": "cyan",
    "TERMINATED": "green",
    "finished": "green",
    "ERROR": "red",
    "unreadable": "red",
    "PAUSED": "yellow",
    "interrupted": "yellow",
    "unfinished": "yellow",
}
_GAP = 2


def cell(value: Any) -> str:
    """A value in a table: short on a terminal, whole in a pipe."""
    if value is None:
        return ""
    if is_terminal():
        return value_text(value, 32)
    return one_line(value) if isinstance(value, str) else one_line(str(value))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, hint: str = "") -> None:
    """Aligned columns; on a terminal as many as fit, the rest named, with `hint` on how to see them."""
    lines = [[one_line(column) for column in columns], *([cell(value) for value in row] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    numeric = [_is_numeric([row[at] for row in rows]) for at in range(len(columns))]
    fitting = _fitting(widths) if is_terminal() else len(columns)
    for number, line in enumerate(lines):
        padded = (
            paint(
                text.rjust(width) if right else text.ljust(width),
                bold=number == 0,
                colour=_COLOURS.get(text.partition(" ")[0]) if column == "state" else None,
            )
            for column, text, width, right in zip(columns, line[:fitting], widths, numeric, strict=False)
        )
        typer.echo((" " * _GAP).join(padded).rstrip())
    if fitting < len(columns):
        typer.echo(f"not shown for want of room: {', '.join(lines[0][fitting:])}{hint}")


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Names and what belongs to them, one a line, what is empty left out."""
    listed = [(name, text) for name, text in facts if text]
    width = max((len(name) for name, _ in listed), default=0)
    for name, text in listed:
        typer.echo(f"{paint(f'{one_line(name):{width}}', dim=True)}  {one_line(text)}")


def print_heading(text: str, colour: str | None = None) -> None:
    """A line that begins a part."""
    typer.echo(f"\n{paint(one_line(text), bold=True, colour=colour)}")


def print_json(value: Any) -> None:
    """`value` as one JSON document: what JSON lacks becomes null or text."""
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def _fitting(widths: Sequence[int]) -> int:
    """How many columns the terminal has room for: one at least."""
    room = shutil.get_terminal_size().columns
    ends = accumulate(width + _GAP for width in widths)
    return max(1, sum(end - _GAP <= room for end in ends))


def _is_numeric(values: Iterable[Any]) -> bool:
    given = [value for value in values if value is not None]
    return bool(given) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in given)


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case Lost():
            return value.description
    return str(value)
