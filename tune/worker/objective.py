"""Optuna objectives unchanged: the `trial` that an objective is given asks its parameters from the experiment."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from searchers.define import SuggestingTrial
from searchers.domain import Domain
from tune.worker.session import Session, TrialLeave

__audition_internal__ = True


class TrialPruned(TrialLeave):
    """Raised by an objective to end its trial early, after `should_prune` said so. Optuna's own works as well."""


def is_objective(function: Callable[..., Any]) -> bool:
    """Whether `function` is an Optuna objective: its first parameter is named or annotated as a trial."""
    try:
        first = next(iter(inspect.signature(function).parameters.values()), None)
    except (TypeError, ValueError):
        return False
    if first is None:
        return False
    annotation = first.annotation if isinstance(first.annotation, str) else getattr(first.annotation, "__name__", "")
    # Quoted as well as deferred, an annotation keeps its quotes.
    return first.name == "trial" or annotation.strip("'\"").rpartition(".")[2] == "Trial"


class ObjectiveTrial(SuggestingTrial):
    """What an objective sees: the names and meanings of `optuna.Trial`.

    Each parameter is asked once, kept in the journal, and answered alike when the trial runs again after a restart.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session.task.config)
        self._session = session
        self._told_to_prune = False
        self.user_attrs: dict[str, Any] = {}

    @property
    def number(self) -> int:
        """The trial's number, from 0."""
        return int(self._session.task.trial_id.lstrip("t"))

    def report(self, value: float, step: int) -> None:
        """Report an intermediate value; `should_prune` then knows what was decided on it.

        Raises:
            NotImplementedError: the run has several objectives, and an intermediate value is one of one.
        """
        if len(self._session.setting.metrics) > 1:
            raise NotImplementedError("trial.report is for one objective, and the run has several: only return them")
        metric = self._session.setting.metrics[0]
        self._session.converse(self._session.reporting({**self.user_attrs, metric: float(value), "step": step}))
        self._told_to_prune = self._session.told_to_leave

    def should_prune(self) -> bool:
        """Whether the trial was told to end: raise `TrialPruned` then."""
        return self._told_to_prune or self._session.should_stop

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keep a value with the trial: it is reported with the values that follow."""
        self.user_attrs[key] = value

    def _ask(self, name: str, domain: Domain) -> Any:
        return self._session.ask(name, domain)


def final_metrics(trial: ObjectiveTrial, value: Any, names: Sequence[str]) -> Mapping[str, Any]:
    """The value or values that an objective returned, by the run's metrics.

    Raises:
        TypeError: it returned no number, or another count of them than the run has metrics.
    """
    values = list(value) if isinstance(value, list | tuple) else [value]
    if len(values) != len(names):
        raise TypeError(f"the objective returned {value!r}; the run compares {', '.join(names)}")
    try:
        numbers = [float(one) for one in values]
    except (TypeError, ValueError):
        raise TypeError(f"an objective must return a number, got {value!r} ({type(value).__name__})") from None
    return {**trial.user_attrs, **dict(zip(names, numbers, strict=True))}


def is_pruned(error: BaseException) -> bool:
    """Whether an exception is Optuna's `TrialPruned`, recognised without importing Optuna."""
    return any(base.__name__ == "TrialPruned" for base in type(error).__mro__)
