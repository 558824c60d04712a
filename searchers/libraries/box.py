"""What the searchers of other libraries have in common: each sees the space as a box of numbers, asks and is told.

Such a library keeps a state that nobody else can read. It is had again by asking and telling it the same in the same
order: after a resume a searcher here stands where it stood, as long as its library does the same twice.
"""

from __future__ import annotations

import logging
import random
import sys
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from random import Random
from typing import Any, ClassVar

import numpy as np

from searchers.base import FINISHED, SearchContext, Searcher, Suggestion, trial_number
from searchers.constraints import is_allowed, mistakes_in_points
from searchers.encoding import Column, Encoding, Vector
from searchers.objectives import Names, agree_on_objectives, finite_values
from searchers.points import read_points
from searchers.resolution import resolve
from searchers.seen import Seen
from searchers.space import grid_axes, validate_space

logger = logging.getLogger(__name__)

_REASKS = 3
"""How often the library is asked anew, when what it proposes may not be tried."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a library proposes: a vector of the box, and whatever it knows the proposal by."""

    vector: Vector
    key: Any = None


class LibrarySearch(Searcher):
    """A searcher that is another library's. A subclass writes `open`, `ask`, `tell` and, where it can, `drop`.

    Configurations given from outside (`points_to_evaluate`) come first; what they leave open is drawn at random, and
    the library learns from them as from its own. In a finite space nothing is run twice, and the search ends when all
    was; what breaks a constraint is not run either. When the library insists, what is near its proposal, or a draw at
    random, takes its place, and the library learns from that.

    A trial counts by its last value, also when it was stopped early, and one that is paused by the value that it had
    then, for good. One that failed is dropped.

    Args:
        metric: What to optimise, when the run does not say.
        mode: ``min`` or ``max``.
        points_to_evaluate: Configurations to try first.
        seed: In place of the run's.
        skip_duplicate: Whether no configuration of a finite space is run twice.
    """

    takes_constraints = True

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
        skip_duplicate: bool = True,
    ) -> None:
        if find_spec(self.package) is None:
            raise ValueError(f"{type(self).__name__} needs {self.package}: pip install 'audition[{self.extra}]'")
        self.metric, self.mode = metric, mode
        self.points_to_evaluate = points_to_evaluate
        self.seed = seed
        self.skip_duplicate = skip_duplicate
        self._proposals: dict[str, Proposal] = {}
        self._added: set[str] = set()
        self._last: dict[str, dict[str, Any]] = {}
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
        if mistakes := list(mistakes_in_points(context.constraints, context.space, self._points)):
            raise ValueError("; ".join(mistakes))
        self._seen = Seen(context.space if self.skip_duplicate else {}, partial(is_allowed, context.constraints))
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
        number = trial_number(trial_id)
        if number < len(self._points):
            return self.draw_allowed(partial(self._completed, self._points[number]), trial_id)
        if self._seen.exhausted:
            return FINISHED
        proposal = self._proposal(trial_id)
        if proposal is None:
            return None
        config = self._decoded(trial_id, proposal)
        if not is_allowed(self.context.constraints, config):
            config = self.draw_allowed(partial(self._completed, {}), trial_id, "elsewhere")
        return self._seen.untried(lambda _attempt: config, self.rng(trial_id, "near"), redraws=0)

    def on_ask(self, trial_id: str) -> None:
        self.suggest(trial_id)

    def on_evaluated(self, trial_id: str, config: dict[str, Any], result: dict[str, Any]) -> None:
        self._seen.add(config)
        self._proposals[trial_id] = Proposal(self._encoded(config))
        self.on_trial_complete(trial_id, result)

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        if trial_id not in self._added:
            self.suggest(trial_id)  # on resume; when it was asked just now it knows what it proposed
        self._added.add(trial_id)
        self._seen.add(config)
        proposal = self._proposals.get(trial_id)
        if proposal is not None and self._decoded(trial_id, proposal) == config:
            return
        if proposal is not None:
            self._drop(proposal)
        try:
            self._proposals[trial_id] = Proposal(self._encoded(config))
        except ValueError as error:
            self._proposals.pop(trial_id, None)
            logger.warning("trial %s is outside the search space and will not be learned from: %s", trial_id, error)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._last[trial_id] = result

    def on_trial_pause(self, trial_id: str) -> None:
        if trial_id in self._last:
            self._end(trial_id, self._last[trial_id])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._last.pop(trial_id, None)
        self._end(trial_id, None if error else result)

    def _end(self, trial_id: str, result: Mapping[str, Any] | None) -> None:
        """Tell the library what became of its proposal, once: with each value a trial would be another one."""
        proposal = self._proposals.pop(trial_id, None)
        if proposal is None:
            return
        values = finite_values(result or {}, self.context.metrics)
        if values is None:
            self._drop(proposal)
            return
        with self._seeded():
            self.tell(proposal, values[0] if self.context.modes[0] == "min" else -values[0])

    def _proposal(self, trial_id: str) -> Proposal | None:
        """What the library proposes for a trial: one that may be tried, if that is among its first."""
        if trial_id in self._proposals:
            return self._proposals[trial_id]
        proposal = self._ask()
        if proposal is None:
            return None
        for _ in range(_REASKS):
            if self._seen.admits(self._decoded(trial_id, proposal)) or (other := self._ask()) is None:
                break
            self._drop(proposal)
            proposal = other
        self._proposals[trial_id] = proposal
        return proposal

    def _ask(self) -> Proposal | None:
        with self._seeded():
            proposal = self.ask()
        self._asked += proposal is not None  # not when it had none: on resume nobody knows of that
        return proposal

    def _drop(self, proposal: Proposal) -> None:
        if proposal.key is not None:
            with self._seeded():
                self.drop(proposal)

    def _decoded(self, trial_id: str, proposal: Proposal) -> dict[str, Any]:
        """The configuration that a proposal is for a trial."""
        return self._encoding.decode(proposal.vector, self.rng(trial_id))

    def _encoded(self, config: Mapping[str, Any]) -> Vector:
        """Where `config` lies in the box: what does not exist in the middle."""
        return np.nan_to_num(self._encoding.encode(config), nan=0.5)

    def _completed(self, point: Mapping[str, Any], rng: Random) -> dict[str, Any]:
        """`point` with everything that it lacks drawn at random."""
        return resolve(self.context.space, rng, point)

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
