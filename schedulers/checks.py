"""What is wrong with a scheduler's arguments, said all at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real

from schedulers.objective import MODES


def refuse(scheduler: str, mistakes: Iterable[str]) -> None:
    """Refuse to build `scheduler` when there are mistakes.

    Raises:
        ValueError: there are; it names all of them.
    """
    if mistakes := list(mistakes):
        raise ValueError(f"{scheduler}: {'; '.join(mistakes)}")


def not_finite(named: Mapping[str, object]) -> list[str]:
    """A mistake for each value that is no finite number."""
    return [f"{name} is {value!r}: give a finite number" for name, value in named.items() if not _is_finite(value)]


def not_whole(named: Mapping[str, tuple[object, int]]) -> list[str]:
    """A mistake for each value that is no whole number, or less than the least that goes with it."""
    return [
        f"{name} is {value!r}: it must be a whole number, at least {least}"
        for name, (value, least) in named.items()
        if not isinstance(value, int) or isinstance(value, bool) or value < least
    ]


def unknown_mode(mode: str | None) -> list[str]:
    """A mistake for a mode that is neither ``min`` nor ``max``; None is left to the run."""
    return [] if mode is None or mode in MODES else [f"mode is {mode!r}: use 'min' or 'max'"]


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
