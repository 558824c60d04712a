"""Random search and grid search, alone or combined: the search that looks at no result.

Random search: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from random import Random
from typing import Any

from searchers.base import FINISHED, SearchContext, Searcher, Suggestion, trial_number
from searchers.choices import Choice
from searchers.domain import Domain
from searchers.points import UNSET, read_points
from searchers.resolution import NOTHING, Draw, draw, resolve_with
from searchers.seen import Seen
from searchers.space import grid_axes, validate_space

_REDRAWS = 50


class BasicVariantGenerator(Searcher):
    """Every combination of the grid axes, `num_samples` times over, with the other parameters drawn at random.

    Of the axes, sorted by path, the first varies fastest. Random parameters are drawn anew for each combination unless
    `constant_grid_search`; then one draw serves the whole grid. Each of `points_to_evaluate` comes first and takes the
    place of one sample; the grid axes that it sets are not varied in it. ``num_samples=-1`` goes on for ever.

    A suggestion depends on the space, the seed and the number at the end of the trial's id, and on nothing else; the
    grid is never laid out. Only where no axis repeats on purpose and the space is finite, what was tried before is
    drawn again, unless ``skip_duplicate=False``, and the search ends when each configuration was tried; that does not
    hold for `points_to_evaluate`, which were asked for. `random_state` takes the place of the run's seed. With
    `max_concurrent` above 0, no more than so many trials run at a time.
    """

    def __init__(
        self,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        max_concurrent: int = 0,
        constant_grid_search: bool = False,
        random_state: int | None = None,
        skip_duplicate: bool = True,
    ) -> None:
        if max_concurrent < 0:
            raise ValueError(f"max_concurrent must be 0 (no limit) or more, not {max_concurrent}")
        if random_state is not None and not isinstance(random_state, int):
            raise ValueError(f"random_state must be a whole number, not {random_state!r}: a state cannot be had again")
        self.points_to_evaluate = points_to_evaluate
        self.max_concurrent = max_concurrent
        self.constant_grid_search = constant_grid_search
        self.random_state = random_state
        self.skip_duplicate = skip_duplicate
        self._running: set[str] = set()

    def bind(self, context: SearchContext) -> None:
        super().bind(context if self.random_state is None else replace(context, seed=self.random_state))
        if mistakes := validate_space(context.space):
            raise ValueError("; ".join(mistakes))
        self._points = read_points(context.space, self.points_to_evaluate)
        self._axes = [(path, len(values)) for path, values in grid_axes(context.space).items()]
        self._free = [[axis for axis in self._axes if not _is_set(point, axis[0])] for point in self._points]
        self._point_ends = list(accumulate(_cells(axes) for axes in self._free))
        self._points_end = self._point_ends[-1] if self._points else 0
        self._seen = Seen(context.space) if self.skip_duplicate and not self._axes else None

    @property
    def total_trials(self) -> int | None:
        if self.context.num_samples < 0:
            return None
        drawn = max(self.context.num_samples - len(self._points), 0)
        return self._points_end + drawn * _cells(self._axes)

    def suggest(self, trial_id: str) -> Suggestion:
        number = trial_number(trial_id)
        total = self.total_trials
        if total is not None and number >= total:
            return FINISHED
        if self.max_concurrent and len(self._running - {trial_id}) >= self.max_concurrent:
            return None
        suggestion = self._suggestion(trial_id, number)
        if self.max_concurrent and isinstance(suggestion, dict):
            self._running.add(trial_id)
        return suggestion

    def _suggestion(self, trial_id: str, number: int) -> Suggestion:
        sample, cell, axes = self._position(number)
        names = ("sample", str(sample)) if self.constant_grid_search else (trial_id,)
        point = self._points[sample] if sample < len(self._points) else NOTHING

        def propose(attempt: int) -> dict[str, Any]:
            rng = self.rng(*names, *(["again", str(attempt)] if attempt else []))
            return resolve_with(self.context.space, _draw_in_cell(axes, cell, rng), rng, point)

        if self._seen is None or number < self._points_end:
            return propose(0)
        return self._seen.untried(propose, self.rng(*names, "near"), redraws=_REDRAWS)

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        if self.max_concurrent:
            self._running.add(trial_id)
        if self._seen is not None:
            self._seen.add(config)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._running.discard(trial_id)

    def _position(self, number: int) -> tuple[int, int, list[tuple[str, int]]]:
        """Which sample the trial belongs to, which cell of its grid it is, and that grid's axes with their lengths."""
        if number < self._points_end:
            sample = bisect_right(self._point_ends, number)
            start = self._point_ends[sample - 1] if sample else 0
            return sample, number - start, self._free[sample]
        repetition, cell = divmod(number - self._points_end, _cells(self._axes))
        return len(self._points) + repetition, cell, self._axes


class RandomSearch(BasicVariantGenerator):
    """Every parameter drawn at random, `num_samples` times. Combine it with a grid as `BasicVariantGenerator`."""

    def __init__(
        self,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        max_concurrent: int = 0,
        random_state: int | None = None,
        skip_duplicate: bool = True,
    ) -> None:
        super().__init__(points_to_evaluate, max_concurrent, random_state=random_state, skip_duplicate=skip_duplicate)

    def bind(self, context: SearchContext) -> None:
        if axes := ", ".join(grid_axes(context.space)):
            raise ValueError(
                f"RandomSearch draws every parameter, but {axes} is a grid_search: use choice there, or "
                "BasicVariantGenerator, which combines both"
            )
        super().bind(context)


class GridSearch(BasicVariantGenerator):
    """Every combination of the grid axes; parameters that are no axis are drawn at random."""

    def bind(self, context: SearchContext) -> None:
        super().bind(context)
        if not self._axes:
            raise ValueError("GridSearch needs at least one grid_search([...]) in the space; or use RandomSearch")


def _cells(axes: Sequence[tuple[str, int]]) -> int:
    return math.prod(length for _, length in axes)


def _draw_in_cell(axes: Sequence[tuple[str, int]], cell: int, rng: Random) -> Draw:
    if not axes:
        return partial(draw, rng)
    indexes = {}
    for path, length in axes:
        cell, indexes[path] = divmod(cell, length)

    def draw_at(path: str, domain: Domain) -> Any:
        index = indexes.get(path)
        return draw(rng, path, domain) if index is None or not isinstance(domain, Choice) else index

    return draw_at


def _is_set(point: Mapping[str, Any], path: str) -> bool:
    node: Any = point
    for part in path.split("/"):
        if isinstance(node, list | tuple):
            node = node[int(part)]
        elif isinstance(node, Mapping) and part in node:
            node = node[part]
        else:
            return False
    return node is not UNSET
