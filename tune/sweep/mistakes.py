"""Mistakes in a sweep file: each with its place, its line and a caret under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tune.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written: line and column count from 1; a line of 0 says that `source` is all there is."""

    source: str
    line: int = 0
    column: int = 0
    width: int = 1
    text: str = ""

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source

    def excerpt(self) -> list[str]:
        """The line itself, and carets under what is meant."""
        if not self.line:
            return []
        margin = f"{self.line:5} | "
        carets = "^" * max(1, min(self.width, len(self.text) - self.column + 1))
        return [margin + self.text, f"{'':5} | {'':{self.column - 1}}{carets}"]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, and where."""

    message: str
    place: Place

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class SweepError(InvalidArgumentError):
    """A sweep file is wrong: shows every mistake in it with its line; nothing was started.

    `known` lists, for the sections in which a key was not known, the keys that are.
    """

    def __init__(self, source: str, found: Sequence[Mistake], known: Mapping[str, Sequence[str]] | None = None) -> None:
        ordered = sorted(dict.fromkeys(found), key=lambda one: (one.place.line == 0, one.place.line, one.place.column))
        super().__init__([str(one) for one in ordered])
        self.found = tuple(ordered)
        count = f"{len(ordered)} mistakes" if len(ordered) > 1 else "1 mistake"
        lines = [f"{count} in {source}"]
        for one in ordered:
            lines += [str(one), *one.place.excerpt()]
        lines += [f"known keys of {section}: {', '.join(keys)}" for section, keys in (known or {}).items()]
        self.text = "\n".join(lines)

    def __str__(self) -> str:
        return self.text
