"""When a trial, or the whole experiment, has done enough.

`tune.run(stop=...)` takes a dictionary of thresholds, a function of (trial id, result), a `Stopper`, or a list of
these: any of them ends the trial. `tune.stopper` has all of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Self

from schedulers.base import NEVER


class Stopper(ABC):
    """Decides after each result whether the trial has done enough; only `__call__` must be written.

    Stoppers are joined by ``|`` and ``&`` with each other, with dictionaries of thresholds and with plain functions. On
    resume it is called again with the whole history, in order, so that counts stand where they stood.
    """

    init_arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the constructor's arguments: the experiment's recipe keeps them as data."""
        self = super().__new__(cls)
        self.init_arguments = (args, kwargs)
        return self

    def bind(self, modes: Mapping[str, str]) -> None:
        """Take the run's own metrics, each with its mode, ``min`` or ``max``. Called once, before anything else.

        Raises:
            ValueError: the stopper needs to know a metric or its mode and was not told.
        """

    @abstractmethod
    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Whether the trial shall end with this result."""

    def stop_all(self) -> bool:
        """Whether the whole experiment shall end; asked after each result."""
        return False

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        """The reason to end the trial with this result, empty to go on."""
        return type(self).__name__ if self(trial_id, result) else ""

    def why_all(self) -> str:
        """The reason to end the experiment, once `stop_all` said so."""
        return f"{type(self).__name__} ended the experiment"

    def free_until(self, trial_id: str, iteration: int) -> int:
        """The ``training_iteration`` before which no result of the trial can end it; it stands at `iteration`.

        Until there it need not wait for answers. By default nothing is promised.
        """
        return 0

    def on_trial_end(self, trial_id: str) -> None:
        """The trial has ended for good, one way or another."""

    # Time, in seconds of the experiment's own life: what only a stopper that counts it has to know.

    def on_time(self, time_s: float) -> None:
        """So much time has passed; told before each result, and when `deadline_s` comes."""

    @property
    def deadline_s(self) -> float | None:
        """When time alone may end the experiment next, None for never."""
        return None

    def time_is_up(self) -> bool:
        """Whether time alone ends the experiment now; asked when `deadline_s` has come. Changes nothing."""
        return False

    def __or__(self, other: StopCriterion) -> CombinedStopper:
        return CombinedStopper(self, _stopper(other))

    def __ror__(self, other: StopCriterion) -> CombinedStopper:
        return CombinedStopper(_stopper(other), self)

    def __and__(self, other: StopCriterion) -> AllStopper:
        return AllStopper(self, _stopper(other))

    def __rand__(self, other: StopCriterion) -> AllStopper:
        return AllStopper(_stopper(other), self)


class NoopStopper(Stopper):
    """Ends nothing."""

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return False

    def free_until(self, trial_id: str, iteration: int) -> int:
        return NEVER


class ThresholdStopper(Stopper):
    """Ends a trial once any of its values reaches a threshold: ``{"training_iteration": 27, "accuracy": 0.99}``.

    A value reaches its threshold from below; the run's own metric under ``mode="min"``, and what `falling` names, from
    above. Keys of nested metrics are joined by ``/``.
    """

    def __init__(self, thresholds: Mapping[str, float], falling: Sequence[str] = ()) -> None:
        bad = {key: value for key, value in thresholds.items() if not _is_number(value)}
        if bad:
            raise ValueError(f"stop: thresholds must be numbers, got {bad!r}")
        self._thresholds = dict(thresholds)
        self._falling = frozenset(falling)

    def bind(self, modes: Mapping[str, str]) -> None:
        self._falling |= {metric for metric, mode in modes.items() if mode == "min"}

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return bool(self.why(trial_id, result))

    def free_until(self, trial_id: str, iteration: int) -> int:
        """Known ahead when nothing but iterations is counted."""
        return math.ceil(self._thresholds["training_iteration"]) if {*self._thresholds} == {"training_iteration"} else 0

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

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        return f"it reached max_iter ({self._max_iter})" if self(trial_id, result) else ""

    def free_until(self, trial_id: str, iteration: int) -> int:
        return self._max_iter


class TimeoutStopper(Stopper):
    """Ends the experiment after `timeout`, seconds of its own life: what was spent before a resume, but no time off.

    A timer sees to it, so that a long iteration does not overrun it.
    """

    def __init__(self, timeout: float | timedelta) -> None:
        self._timeout_s = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        if not _is_number(self._timeout_s) or not self._timeout_s > 0:
            raise ValueError(f"TimeoutStopper: timeout must be a number of seconds above 0, got {timeout!r}")
        self._time_s = 0.0

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.time_is_up()

    def why_all(self) -> str:
        return f"the timeout of {self._timeout_s:g} s is over"

    def free_until(self, trial_id: str, iteration: int) -> int:
        return NEVER

    def on_time(self, time_s: float) -> None:
        self._time_s = max(time_s, self._time_s)

    @property
    def deadline_s(self) -> float | None:
        return None if self.time_is_up() else self._timeout_s

    def time_is_up(self) -> bool:
        return self._time_s >= self._timeout_s


class _Joined(Stopper):
    """Several stoppers: each is told and asked every time."""

    def __init__(self, *stoppers: Stopper) -> None:
        self._stoppers = stoppers
        self._want = [False for _ in stoppers]

    @property
    def parts(self) -> tuple[Stopper, ...]:
        """The stoppers that are joined."""
        return self._stoppers

    def bind(self, modes: Mapping[str, str]) -> None:
        for stopper in self._stoppers:
            stopper.bind(modes)

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return bool(self.why(trial_id, result))

    def why_all(self) -> str:
        wanting = zip(self._stoppers, self._want, strict=True)
        return ", ".join(stopper.why_all() for stopper, wants in wanting if wants or stopper.time_is_up())

    def on_trial_end(self, trial_id: str) -> None:
        for stopper in self._stoppers:
            stopper.on_trial_end(trial_id)

    def on_time(self, time_s: float) -> None:
        for stopper in self._stoppers:
            stopper.on_time(time_s)

    @property
    def deadline_s(self) -> float | None:
        return min((each.deadline_s for each in self._stoppers if each.deadline_s is not None), default=None)

    def _ask_all(self) -> list[bool]:
        self._want = [stopper.stop_all() for stopper in self._stoppers]
        return self._want


class CombinedStopper(_Joined):
    """Ends a trial, or the experiment, as soon as any of its stoppers does: ``a | b``."""

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        reasons = [stopper.why(trial_id, result) for stopper in self._stoppers]
        return ", ".join(reason for reason in reasons if reason)

    def stop_all(self) -> bool:
        return any(self._ask_all())

    def free_until(self, trial_id: str, iteration: int) -> int:
        return min((stopper.free_until(trial_id, iteration) for stopper in self._stoppers), default=NEVER)

    def time_is_up(self) -> bool:
        return any(stopper.time_is_up() for stopper in self._stoppers)


class AllStopper(_Joined):
    """Ends a trial when all of its stoppers do at the same result, and the experiment when all want that: ``a & b``.

    None is remembered to have wanted it before: with ``{"accuracy": 0.9} & MaximumIterationStopper(10)`` the accuracy
    must be 0.9 at the tenth iteration or later. One that wants the whole experiment to end wants each trial to:
    ``TimeoutStopper(60) & MaximumIterationStopper(10)`` lets every trial make ten iterations, and more for a minute.
    """

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        reasons = [stopper.why(trial_id, result) for stopper in self._stoppers]
        wanted = self._ask_all()
        pairs = zip(self._stoppers, reasons, wanted, strict=True)
        reasons = [reason or (stopper.why_all() if wants else "") for stopper, reason, wants in pairs]
        return " and ".join(reasons) if reasons and all(reasons) else ""

    def stop_all(self) -> bool:
        return bool(self._stoppers) and all(self._ask_all())

    def time_is_up(self) -> bool:
        wanting = zip(self._stoppers, self._want, strict=True)
        return bool(self._stoppers) and all(wants or stopper.time_is_up() for stopper, wants in wanting)


StopCriterion = Stopper | Mapping[str, float] | Callable[[str, Mapping[str, Any]], bool]


def as_stopper(
    stop: StopCriterion | Sequence[StopCriterion] | None, *, modes: Mapping[str, str] | None = None
) -> Stopper | None:
    """Whatever a user may pass as ``stop``, as one stopper; None for nothing. `modes` are those of the run's metrics.

    Raises:
        TypeError: it is none of the accepted kinds.
        ValueError: a threshold is no number, or a stopper lacks what it needs.
    """
    parts = [_stopper(part) for part in (stop if isinstance(stop, list | tuple) else [stop]) if part not in (None, {})]
    if not parts:
        return None
    stopper = CombinedStopper(*parts) if isinstance(stop, list | tuple) else parts[0]
    stopper.bind(modes or {})
    return stopper


def _stopper(stop: object) -> Stopper:
    match stop:
        case Stopper():
            return stop
        case Mapping():
            return ThresholdStopper(stop)
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
