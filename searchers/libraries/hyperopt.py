"""HyperOpt's tree of Parzen estimators: Bergstra, Yamins and Cox, ICML 2013. Options of choices are its branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from searchers import scale
from searchers.encoding import Column, Vector
from searchers.libraries.box import LibrarySearch, Proposal
from searchers.objectives import Names


class HyperOptSearch(LibrarySearch):
    """HyperOpt's TPE.

    Args:
        metric: What to optimise, when the run does not say.
        mode: ``min`` or ``max``.
        points_to_evaluate: Configurations to try first.
        n_initial_points: How many configurations are drawn at random before the model is asked.
        random_state_seed: In place of the run's seed.
        gamma: The share of trials that count as good, at most 1.
        skip_duplicate: Whether no configuration of a finite space is run twice.
    """

    package, extra = "hyperopt", "hyperopt"

    def __init__(
        self,
        metric: Names = None,
        mode: Names = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        n_initial_points: int = 20,
        random_state_seed: int | None = None,
        gamma: float = 0.25,
        skip_duplicate: bool = True,
    ) -> None:
        super().__init__(metric, mode, points_to_evaluate, random_state_seed, skip_duplicate)
        if not 0 < gamma <= 1:
            raise ValueError(f"gamma must be above 0 and at most 1, not {gamma!r}")
        self.n_initial_points = n_initial_points
        self.gamma = gamma

    def open(self, columns: Sequence[Column]) -> None:
        from hyperopt.base import Domain, Trials

        self._columns = {column.name: column for column in columns}
        self._domain = Domain(lambda _config: 0.0, _tree(columns, None))
        self._trials = Trials()

    def ask(self) -> Proposal:
        from hyperopt import tpe

        seed = self.rng("tpe", str(len(self._trials.trials))).getrandbits(31)
        document = tpe.suggest(
            self._trials.new_trial_ids(1),
            self._domain,
            self._trials,
            seed,
            n_startup_jobs=self.n_initial_points,
            gamma=self.gamma,
            verbose=False,
        )[0]
        self._insert(document)
        return Proposal(self._vector(document["misc"]["vals"]), document["tid"])

    def tell(self, proposal: Proposal, loss: float) -> None:
        key = self._insert_point(proposal.vector) if proposal.key is None else proposal.key
        self._close(key, {"loss": loss, "status": "ok"})

    def drop(self, proposal: Proposal) -> None:
        self._close(proposal.key, {"status": "fail"})

    def _insert(self, document: dict[str, Any]) -> None:
        self._trials.insert_trial_doc(document)
        self._trials.refresh()

    def _insert_point(self, vector: Vector) -> int:
        (key,) = self._trials.new_trial_ids(1)
        values = {name: [_value(column, vector)] for name, column in self._columns.items()}
        misc = {
            "tid": key,
            "cmd": self._domain.cmd,
            "workdir": self._domain.workdir,
            "idxs": {name: [key] for name in values},
            "vals": values,
        }
        self._insert(self._trials.new_trial_docs([key], [None], [{"status": "new"}], [misc])[0])
        return int(key)

    def _close(self, key: int, result: dict[str, Any]) -> None:
        from hyperopt.base import JOB_STATE_DONE, JOB_STATE_ERROR

        document = next(each for each in reversed(self._trials._dynamic_trials) if each["tid"] == key)  # noqa: SLF001
        document["state"] = JOB_STATE_DONE if "loss" in result else JOB_STATE_ERROR
        document["result"] = result
        self._trials.refresh()

    def _vector(self, values: Mapping[str, Sequence[Any]]) -> Vector:
        vector = np.full(self.dimension, 0.5)
        for name, found in values.items():
            column = self._columns[name]
            if len(found):
                unordered = column.kind == "unordered"
                vector[column.start] = scale.middle(column.size or 1, int(found[0])) if unordered else float(found[0])
        return vector


def _tree(columns: Sequence[Column], condition: tuple[str, int] | None) -> dict[str, Any]:
    """The columns that exist with an option of a choice, and below each choice those that exist with its options."""
    from hyperopt import hp

    tree: dict[str, Any] = {}
    for column in columns:
        given = column.condition and (column.condition.name, column.condition.option)
        if given != condition:
            continue
        if column.kind == "unordered":
            options = [_tree(columns, (column.name, index)) for index in range(column.size or 1)]
            tree[column.name] = hp.choice(column.name, options)
        else:
            tree[column.name] = hp.uniform(column.name, 0, 1)
    return tree


def _value(column: Column, vector: Vector) -> Any:
    place = float(vector[column.start])
    return scale.cell(column.size or 1, place) if column.kind == "unordered" else place
