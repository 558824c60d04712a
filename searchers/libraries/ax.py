"""Ax's Bayesian optimisation with BoTorch: Balandat et al., NeurIPS 2020. Quasi-random first, then by models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from searchers import scale
from searchers.encoding import Column
from searchers.libraries.box import LibrarySearch, Proposal
from searchers.objectives import Names

_LOSS = "loss"


class AxSearch(LibrarySearch):
    """Ax, by its client of version 1. Running trials are part of its model, so parallel ones spread out.

    Args:
        metric: What to optimise, when the run does not say.
        mode: ``min`` or ``max``.
        points_to_evaluate: Configurations to try first.
        seed: In place of the run's.
        method: Ax's own: ``fast``, ``quality`` or ``random_search``.
        skip_duplicate: Whether no configuration of a finite space is run twice.
    """

    package, extra = "ax", "ax"

    def __init__(
        self,
        metric: Names = None,
        mode: Names = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        seed: int | None = None,
        method: str = "fast",
        skip_duplicate: bool = True,
    ) -> None:
        super().__init__(metric, mode, points_to_evaluate, seed, skip_duplicate)
        self.method = method

    def open(self, columns: Sequence[Column]) -> None:
        from ax.api.client import Client
        from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

        self._columns = {f"x{index:04d}": column for index, column in enumerate(columns)}
        self._client = Client(random_seed=self.rng("ax").getrandbits(31))
        self._client.configure_experiment(
            [
                ChoiceParameterConfig(name, list(range(column.size or 1)), "int", is_ordered=False)
                if column.kind == "unordered" and (column.size or 1) > 1
                else RangeParameterConfig(name, (0.0, 1.0), "float")
                for name, column in self._columns.items()
            ],
            name="audition",
        )
        self._client.configure_optimization(f"-{_LOSS}")
        seed = self.rng("ax", "first").getrandbits(31)
        self._client.configure_generation_strategy(self.method, initialization_random_seed=seed)

    def ask(self) -> Proposal:
        ((key, found),) = self._client.get_next_trials(1).items()
        vector = np.full(self.dimension, 0.5)
        for name, column in self._columns.items():
            value: Any = found[name]
            many = column.kind == "unordered" and (column.size or 1) > 1
            vector[column.start] = scale.middle(column.size or 1, value) if many else value
        return Proposal(vector, key)

    def tell(self, proposal: Proposal, loss: float) -> None:
        key = self._attached(proposal) if proposal.key is None else proposal.key
        self._client.complete_trial(key, {_LOSS: loss})

    def drop(self, proposal: Proposal) -> None:
        self._client.mark_trial_failed(proposal.key)

    def _attached(self, proposal: Proposal) -> int:
        point: dict[str, int | float | str | bool] = {}
        for name, column in self._columns.items():
            place = float(proposal.vector[column.start])
            many = column.kind == "unordered" and (column.size or 1) > 1
            point[name] = scale.cell(column.size or 1, place) if many else place
        return int(self._client.attach_trial(point))
