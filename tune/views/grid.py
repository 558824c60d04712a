"""Aligned columns on a terminal: as many as fit, each as wide as it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

_GAP = 2
_LEAST = 12


@dataclass(frozen=True, slots=True)
class Cell:
    """A text that nobody has to trust, its style, and on which side it stands."""

    text: str
    style: str = ""
    right: bool = False


def grid(rows: Sequence[Sequence[Cell]], width: int) -> list[Text]:
    """Lines of at most `width` cells; the first row has the names.

    Columns that are empty or do not fit are left out, whole; the last one is cut to what room there is.
    """
    columns = [[cell_len(row[at].text) for row in rows] for at in range(len(rows[0]))]
    widths = [max(lengths) if any(lengths[1:]) else 0 for lengths in columns]
    right = [any(row[at].right for row in rows) for at in range(len(widths))]
    shown: list[int] = []
    for at, needed in enumerate(widths):
        room = width - sum(widths[one] + _GAP for one in shown)
        if needed > room >= _LEAST and at == len(widths) - 1:
            widths[at] = room
        if 0 < widths[at] <= room:
            shown.append(at)
    return [_line(row, shown, widths, right) for row in rows]


def _line(row: Sequence[Cell], shown: Sequence[int], widths: Sequence[int], right: Sequence[bool]) -> Text:
    line = Text(no_wrap=True)
    for at in shown:
        text = set_cell_size(row[at].text, widths[at]) if cell_len(row[at].text) > widths[at] else row[at].text
        space = " " * (widths[at] - cell_len(text))
        line.append(space + text if right[at] else text + space, row[at].style)
        line.append(" " * _GAP)
    line.rstrip()
    return line
