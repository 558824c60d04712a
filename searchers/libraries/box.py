"""What the searchers of other libraries have in common: each sees the space as a box of numbers, asks and is told.

Such a library keeps a state that nobody else can read. It is had again by asking and telling it the same in the same
order: after a resume a searcher here stands where it stood, as long as its library does the same twice.
"""

from __future__ import annotations

import random
import sys
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np

from searchers.base import SearchContext, Searcher, Suggestion, trial_number
from searchers.encoding import Column, Encoding, Vector
from searchers.objectives import Names, agree_on_objectives, finite_values
from searchers.points import read_points
from searchers.resolution import resolve
from searchers.space import grid_axes, validate_space


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a library proposes: a vector of the box, and whatever it knows the proposal by."""

    vector: Vector
    key: Any = None


class LibrarySearch(Searcher):
    """A searcher that is another library's. A subclass writes `open`, `ask`, `tell` and, where it can, `drop`.

    Configurations given from outside (`points_to_evaluate`) come first; what they leave open is drawn at random, and
    the library learns from them as from its own.

    Args:
        metric: What to optimise, when the run does not say.
        mode: ``min`` or ``max``.
        points_to_evaluate: Configurations to try first.
        seed: In place of the run's.
    """

    package: ClassVar[str]
    """What is imported."""

    extra: ClassVar[str]
    """What of this distribution installs it."""

    one_hot: ClassVar[bool] = False
    """Whether a choice is a column for each option, for libraries that know nothing but real numbers."""

    def __init__(
        self,
        metric: Names = None,
        mode: Names = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        seed: int | None = None,
    ) -> None:
        if find_spec(self.package) is None:
            raise ValueError(f"{type(self).__name__} needs {self.package}: pip install 'audition[{self.extra}]'")
        self.metric, self.mode = metric, mode
        self.points_to_evaluate = points_to_evaluate
        self.seed = seed
        self._proposals: dict[str, Proposal] = {}
        self._asked = 0

    @property
    def is_slow(self) -> bool:
        return True

    @property
    def learns(self) -> bool:
        return True

    def bind(self, context: SearchContext) -> None:
        metrics, modes = agree_on_objectives(context, self.metric, self.mode)
        seed = context.seed if self.seed is None else self.seed
        super().bind(replace(context, metrics=metrics, modes=modes, seed=seed))
        if mistakes := list(self._mistakes(context, metrics)):
            raise ValueError(f"{type(self).__name__}: {'; '.join(mistakes)}")
        self._encoding = Encoding(context.space, one_hot=self.one_hot)
        self._points = read_points(context.space, self.points_to_evaluate)
        with self._seeded():
            self.open(self._encoding.columns)

    def _mistakes(self, context: SearchContext, metrics: Sequence[str]) -> Iterator[str]:
        space = context.space
        yield from validate_space(space)
        if context.outcome_constraints:
            yield "it does not learn which outcomes break a constraint; search_alg='auto' and OptunaSearch do"
        if len(metrics) > 1:
            yield f"it optimises one metric, not {', '.join(metrics)}; OptunaSearch takes several"
        if axes := ", ".join(grid_axes(space)):
            yield f"it lays out no grid, but {axes} is a grid_search; use choice, or BasicVariantGenerator"
        elif not Encoding(space).columns:
            yield "the space holds nothing to search: give it a domain such as uniform(0, 1)"

    # What a library must be able to do. Losses are to be small, whatever the mode is.

    @abstractmethod
    def open(self, columns: Sequence[Column]) -> None:
        """Make the library's optimiser for a box of these columns."""

    @abstractmethod
    def ask(self) -> Proposal | None:
        """The library's next proposal; None when it wants to be told something first."""

    @abstractmethod
    def tell(self, proposal: Proposal, loss: float) -> None:
        """Tell the library the loss at a proposal, its own or (without a key) one from outside."""

    def drop(self, proposal: Proposal) -> None:
        """Tell the library that nothing will come of its proposal."""

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return self._encoding.dimension

    # The searcher.

    def suggest(self, trial_id: str) -> Suggestion:
        rng, number = self.rng(trial_id), trial_number(trial_id)
        if number < len(self._points):
            return resolve(self.context.space, rng, self._points[number])
        proposal = self._proposal(trial_id)
        return None if proposal is None else self._encoding.decode(proposal.vector, rng)

    def on_ask(self, trial_id: str) -> None:
        self.suggest(trial_id)

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        self.suggest(trial_id)  # on resume; when it was asked just now it knows what it proposed
        vector = self._encoding.encode(config)
        known = self._proposals.get(trial_id)
        if known is None or self._encoding.decode(known.vector, self.rng(trial_id)) != config:
            self._proposals[trial_id] = Proposal(np.nan_to_num(vector, nan=0.5))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        proposal = self._proposals.pop(trial_id, None)
        if proposal is None:
            return
        found = None if error or result is None else finite_values(result, self.context.metrics)
        with self._seeded():
            if found is not None:
                self.tell(proposal, found[0] if self.context.modes[0] == "min" else -found[0])
            elif proposal.key is not None:
                self.drop(proposal)

    def _proposal(self, trial_id: str) -> Proposal | None:
        if trial_id not in self._proposals:
            with self._seeded():
                proposal = self.ask()
            if proposal is None:
                return None
            self._asked += 1  # not when it had none: on resume nobody knows of that
            self._proposals[trial_id] = proposal
        return self._proposals[trial_id]

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """The global random states that libraries draw from, seeded anew for each question; afterwards as before."""
        seed = self.rng("library", str(self._asked)).getrandbits(32)
        before, numpys = random.getstate(), np.random.get_state()
        torch = sys.modules.get("torch")
        torchs = torch.get_rng_state() if torch else None
        random.seed(seed)
        np.random.seed(seed)
        if torch:
            torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(numpys)
            if torch and torchs is not None:
                torch.set_rng_state(torchs)
