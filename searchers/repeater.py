"""Each configuration run several times, where results differ from run to run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from statistics import fmean
from typing import Any

from searchers.base import SearchContext, Searcher, Suggestion, trial_number
from searchers.domain import Domain
from searchers.objectives import finite_values
from searchers.resolution import resolve

TRIAL_INDEX = "__trial_index__"
"""Where a configuration says which of its repetitions this is, counted from 0."""


@dataclass(slots=True)
class _Group:
    """The trials of one configuration: how each of them ended, None for one that failed."""

    config: dict[str, Any] | None = None
    ended: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)


class Repeater(Searcher):
    """Runs each configuration that `searcher` suggests `repeat` times, and tells it the mean of their results.

    `num_samples` counts every run: 30 of them with ``repeat=3`` are ten configurations. The trials numbered
    ``k * repeat`` to ``(k + 1) * repeat - 1`` have one configuration; for `searcher` they are one trial, which ends
    when the last of them has. Its result has the mean of every number that their last results share; runs that failed
    or have no finite metric are left out, and it failed if they all did. What runs report on the way is not passed on.

    Args:
        searcher: What suggests the configurations.
        repeat: How many times each is run.
        set_index: Whether ``__trial_index__`` in the configuration says which run it is, for example for a seed.
    """

    takes_constraints = takes_functions = True  # if `searcher` does: it is asked itself

    def __init__(self, searcher: Searcher, repeat: int = 1, set_index: bool = True) -> None:
        if not isinstance(repeat, int) or repeat < 1:
            raise ValueError(f"repeat must be 1 or more, not {repeat!r}")
        self.searcher = searcher
        self.repeat = repeat
        self.set_index = set_index
        self._groups: dict[str, _Group] = {}

    def bind(self, context: SearchContext) -> None:
        samples, first = context.num_samples, -(-context.first // self.repeat)
        configurations = -(-samples // self.repeat) if samples > 0 else samples
        self.searcher.bind(replace(context, num_samples=configurations, first=first))
        # The searcher may have a space and metrics of its own.
        super().bind(replace(self.searcher.context, num_samples=samples, first=context.first))

    @property
    def total_trials(self) -> int | None:
        inner = self.searcher.total_trials
        if inner is None:
            return None
        samples = self.context.num_samples
        is_last_cut = inner == -(-samples // self.repeat)  # 10 samples, three runs each: the fourth has one run
        return samples if is_last_cut else inner * self.repeat

    @property
    def is_slow(self) -> bool:
        return self.searcher.is_slow

    @property
    def learns(self) -> bool:
        return self.searcher.learns

    def suggest(self, trial_id: str) -> Suggestion:
        name, index = self._place(trial_id)
        config = self._group(name).config
        suggestion = self.searcher.suggest(name) if config is None else resolve(config, self.rng(trial_id))
        if isinstance(suggestion, dict) and self.set_index:
            suggestion[TRIAL_INDEX] = index
        return suggestion

    def suggest_parameter(self, trial_id: str, name: str, domain: Domain) -> Any:
        group, _ = self._place(trial_id)
        known = self._group(group).parameters
        return known[name] if name in known else self.searcher.suggest_parameter(group, name, domain)

    def on_evaluated(self, trial_id: str, config: dict[str, Any], result: dict[str, Any]) -> None:
        """A result from elsewhere is no run of a group: it is told as it is."""
        self.searcher.on_evaluated(trial_id, config, result)

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        name, _ = self._place(trial_id)
        group = self._group(name)
        if group.config is None:
            group.config = {key: value for key, value in config.items() if key != TRIAL_INDEX}
            self.searcher.on_trial_add(name, group.config)

    def on_ask(self, trial_id: str) -> None:
        name, _ = self._place(trial_id)
        if self._group(name).config is None:
            self.searcher.on_ask(name)

    def on_trial_start(self, trial_id: str) -> None:
        self.searcher.on_trial_start(self._place(trial_id)[0])

    def on_parameter(self, trial_id: str, name: str, domain: Domain, value: Any) -> None:
        group, _ = self._place(trial_id)
        if name not in self._group(group).parameters:
            self._group(group).parameters[name] = value
            self.searcher.on_parameter(group, name, domain, value)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        name, _ = self._place(trial_id)
        group = self._group(name)
        if group.config is None or trial_id in group.ended:
            return
        is_usable = (
            not error and result is not None and finite_values(result, self.searcher.context.metrics) is not None
        )
        group.ended[trial_id] = result if is_usable else None
        if len(group.ended) == self.repeat:
            results = [ended for ended in group.ended.values() if ended is not None]
            self.searcher.on_trial_complete(name, _mean(results) if results else None, not results)

    def _place(self, trial_id: str) -> tuple[str, int]:
        """The trial's name for the searcher, and which of its runs this is."""
        group, index = divmod(trial_number(trial_id), self.repeat)
        return f"{trial_id.rstrip('0123456789')}{group}", index

    def _group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group())


def _mean(results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The mean of each number that all of `results` have; whole numbers are no exception."""
    shared = [key for key in results[0] if all(_is_finite_number(result.get(key)) for result in results)]
    return {key: fmean(result[key] for result in results) for key in shared}


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
