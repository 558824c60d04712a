"""Random search and grid search, alone or combined: the search that looks at no result.

Random search: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from random import Random
from typing import Any

from searchers.base import FINISHED, SearchContext, Searcher, Suggestion, trial_number
from searchers.choices import Choice
from searchers.constraints import is_allowed, mistakes_in_points
from searchers.define import DrawnTrial, ask_all
from searchers.domain import Domain
from searchers.grid import Grid, lay_out, number_of
from searchers.points import read_points
from searchers.resolution import NOTHING, Draw, draw, resolve_with
from searchers.seen import Seen
from searchers.space import grid_axes, validate_space

_REDRAWS = 50


class BasicVariantGenerator(Searcher):
    """Every combination of the grid axes, `num_samples` times over, with the other parameters drawn at random.

    Of the axes, sorted by path, the first varies fastest. Random parameters are drawn anew for each combination unless
    `constant_grid_search`; then one draw serves the whole grid. Each of `points_to_evaluate` comes first and takes the
    place of one sample; the grid axes that it sets are not varied in it. ``num_samples=-1`` goes on for ever.

    Cells of the grid that break a constraint are left out; what breaks one by what was drawn is drawn again.

    A suggestion depends on the space, the seed and the number at the end of the trial's id, and on nothing else; the
    grid is never laid out, unless there are constraints. Only where no axis repeats on purpose and the space is finite,
    what was tried before is drawn again, unless ``skip_duplicate=False``, and the search ends when each configuration
    was tried; that does not hold for `points_to_evaluate`, which were asked for. `random_state` takes the place of the
    run's seed. With
    `max_concurrent` above 0, no more than so many trials run at a time.

    Where the space has changed (`SearchContext.first`), the cells of the new grid are run in which no earlier trial
    lies.
    """

    takes_constraints = takes_functions = True

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
        self._taken: dict[str, int] = {}

    def bind(self, context: SearchContext) -> None:
        super().bind(context if self.random_state is None else replace(context, seed=self.random_state))
        context = self.context
        if mistakes := validate_space(context.space):
            raise ValueError("; ".join(mistakes))
        self._points = self._read_points()
        known = context.constraints if context.define is None else ()  # what a function asks for is not known yet
        self._grid = lay_out(context.space, known, NOTHING)
        self._grids = [lay_out(context.space, known, point) for point in self._points]
        self._ends = list(accumulate(grid.count for grid in self._grids))
        self._points_end = self._ends[-1] if self._ends else 0
        can_repeat = bool(self._grid.axes) or context.define is not None
        allowed = partial(is_allowed, context.constraints)
        self._seen = Seen(context.space, allowed) if self.skip_duplicate and not can_repeat else None

    @property
    def total_trials(self) -> int | None:
        places = self._places
        return None if places is None else self._first + places - len(self._taken)

    @property
    def _places(self) -> int | None:
        """How many cells there are in all, over all samples; None for no end."""
        if self.context.num_samples < 0:
            return None
        return self._points_end + max(self.context.num_samples - len(self._points), 0) * self._grid.count

    @property
    def _first(self) -> int:
        """The number of the trial from which on the grid is gone through."""
        return self.context.first if self._grid.axes else 0

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
        sample, grid, at = self._position(number)
        point = self._points[sample] if sample < len(self._points) else NOTHING
        names = ("sample", str(sample)) if self.constant_grid_search else (trial_id,)
        draw_within = partial(self._draw, grid.indexes(at), point)

        def propose(attempt: int) -> dict[str, Any]:
            return self.draw_allowed(draw_within, *names, *(["again", str(attempt)] if attempt else []))

        if self._seen is None or sample < len(self._points):
            return propose(0)
        return self._seen.untried(propose, self.rng(*names, "near"), redraws=_REDRAWS)

    def on_evaluated(self, trial_id: str, config: dict[str, Any], result: dict[str, Any]) -> None:
        if self._seen is not None:
            self._seen.add(config)

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        if self._first and trial_number(trial_id) < self._first and trial_id not in self._taken:
            self._take(trial_id, config)
        if self.max_concurrent:
            self._running.add(trial_id)
        if self._seen is not None:
            self._seen.add(config)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._running.discard(trial_id)

    def _read_points(self) -> list[Mapping[str, Any]]:
        context = self.context
        if context.define is not None:
            return list(self.points_to_evaluate or ())
        points = read_points(context.space, self.points_to_evaluate)
        if mistakes := list(mistakes_in_points(context.constraints, context.space, points)):
            raise ValueError("; ".join(mistakes))
        return list(points)

    def _take(self, trial_id: str, config: dict[str, Any]) -> None:
        """An earlier trial lies in a cell of the grid, which need not be run that often."""
        cell = number_of(self.context.space, self._grid, config)
        if cell is None:
            return
        place, taken, places = self._points_end + cell, set(self._taken.values()), self._places
        while place in taken:
            place += self._grid.count
        if places is None or place < places:
            self._taken[trial_id] = place

    def _position(self, number: int) -> tuple[int, Grid, int]:
        """Which sample the trial belongs to, and which cell of which grid it is."""
        number -= self._first
        for place in sorted(self._taken.values()):
            number += place <= number
        if number < self._points_end:
            sample = bisect_right(self._ends, number)
            grid = self._grids[sample]
            return sample, grid, number - (self._ends[sample] - grid.count)
        repetition, at = divmod(number - self._points_end, self._grid.count)
        return len(self._points) + repetition, self._grid, at

    def _draw(self, indexes: Mapping[str, int], point: Mapping[str, Any], rng: Random) -> dict[str, Any]:
        draw_at = _draw_in_cell(indexes, rng)
        if self.context.define is None:
            return resolve_with(self.context.space, draw_at, rng, point)
        constants = resolve_with(self.context.space, draw_at, rng, NOTHING)
        return {**constants, **ask_all(self.context.define, DrawnTrial(draw_at, rng, point))}


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
        if not self._grid.axes:
            raise ValueError("GridSearch needs at least one grid_search([...]) in the space; or use RandomSearch")


def _draw_in_cell(indexes: Mapping[str, int], rng: Random) -> Draw:
    if not indexes:
        return partial(draw, rng)

    def draw_at(path: str, domain: Domain) -> Any:
        index = indexes.get(path)
        return draw(rng, path, domain) if index is None or not isinstance(domain, Choice) else index

    return draw_at
