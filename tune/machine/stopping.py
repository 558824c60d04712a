"""When a trial, or the whole experiment, has done enough.

`tune.run(stop=...)` takes a dictionary of thresholds, a function of (trial id, result), a `Stopper`, or a list of
these: any of them ends the trial.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self


class Stopper(ABC):
    """Decides after each result whether the trial has done enough; only `__call__` must be written.

    On resume it is called again with the whole history, in order, so that counts stand where they stood.
    """

    init_arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the constructor's arguments: the experiment's recipe keeps them as data."""
        self = super().__new__(cls)
        self.init_arguments = (args, kwargs)
        return self

    @abstractmethod
    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Whether the trial shall end with this result."""

    def stop_all(self) -> bool:
        """Whether the whole experiment shall end; asked after each result."""
        return False

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        """The reason to end the trial with this result, empty to go on."""
        return type(self).__name__ if self(trial_id, result) else ""


class ThresholdStopper(Stopper):
    """Ends a trial once any of its values reaches a threshold: ``{"training_iteration": 27, "accuracy": 0.99}``.

    A value reaches its threshold from below, or from above when `falling` names it: the run's own metric under
    ``mode="min"``. Keys of nested metrics are joined by ``/``.
    """

    def __init__(self, thresholds: Mapping[str, float], falling: Sequence[str] = ()) -> None:
        bad = {key: value for key, value in thresholds.items() if not _is_number(value)}
        if bad:
            raise ValueError(f"stop: thresholds must be numbers, got {bad!r}")
        self._thresholds = dict(thresholds)
        self._falling = frozenset(falling)

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return bool(self.why(trial_id, result))

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        for key, threshold in self._thresholds.items():
            value = result.get(key) if key in result else nested(result, key)
            if value is None or not _is_number(value):
                continue
            if value <= threshold if key in self._falling else value >= threshold:
                return f"{key} reached {threshold:g}"
        return ""


class FunctionStopper(Stopper):
    """Ends a trial when a plain function of (trial id, result) says so."""

    def __init__(self, function: Callable[[str, Mapping[str, Any]], bool]) -> None:
        self._function = function

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return bool(self._function(trial_id, result))

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        name = getattr(self._function, "__name__", "the stop function")
        return f"{name} said so" if self(trial_id, result) else ""


class MaximumIterationStopper(Stopper):
    """Ends each trial after `max_iter` results."""

    def __init__(self, max_iter: int) -> None:
        if max_iter < 1:
            raise ValueError(f"MaximumIterationStopper: max_iter must be at least 1, got {max_iter}")
        self._max_iter = max_iter

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return bool(result["training_iteration"] >= self._max_iter)


class CombinedStopper(Stopper):
    """Ends a trial, or the experiment, as soon as any of its stoppers does; each is asked every time."""

    def __init__(self, *stoppers: Stopper) -> None:
        self._stoppers = stoppers

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return bool(self.why(trial_id, result))

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        reasons = [stopper.why(trial_id, result) for stopper in self._stoppers]
        return ", ".join(reason for reason in reasons if reason)

    def stop_all(self) -> bool:
        answers = [stopper.stop_all() for stopper in self._stoppers]
        return any(answers)


StopCriterion = Stopper | Mapping[str, float] | Callable[[str, Mapping[str, Any]], bool]


def as_stopper(stop: StopCriterion | Sequence[StopCriterion] | None, *, falling: Sequence[str] = ()) -> Stopper | None:
    """Whatever a user may pass as ``stop``, as one stopper; None for nothing.

    Raises:
        TypeError: it is none of the accepted kinds.
        ValueError: a threshold is no number.
    """
    match stop:
        case None:
            return None
        case Stopper():
            return stop
        case Mapping():
            return ThresholdStopper(stop, falling) if stop else None
        case list() | tuple():
            parts = [part for part in (as_stopper(one, falling=falling) for one in stop) if part is not None]
            return CombinedStopper(*parts) if parts else None
        case _ if callable(stop):
            return FunctionStopper(stop)
    raise TypeError(f"stop must be a dictionary, a function, a Stopper or a list of these, got {stop!r}")


def nested(result: Mapping[str, Any], path: str) -> Any:
    """The value at a path of keys joined by ``/``, None when it is not there."""
    value: Any = result
    for key in path.split("/"):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
