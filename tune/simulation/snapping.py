"""Lets any searcher search a table: what it suggests is snapped to the nearest configuration that was recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from searchers.base import FINISHED, SearchContext, Searcher, Suggestion, trial_number
from searchers.domain import Domain
from tune.simulation.curves import Curves, is_logarithmic

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Snapped(Searcher):
    """Suggests configurations of `curves`, each once: the nearest unused one to what `searcher` suggests.

    Near is meant in the unit cube of the table's ranges; a column is taken on a logarithmic scale where the space says
    so, or where its values span decades; of two categories that differ the distance is 1. `searcher` is told of the
    configuration that was run, as of any point from outside.

    Without `searcher` the table is drawn from in an order that depends on the seed and on nothing else: whatever the
    schedulers do, their n-th trial is the same, and runs can be compared in pairs.
    """

    def __init__(self, curves: Curves, searcher: Searcher | None = None) -> None:
        self._curves = curves
        self._searcher = searcher
        self._unused = set(range(len(curves)))

    def bind(self, context: SearchContext) -> None:
        number = len(self._curves) if context.num_samples < 0 else min(context.num_samples, len(self._curves))
        super().bind(replace(context, num_samples=number))
        self._order = list(range(len(self._curves)))
        Random(f"{context.seed}/order").shuffle(self._order)
        if self._searcher is not None:
            self._searcher.bind(self.context)
            self._cube = _Cube(self._curves, context.space)

    @property
    def total_trials(self) -> int | None:
        return self.context.num_samples

    def suggest(self, trial_id: str) -> Suggestion:
        if not self._unused or trial_number(trial_id) >= self.context.num_samples:
            return FINISHED
        if self._searcher is None:
            return dict(self._curves.configs[self._order[trial_number(trial_id)]])
        suggested = self._searcher.suggest(trial_id)
        if not isinstance(suggested, dict):
            return suggested
        return dict(self._curves.configs[self._cube.nearest(suggested, self._unused)])

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        number = self._curves.number(config)
        if number is not None:
            self._unused.discard(number)
        if self._searcher is not None:
            self._searcher.on_trial_add(trial_id, config)

    def on_trial_start(self, trial_id: str) -> None:
        if self._searcher is not None:
            self._searcher.on_trial_start(trial_id)

    def on_trial_pause(self, trial_id: str) -> None:
        if self._searcher is not None:
            self._searcher.on_trial_pause(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if self._searcher is not None:
            self._searcher.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if self._searcher is not None:
            self._searcher.on_trial_complete(trial_id, result, error)


class _Cube:
    """The table's configurations as points: one axis a number, one axis for each category."""

    def __init__(self, curves: Curves, space: Mapping[str, Any]) -> None:
        self._axes = [
            _Axis(name, [config[name] for config in curves.configs], space.get(name)) for name in curves.hyperparameters
        ]
        self._points = self._stacked(curves.configs)

    def nearest(self, suggested: Mapping[str, Any], among: set[int]) -> int:
        """The number of the nearest of the configurations `among`; of equals the lowest."""
        import numpy as np

        numbers = np.array(sorted(among))
        differences = self._points[numbers] - self._stacked([suggested])
        return int(numbers[int(np.argmin(np.nansum(differences**2, axis=1)))])

    def _stacked(self, configs: list[Any]) -> NDArray[Any]:
        import numpy as np

        return np.array([[place for axis in self._axes for place in axis.places(config)] for config in configs])


class _Axis:
    """One hyperparameter's share of the cube; a value that is missing is as near to everything (NaN)."""

    def __init__(self, name: str, values: list[Any], domain: Domain | Any) -> None:
        self._name = name
        self._categories: list[Any] = []
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            self._categories = sorted(set(values), key=str)
            return
        self._low, high = min(values), max(values)
        self._log = is_logarithmic(domain, self._low, high)
        self._width = (math.log(high / self._low) if self._log else high - self._low) or 1.0

    def places(self, config: Mapping[str, Any]) -> list[float]:
        if self._categories:
            # Two that differ do so on two axes, each time by the root of a half: their distance is 1.
            there = self._name in config
            return [math.sqrt(0.5) * (config[self._name] == one) if there else math.nan for one in self._categories]
        value = config.get(self._name, math.nan)
        if self._log:
            return [math.log(max(value, self._low * 1e-9) / self._low) / self._width]
        return [(value - self._low) / self._width]
