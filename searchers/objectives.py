"""What is optimised: said to the searcher, to the run, or to both alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from searchers.base import SearchContext

Names = str | Sequence[str] | None


def agree_on_objectives(context: SearchContext, metric: Names, mode: Names) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The metrics and their modes, where `metric` and `mode` are the searcher's own.

    Raises:
        ValueError: there is none, both name different ones, or metrics and modes do not go in pairs.
    """
    metrics = _agreed("metric", names(metric), context.metrics)
    modes = _agreed("mode", names(mode), context.modes)
    if not metrics:
        raise ValueError("no metric to optimise: give metric='...' and mode='min' or 'max' to the run or the searcher")
    if not modes:
        raise ValueError(f"is a small {' or '.join(metrics)} better, or a large one? give mode='min' or mode='max'")
    if unknown := [each for each in modes if each not in ("min", "max")]:
        raise ValueError(f"mode must be 'min' or 'max', not {unknown[0]!r}")
    if len(metrics) != len(modes):
        raise ValueError(f"each metric needs a mode of its own: {len(metrics)} metrics, {len(modes)} modes")
    if len(set(metrics)) < len(metrics):
        raise ValueError(f"a metric is named twice in {', '.join(metrics)}")
    return metrics, modes


def refuse_several(searcher: str, context: SearchContext, metrics: Sequence[str]) -> None:
    """For a searcher that follows one metric and knows no constraints on outcomes.

    Raises:
        ValueError: the run has several metrics, or constraints.
    """
    if len(metrics) > 1:
        raise ValueError(
            f"{searcher} follows one metric, not {', '.join(metrics)}: name one of them, or take a searcher that knows"
            " several, such as OptunaSearch()"
        )
    if context.outcome_constraints:
        told = ", ".join(map(str, context.outcome_constraints))
        raise ValueError(
            f"{searcher} knows no constraints on outcomes, and there are {told}: take a searcher that does, such as"
            " 'auto' or OptunaSearch()"
        )


def refuse_unconstrained(context: SearchContext) -> None:
    """For values known already, which say nothing of constraints on outcomes.

    Raises:
        ValueError: the run has constraints.
    """
    if context.outcome_constraints:
        told = ", ".join(sorted({one.metric for one in context.outcome_constraints}))
        raise ValueError(
            f"evaluated_rewards does not say what {told} came to, which outcome_constraints are about: give whole"
            " results by warm_start=[(configuration, result), ...]"
        )


def names(value: Names) -> tuple[str, ...]:
    """One name or several as a tuple; empty for None."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def finite_values(result: Mapping[str, Any], metrics: Sequence[str]) -> list[float] | None:
    """The metrics in `result`, None unless each is a finite number."""
    values = [result.get(metric) for metric in metrics]
    numbers = [float(value) for value in values if isinstance(value, Real) and math.isfinite(float(value))]
    return numbers if len(numbers) == len(metrics) else None


def _agreed(what: str, own: tuple[str, ...], given: tuple[str, ...]) -> tuple[str, ...]:
    if own and given and own != given:
        raise ValueError(
            f"the searcher has {what} {', '.join(own)} and the run has {', '.join(given)}; give it once, or alike"
        )
    return own or given
