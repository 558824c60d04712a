"""Which trial is best: a metric looked up in results, reduced by a scope, compared by a mode. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from tune.errors import InvalidArgumentError
from tune.machine.stopping import nested

History = Sequence[Mapping[str, Any]]
_NONE: Final[Mapping[str, float]] = {}


def metric_of(result: Mapping[str, Any], name: str) -> float | None:
    """A result's value of the metric `name`, nested ones by path; None when it is missing or no number."""
    value = result[name] if name in result else nested(result, name)
    return float(value) if isinstance(value, int | float) else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.nan


SCOPES = ("last", "all", "avg", "last-5-avg", "last-10-avg")
"""What of a trial's values it is compared by. Names and meaning are Ray Tune's."""


def score(values: Sequence[float], mode: str, scope: str) -> float:
    """What a trial is compared by under `scope`, from its values of the metric: oldest first, at least one."""
    match scope:
        case "all":
            return extreme(values, mode)
        case "avg":
            return _mean(values)
        case "last-5-avg":
            return _mean(values[-5:])
        case "last-10-avg":
            return _mean(values[-10:])
    return values[-1]


def check(scope: str, mode: str) -> None:
    """Refuse words that are not known.

    Raises:
        InvalidArgumentError: names the known ones.
    """
    mistakes = []
    if scope not in SCOPES:
        mistakes.append(f"scope must be one of {', '.join(SCOPES)}, got {scope!r}")
    if mode not in ("min", "max"):
        mistakes.append(f"mode must be 'min' or 'max', got {mode!r}")
    if mistakes:
        raise InvalidArgumentError(mistakes)


def extreme(values: Iterable[float], mode: str) -> float:
    """The least or greatest of `values`; NaN only when there is nothing else."""
    pick = min if mode == "min" else max
    numbers = [value for value in values if not math.isnan(value)]
    finite = [value for value in numbers if math.isfinite(value)]
    return pick(finite or numbers, default=math.nan)


def ascending(value: float | None, mode: str) -> float:
    """`value` so that more is better; what is missing or NaN is worse than anything."""
    if value is None or math.isnan(value):
        return -math.inf
    return -value if mode == "min" else value


def best(
    scores: Mapping[str, float | None],
    mode: str,
    *,
    filter_nan_and_inf: bool = True,
    violations: Mapping[str, float] = _NONE,
) -> str | None:
    """The id of the trial with the best score, the earlier one of equals; None when no score qualifies.

    NaN never does; infinity only without the filter. What has `violations` stands below all that has not, the less of
    them the better.
    """
    refused = (lambda value: not math.isfinite(value)) if filter_nan_and_inf else math.isnan
    known = {trial_id: value for trial_id, value in scores.items() if value is not None and not refused(value)}
    return max(known, key=lambda name: (-violations.get(name, 0.0), ascending(known[name], mode)), default=None)


def best_row(
    history: History, metric: str, mode: str, violation: Callable[[Mapping[str, Any]], float] | None = None
) -> Mapping[str, Any] | None:
    """The result of a trial with the best finite value of the metric, the earliest of equals.

    One with a `violation` stands below all that have none.
    """
    rows = [(value, row) for row in history if (value := metric_of(row, metric)) is not None and math.isfinite(value)]
    if violation is None:
        return max(rows, key=lambda pair: ascending(pair[0], mode))[1] if rows else None
    return max(rows, key=lambda pair: (-violation(pair[1]), ascending(pair[0], mode)))[1] if rows else None
