"""HEBO: Cowen-Rivers et al., HEBO: Pushing the Limits of Sample-Efficient Hyperparameter Optimisation, JAIR 2022."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from searchers import scale
from searchers.encoding import Column
from searchers.libraries.box import LibrarySearch, Proposal
from searchers.objectives import Names


class HEBOSearch(LibrarySearch):
    """HEBO's Gaussian process under a warped outcome, with three acquisition functions at once (MACE).

    Parallel trials do not repel each other: combine it with `ConcurrencyLimiter`.

    Args:
        metric: What to optimise, when the run does not say.
        mode: ``min`` or ``max``.
        points_to_evaluate: Configurations to try first.
        random_state_seed: In place of the run's seed.
        skip_duplicate: Whether no configuration of a finite space is run twice.
    """

    package, extra = "hebo", "hebo"

    def __init__(
        self,
        metric: Names = None,
        mode: Names = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_state_seed: int | None = None,
        skip_duplicate: bool = True,
    ) -> None:
        super().__init__(metric, mode, points_to_evaluate, random_state_seed, skip_duplicate)

    def open(self, columns: Sequence[Column]) -> None:
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        self._columns = {f"x{index:04d}": column for index, column in enumerate(columns)}
        box = DesignSpace().parse(
            [
                {"name": name, "type": "cat", "categories": list(range(column.size or 1))}
                if column.kind == "unordered"
                else {"name": name, "type": "num", "lb": 0.0, "ub": 1.0}
                for name, column in self._columns.items()
            ]
        )
        self._optimiser = HEBO(box, scramble_seed=self.rng("hebo").getrandbits(31))

    def ask(self) -> Proposal:
        frame = self._optimiser.suggest()
        vector = np.full(self.dimension, 0.5)
        for name, column in self._columns.items():
            value = frame[name].iloc[0]
            unordered = column.kind == "unordered"
            vector[column.start] = scale.middle(column.size or 1, int(value)) if unordered else float(value)
        return Proposal(vector, True)

    def tell(self, proposal: Proposal, loss: float) -> None:
        import pandas as pd

        point = {}
        for name, column in self._columns.items():
            place = float(proposal.vector[column.start])
            point[name] = scale.cell(column.size or 1, place) if column.kind == "unordered" else place
        self._optimiser.observe(pd.DataFrame([point]), np.array([[loss]]))
