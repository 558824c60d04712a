"""Constraints on outcomes: what a trial's result must keep for the trial to be of use, such as ``latency_ms <= 20``.

The texts are those of Ax. That what breaks a constraint is compared by how far it does, after all that keeps it: Deb,
An efficient constraint handling method for genetic algorithms, CMAME 186, 2000.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

_TEXT = re.compile(r"\s*(?P<metric>[^<>=]*[^<>=\s])\s*(?P<relation><=|>=|<|>)\s*(?P<bound>[^<>=\s]+)\s*")


@dataclass(frozen=True, slots=True)
class OutcomeConstraint:
    """`metric` shall be ``<=``, ``<``, ``>=`` or ``>`` (`relation`) than `bound`."""

    metric: str
    relation: str
    bound: float

    def excess(self, result: Mapping[str, Any]) -> float | None:
        """How far `result` is beyond the bound, in units of the bound: above 0 breaks it, 0 and less keeps it.

        A bound of 0 is counted in units of the metric. None when the metric is missing or no finite number.
        """
        value = result.get(self.metric)
        if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(float(value)):
            return None
        beyond = float(value) - self.bound if self.relation[0] == "<" else self.bound - float(value)
        if beyond == 0 and self.relation in ("<", ">"):
            return sys.float_info.min
        return beyond / (abs(self.bound) or 1.0)

    def __str__(self) -> str:
        return f"{self.metric} {self.relation} {self.bound:.10g}"


def read_constraints(texts: str | Sequence[str] | None) -> tuple[OutcomeConstraint, ...]:
    """Constraints from their texts, each once.

    Raises:
        ValueError: names every text that is none, and what it lacks.
    """
    listed = [texts] if isinstance(texts, str) else texts or ()
    if not isinstance(listed, list | tuple):
        raise ValueError(f"outcome_constraints must be a list of texts such as 'latency_ms <= 20', got {texts!r}")
    found, mistakes = dict[OutcomeConstraint, None](), []
    for text in listed:
        try:
            found[_read(text)] = None
        except ValueError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ValueError(f"outcome_constraints: {'; '.join(mistakes)}")
    return tuple(found)


def violation(constraints: Sequence[OutcomeConstraint], result: Mapping[str, Any]) -> float:
    """How far `result` breaks `constraints` in all: 0 when it keeps them, infinite when one cannot be told."""
    excesses = [constraint.excess(result) for constraint in constraints]
    return math.fsum(math.inf if excess is None else max(excess, 0.0) for excess in excesses)


def excesses_of(constraints: Sequence[OutcomeConstraint], result: Mapping[str, Any]) -> list[float] | None:
    """How far `result` is beyond each bound; None when one cannot be told."""
    excesses = [constraint.excess(result) for constraint in constraints]
    known = [excess for excess in excesses if excess is not None]
    return known if len(known) == len(excesses) else None


def _read(text: Any) -> OutcomeConstraint:
    about = repr(text)
    if not isinstance(text, str):
        raise ValueError(f"{about} is no text such as 'latency_ms <= 20'")
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{about} is not a metric, then <=, <, >= or >, then a number: 'latency_ms <= 20'")
    metric, relation, bound = match["metric"], match["relation"], match["bound"]
    if _number(metric) is not None:
        raise ValueError(f"{about}: the metric stands at the left, the number at the right of {relation}")
    if (number := _number(bound)) is None:
        raise ValueError(f"{about}: {bound!r} is no finite number; write it without a unit")
    return OutcomeConstraint(metric, relation, number)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
