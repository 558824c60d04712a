"""Regularised evolution: the best of a sample has a child, and the oldest dies, however good it was.

Real, Aggarwal, Huang and Le, Regularized Evolution for Image Classifier Architecture Search, AAAI 2019, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from searchers.base import SearchContext
from searchers.model import ModelSearch
from searchers.objectives import Names

if TYPE_CHECKING:
    from numpy.random import Generator

    from searchers.encoding import Vector
    from searchers.observations import Array


class EvolutionSearch(ModelSearch):
    """Mutates one parameter of the best of `sample_size` out of the `population_size` trials that finished last.

    The first `population_size` trials are drawn at random. A mutation draws another option for a choice, with new
    values for the parameters of that option, and moves a number by a normal step of `step` times its range, at least to
    the next value where values are counted. With several objectives the best of a sample is one that none of the others
    dominates, and what breaks constraints on outcomes loses to what does less. As trials run in parallel, the
    population is what has finished, and the cost of a suggestion does not depend on how much that is.

    Args:
        space, metric, mode, points_to_evaluate, seed, evaluated_rewards, skip_duplicate: See `ModelSearch`.
        population_size: P. The paper has 100, for 20,000 trials; fewer trials want a smaller one.
        sample_size: S, from 1 (no selection) to P. The paper has 25.
        step: How far a number moves, in shares of its range.
    """

    def __init__(
        self,
        space: Mapping[str, Any] | None = None,
        *,
        metric: Names = None,
        mode: Names = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        seed: int | None = None,
        evaluated_rewards: Sequence[float | Sequence[float]] | None = None,
        skip_duplicate: bool = True,
        population_size: int = 30,
        sample_size: int = 8,
        step: float = 0.1,
    ) -> None:
        super().__init__(
            space,
            metric=metric,
            mode=mode,
            points_to_evaluate=points_to_evaluate,
            seed=seed,
            evaluated_rewards=evaluated_rewards,
            skip_duplicate=skip_duplicate,
        )
        mistakes = [] if population_size >= 1 else [f"population_size must be 1 or more, not {population_size!r}"]
        if not 1 <= sample_size <= max(population_size, 1):
            mistakes.append(
                f"sample_size must lie between 1 and population_size ({population_size}), not {sample_size!r}"
            )
        mistakes += [] if step > 0 else [f"step must be above 0, not {step!r}"]
        if mistakes:
            raise ValueError("; ".join(mistakes))
        self.population_size, self.sample_size, self.step = population_size, sample_size, step

    def bind(self, context: SearchContext) -> None:
        from searchers.axes import Axes

        super().bind(context)
        self._axes = Axes(self.encoding.columns)

    def propose(self, generator: Generator, trial_id: str) -> Array:
        import numpy

        from searchers.pareto import best_rows

        history = self.observations.history
        if len(history.units) < self.population_size:
            return generator.random((16, len(self.encoding.columns)))
        population = history.at(slice(-self.population_size, None))
        children = []
        for _ in range(16):  # the first that was not tried before is taken
            sample = generator.choice(self.population_size, self.sample_size, replace=False)
            parent = population.units[sample[best_rows(population.at(sample), 1)[0]]]
            children.append(self._mutated(parent, generator))
        return numpy.array(children)

    def _mutated(self, parent: Vector, generator: Generator) -> Vector:
        import numpy

        exists = numpy.flatnonzero(~numpy.isnan(parent))
        place = int(generator.choice(exists))
        child = numpy.where(numpy.isnan(parent), generator.random(len(parent)), parent)
        column = self.encoding.columns[place]
        if column.kind != "unordered":
            child[place] = self._moved(place, float(parent[place]), generator)
        elif column.size is not None and column.size > 1:
            rung = int(self._axes.rung_of(place, parent[place : place + 1])[0])
            child[place] = self._axes.rungs[place][(rung + generator.integers(1, column.size)) % column.size]
        active: Vector = self._axes.without_inactive(child[None, :])[0]
        return active

    def _moved(self, place: int, unit: float, generator: Generator) -> float:
        import numpy

        step = self.step * generator.standard_normal()
        if unit + step < 0 or unit + step > 1:
            step = -step
        if place in self._axes.rungs:
            rungs = self._axes.rungs[place]
            rung, reached = (int(each) for each in self._axes.rung_of(place, numpy.array([unit, unit + step])))
            if reached == rung:
                reached = rung + (1 if step > 0 else -1)
            return float(rungs[min(max(reached, 0), len(rungs) - 1)])
        return min(max(unit + step, 0.0), 1.0)
