"""Values as people read them: four significant digits, short durations, one line, nothing a terminal would obey."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune.machine.events import SwitchedOff

LONGEST_VALUE = 20


def value_text(value: Any, longest: int = LONGEST_VALUE) -> str:
    """A metric or a parameter: ``0.9871``, ``128``, ``adamw``; long ones are cut."""
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, str):
        return cut(one_line(value), longest)
    if callable(value) and hasattr(value, "__name__"):
        return cut(one_line(value.__name__), longest)
    return cut(one_line(_safe_repr(value)), longest)


def number_text(value: float) -> str:
    """A real number with four significant digits; a whole one keeps all of its digits up to a million."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.4g}"


def duration_text(seconds: float) -> str:
    """How long something took: ``12ms``, ``3.9s``, ``3m51s``, ``2h04m``, ``3d02h``."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02d}h"
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


def clock_text(seconds: float) -> str:
    """Elapsed time as a clock: ``00:12:41``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"


def pairs_text(values: Mapping[str, Any]) -> str:
    """Several values on one line: ``lr=0.0022 batch=64``."""
    return " ".join(f"{one_line(name)}={value_text(value)}" for name, value in values.items())


def switched_off_text(off: SwitchedOff) -> str:
    """``scheduler Broken was switched off: it raised KeyError: 'loss'``."""
    return one_line(f"{' '.join(filter(None, (off.part, off.name)))} was switched off: it raised {off.why}")


def cut(text: str, longest: int) -> str:
    """`text`, or its beginning and three dots when it is longer than `longest`."""
    return text if len(text) <= longest else text[: max(longest - 3, 0)] + "..."


def one_line(text: str) -> str:
    """`text` without line breaks and control characters: what users' strings hold must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " for char in text).strip()


def lines_of(text: str) -> list[str]:
    """The lines of `text`, each made harmless, tabs and indentation kept as spaces."""
    return ["".join(c if c.isprintable() else " " for c in line.expandtabs(4)).rstrip() for line in text.splitlines()]


def typed(path: str) -> str:
    """A path as one would type it here: relative to the working directory when it lies below."""
    return path.removeprefix(f"{Path.cwd()}{os.sep}")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested dictionary as one of paths joined by ``/``; an empty one stays as it is, lists too."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{path}/"))
        else:
            flat[path] = value
    return flat


def _safe_repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 (a user's own object may raise anything)
        return f"<{type(value).__name__}>"
