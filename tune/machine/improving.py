"""Stoppers that look at how results improve: per trial or over all, at a target, on a plateau, or no more at all."""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from tune.machine.stopping import Stopper, nested
from tune.machine.totals import is_finite

MODES = ("min", "max")


class _Watching(Stopper):
    """Watches one metric: of the run's by default the first, with the run's mode."""

    def __init__(self, metric: str | None, mode: str | None, mistakes: Iterable[str] = ()) -> None:
        mistakes = [*mistakes]
        if mode is not None and mode not in MODES:
            mistakes.append(f"mode is {mode!r}: use 'min' or 'max'")
        if mistakes:
            raise ValueError(f"{type(self).__name__}: {'; '.join(mistakes)}")
        self._metric, self._mode = metric, mode

    def bind(self, modes: Mapping[str, str]) -> None:
        self._metric = self._metric or next(iter(modes), None)
        self._mode = self._mode or modes.get(self._metric or "")
        missing = [name for name, value in (("metric", self._metric), ("mode", self._mode)) if not value]
        if missing:
            raise ValueError(f"{type(self).__name__}: it has no {' and no '.join(missing)}: give it, or to tune.run")

    def value(self, result: Mapping[str, Any]) -> float | None:
        """The metric, when it is a finite number."""
        name = self._metric or ""
        found = result.get(name) if name in result else nested(result, name)
        return float(found) if is_finite(found) else None

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is a better value than `other`."""
        return one > other if self._mode == "max" else one < other


class TargetStopper(_Watching):
    """Ends the experiment as soon as a result of any trial reaches `target`.

    A dictionary of thresholds ends the trial alone. `metric` and `mode` are the run's by default.
    """

    def __init__(self, target: float, metric: str | None = None, mode: str | None = None) -> None:
        super().__init__(metric, mode, [] if is_finite(target) else [f"target is {target!r}: give a finite number"])
        self._target = target
        self._reached = ""

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        value = self.value(result)
        if value is None or self.better(self._target, value):
            return False
        self._reached = self._reached or f"{trial_id} reached the target, {self._metric} {value:g}"
        return True

    def stop_all(self) -> bool:
        return bool(self._reached)

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        return self._reached if self(trial_id, result) else ""

    def why_all(self) -> str:
        return self._reached


class TrialPlateauStopper(_Watching):
    """Ends a trial when the standard deviation of its last `num_results` values of `metric` is below `std`.

    Not before `grace_period` results, nor before it has `num_results`; with `metric_threshold` not before the metric
    has reached that too, in the sense of `mode`. NaN and infinite values do not count.
    """

    def __init__(
        self,
        metric: str | None = None,
        std: float = 0.01,
        num_results: int = 4,
        grace_period: int = 4,
        metric_threshold: float | None = None,
        mode: str | None = None,
    ) -> None:
        mistakes = _below({"std": (std, 0), "num_results": (num_results, 2), "grace_period": (grace_period, 0)})
        super().__init__(metric, mode, mistakes)
        self._std, self._num_results, self._grace_period = std, num_results, grace_period
        self._threshold = metric_threshold
        self._latest: dict[str, deque[float]] = {}
        self._counts: dict[str, int] = {}

    def bind(self, modes: Mapping[str, str]) -> None:
        if self._threshold is None:  # then it is all the same
            self._mode = self._mode or "min"
        super().bind(modes)

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        value = self.value(result)
        if value is None:
            return False
        latest = self._latest.setdefault(trial_id, deque(maxlen=self._num_results))
        latest.append(value)
        self._counts[trial_id] = count = self._counts.get(trial_id, 0) + 1
        if count < max(self._grace_period, self._num_results):
            return False
        if self._threshold is not None and self.better(self._threshold, value):
            return False
        return deviation(latest) < self._std

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        if not self(trial_id, result):
            return ""
        spread = deviation(self._latest[trial_id])
        return f"its last {self._num_results} {self._metric} deviate by {spread:.3g}, less than {self._std:g}"

    def on_trial_end(self, trial_id: str) -> None:
        self._latest.pop(trial_id, None)
        self._counts.pop(trial_id, None)


class ExperimentPlateauStopper(_Watching):
    """Ends the experiment when the `top` best values of all results deviate by no more than `std`.

    That is, by their standard deviation, and once this has been so for more than `patience` results on end.
    """

    def __init__(
        self,
        metric: str | None = None,
        std: float = 0.001,
        top: int = 10,
        mode: str | None = None,
        patience: int = 0,
    ) -> None:
        super().__init__(metric, mode, _below({"std": (std, 0), "top": (top, 2), "patience": (patience, 0)}))
        self._std, self._top, self._patience = std, top, patience
        self._best: list[float] = []
        self._flat = 0

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        value = self.value(result)
        if value is not None:
            insort(self._best, -value if self._mode == "max" else value)
            del self._best[self._top :]
            flat = len(self._best) == self._top and deviation(self._best) <= self._std
            self._flat = self._flat + 1 if flat else 0
        return self.stop_all()

    def stop_all(self) -> bool:
        return self._flat > self._patience

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        return self.why_all() if self(trial_id, result) else ""

    def why_all(self) -> str:
        return f"the best {self._top} {self._metric} deviate by no more than {self._std:g}"


class NoImprovementStopper(_Watching):
    """Ends the experiment when the best value has not improved for so many `results`, or so many new `trials`.

    An improvement of `min_delta` or less is none. Trials count when they report for the first time.
    """

    def __init__(
        self,
        metric: str | None = None,
        mode: str | None = None,
        *,
        results: int | None = None,
        trials: int | None = None,
        min_delta: float = 0.0,
    ) -> None:
        limits = {name: (most, 1) for name, most in (("results", results), ("trials", trials)) if most is not None}
        mistakes = _below({**limits, "min_delta": (min_delta, 0)})
        super().__init__(metric, mode, mistakes if limits else [*mistakes, "give results=, trials= or both"])
        self._most = {"results": results or math.inf, "trials": trials or math.inf}
        self._min_delta = min_delta
        self._best: float | None = None
        self._since = {"results": 0, "trials": 0}
        self._seen: set[str] = set()

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        new, value = trial_id not in self._seen, self.value(result)
        self._seen.add(trial_id)
        if value is not None and self._improves(value):
            self._best = value
            self._since = {"results": 0, "trials": 0}
        else:
            self._since["results"] += 1
            self._since["trials"] += new
        return self.stop_all()

    def stop_all(self) -> bool:
        return bool(self._spent())

    def why(self, trial_id: str, result: Mapping[str, Any]) -> str:
        return self.why_all() if self(trial_id, result) else ""

    def why_all(self) -> str:
        best = "no value" if self._best is None else f"{self._best:g}"
        return f"the best {self._metric}, {best}, has not improved for {' and '.join(self._spent())}"

    def _improves(self, value: float) -> bool:
        if self._best is None:
            return True
        gained = value - self._best if self._mode == "max" else self._best - value
        return gained > self._min_delta

    def _spent(self) -> list[str]:
        return [f"{count} {name}" for name, count in self._since.items() if count >= self._most[name]]


def deviation(values: Iterable[float]) -> float:
    """The standard deviation of `values`, of which there is at least one, as numpy has it by default."""
    values = list(values)
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def _below(named: Mapping[str, tuple[float, float]]) -> list[str]:
    """A mistake for each value that is no finite number, or less than the least that goes with it."""
    return [
        f"{name} is {value!r}: it must be a number, at least {least}"
        for name, (value, least) in named.items()
        if not is_finite(value) or value < least
    ]
