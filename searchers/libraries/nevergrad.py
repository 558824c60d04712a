"""Nevergrad's optimisers, by name: ``NGOpt`` chooses among them by the space and the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from searchers import scale
from searchers.base import SearchContext
from searchers.encoding import Column, Vector
from searchers.libraries.box import LibrarySearch, Proposal
from searchers.objectives import Names


class NevergradSearch(LibrarySearch):
    """An optimiser of Nevergrad's.

    Args:
        optimizer: The name of one in its registry (``"OnePlusOne"``, ``"CMA"``, ``"DE"``, ...), or the class itself.
        optimizer_kwargs: What it is made with, beside the box and the budget.
        metric: What to optimise, when the run does not say.
        mode: ``min`` or ``max``.
        points_to_evaluate: Configurations to try first.
        seed: In place of the run's.
        skip_duplicate: Whether no configuration of a finite space is run twice.
    """

    package, extra = "nevergrad", "nevergrad"

    def __init__(
        self,
        optimizer: Any = "NGOpt",
        optimizer_kwargs: Mapping[str, Any] | None = None,
        metric: Names = None,
        mode: Names = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        seed: int | None = None,
        skip_duplicate: bool = True,
    ) -> None:
        super().__init__(metric, mode, points_to_evaluate, seed, skip_duplicate)
        self.optimizer = optimizer
        self.optimizer_kwargs = dict(optimizer_kwargs or {})

    def bind(self, context: SearchContext) -> None:
        import nevergrad

        known = nevergrad.optimizers.registry
        if isinstance(self.optimizer, str) and self.optimizer not in known:
            raise ValueError(f"Nevergrad has no optimizer {self.optimizer!r}: see nevergrad.optimizers.registry")
        super().bind(context)

    def open(self, columns: Sequence[Column]) -> None:
        import nevergrad

        self._columns = columns
        box = nevergrad.p.Tuple(*map(_parameter, columns))
        box.random_state = np.random.RandomState(self.rng("nevergrad").getrandbits(32))
        named = isinstance(self.optimizer, str)
        make = nevergrad.optimizers.registry[self.optimizer] if named else self.optimizer
        budget = self.context.num_samples if self.context.num_samples > 0 else None
        self._optimiser = make(parametrization=box, budget=budget, **self.optimizer_kwargs)

    def ask(self) -> Proposal:
        candidate = self._optimiser.ask()
        vector = np.full(self.dimension, 0.5)
        for column, value in zip(self._columns, candidate.value, strict=True):
            vector[column.start] = scale.middle(column.size or 1, value) if column.kind == "unordered" else value
        return Proposal(vector, candidate)

    def tell(self, proposal: Proposal, loss: float) -> None:
        candidate = proposal.key
        if candidate is None:
            candidate = self._optimiser.parametrization.spawn_child(new_value=self._value(proposal.vector))
        self._optimiser.tell(candidate, loss)

    def _value(self, vector: Vector) -> tuple[Any, ...]:
        places = [(column, float(vector[column.start])) for column in self._columns]
        return tuple(scale.cell(one.size or 1, at) if one.kind == "unordered" else at for one, at in places)


def _parameter(column: Column) -> Any:
    import nevergrad

    if column.kind == "unordered":
        return nevergrad.p.Choice(range(column.size or 1))
    return nevergrad.p.Scalar(init=0.5, lower=0.0, upper=1.0)
