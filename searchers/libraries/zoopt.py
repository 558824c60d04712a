"""ZOOpt's sequential RACOS: Hu, Qian and Yu, Sequential Classification-Based Optimization, AAAI 2017."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from searchers import scale
from searchers.base import SearchContext
from searchers.encoding import Column
from searchers.libraries.box import LibrarySearch, Proposal
from searchers.objectives import Names

_PRECISION = 1e-6


class ZOOptSearch(LibrarySearch):
    """ZOOpt's sequential RACOS.

    Args:
        budget: How many trials it plans for; the run's ``num_samples`` by default.
        parallel_num: How many trials run at a time at most, once the first ones have ended.
        metric: What to optimise, when the run does not say.
        mode: ``min`` or ``max``.
        points_to_evaluate: Configurations to try first; it learns from nothing but its own, so not from them.
        seed: In place of the run's.
        skip_duplicate: Whether no configuration of a finite space is run twice.
    """

    package, extra = "zoopt", "zoopt"

    def __init__(
        self,
        budget: int | None = None,
        parallel_num: int = 1,
        metric: Names = None,
        mode: Names = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        seed: int | None = None,
        skip_duplicate: bool = True,
    ) -> None:
        super().__init__(metric, mode, points_to_evaluate, seed, skip_duplicate)
        self.budget = budget
        self.parallel_num = parallel_num

    def bind(self, context: SearchContext) -> None:
        if self.budget is None and context.num_samples < 1:
            raise ValueError("ZOOptSearch plans for a number of trials: give budget=..., or num_samples to the run")
        super().bind(context)

    def open(self, columns: Sequence[Column]) -> None:
        from zoopt import Dimension2, Parameter, ValueType
        from zoopt.algos.opt_algorithms.racos.sracos import SRacosTune
        from zoopt.utils.zoo_global import gl

        self._columns = columns
        box = Dimension2(
            [
                (ValueType.DISCRETE, [0, (column.size or 1) - 1], False)
                if column.kind == "unordered"
                else (ValueType.CONTINUOUS, [0.0, 1.0], _PRECISION)
                for column in columns
            ]
        )
        self._precisions = gl.float_precisions
        budget = self.budget or self.context.num_samples
        self._optimiser = SRacosTune(dimension=box, parameter=Parameter(budget=budget), parallel_num=self.parallel_num)

    def ask(self) -> Proposal | None:
        from zoopt.utils.zoo_global import gl

        gl.float_precisions = self._precisions  # of whichever space was made last
        live = self._optimiser.live_num
        solution = self._optimiser.suggest()
        if solution is None and self._optimiser.complete_num >= self._optimiser.get_parameters().get_train_size():
            # It waits for its first trials, and for ever where they ended before it began to.
            self._optimiser.semaphore = 1
            solution = self._optimiser.suggest()
        found_nothing_new = isinstance(solution, str) or (solution is None and self._optimiser.live_num > live)
        if found_nothing_new:  # where it looked: it would have the search end, though the space holds more
            self._optimiser.live_num = live
            return Proposal(np.random.uniform(size=self.dimension))
        if solution is None:
            return None
        vector = np.full(self.dimension, 0.5)
        for column, value in zip(self._columns, solution.get_x(), strict=True):
            vector[column.start] = scale.middle(column.size or 1, value) if column.kind == "unordered" else value
        return Proposal(vector, solution)

    def tell(self, proposal: Proposal, loss: float) -> None:
        if proposal.key is not None:
            self._optimiser.complete(proposal.key, loss)

    def drop(self, proposal: Proposal) -> None:
        self._optimiser.complete(proposal.key, np.inf)  # it counts on an answer to each of its first ones
