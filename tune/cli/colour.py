"""Colours and weights, for people who look at a terminal and want them: not in pipes, not with ``NO_COLOR``."""

from __future__ import annotations

import os
import sys
from typing import TextIO

import typer


def is_terminal() -> bool:
    """Whether a person is looking at what is printed."""
    return sys.stdout.isatty()


def paint(
    text: str, *, colour: str | None = None, bold: bool = False, dim: bool = False, stream: TextIO | None = None
) -> str:
    """`text` with colour and weight where `stream` (standard output) shows them."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or not (colour or bold or dim) or not (stream or sys.stdout).isatty():
        return text
    return typer.style(text, fg=colour, bold=bold or None, dim=dim or None)
