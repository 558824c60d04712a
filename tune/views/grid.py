"""Aligned columns on a terminal: as many as fit, each as wide as it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

_GAP = 2


@dataclass(frozen=True, slots=True)
class Cell:
    """A text that nobody has to trust, its style, and on which side it stands."""

    text: str
    style: str = ""
    right: bool = False


def grid(rows: Sequence[Sequence[Cell]], width: int) -> list[Text]:
    """Lines of at most `width` cells; the first row has the names. Columns that do not fit are left out, whole."""
    widths = [max(cell_len(row[at].text) for row in rows) for at in range(len(rows[0]))]
    right = [any(row[at].right for row in rows) for at in range(len(widths))]
    shown: list[int] = []
    for at, needed in enumerate(widths):
        if needed and sum(widths[one] + _GAP for one in shown) + needed <= width:
            shown.append(at)
    return [_line(row, shown, widths, right) for row in rows]


def _line(row: Sequence[Cell], shown: Sequence[int], widths: Sequence[int], right: Sequence[bool]) -> Text:
    line = Text(no_wrap=True)
    for at in shown:
        space = " " * (widths[at] - cell_len(row[at].text))
        line.append(space + row[at].text if right[at] else row[at].text + space, row[at].style)
        line.append(" " * _GAP)
    line.rstrip()
    return line
