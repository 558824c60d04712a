"""Which configurations of a finite space were tried, so that none is tried twice and an exhausted space says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from searchers.base import FINISHED, Suggestion
from searchers.cells import Cells, Position

_STEPS = 30


def _anything(_config: dict[str, Any]) -> bool:
    return True


class Seen:
    """The configurations told by `add`, of a space whose configurations can be counted; else it knows none.

    What it answers is a function of what was told and of the generator that it is given: a searcher that tells it each
    trial in `on_trial_add`, and each result known beforehand, says the same again after a resume. A search keeps one
    number for each trial, and nothing where the space has no end.

    Where not every configuration of the space is `allowed`, what is proposed must be.
    """

    def __init__(self, space: Mapping[str, Any], allowed: Callable[[dict[str, Any]], bool] = _anything) -> None:
        self._cells = Cells(space)
        self._allowed = allowed
        self._numbers: set[int] = set()
        # Numbers of no configuration to be tried: not allowed, or (where options of a choice overlap) that of another.
        # Found on the way.
        self._holes: set[int] = set()

    @property
    def size(self) -> int | None:
        """How many configurations the space holds; None when they cannot be counted."""
        return self._cells.size

    @property
    def exhausted(self) -> bool:
        """Whether each configuration was tried, as far as is known: `untried` finds out."""
        return self.size is not None and len(self._numbers) + len(self._holes) >= self.size

    def add(self, config: Mapping[str, Any]) -> None:
        """`config` is being tried, or its result is known. What could not have come from the space is overlooked."""
        if self.size is not None and (number := self._cells.number_of(config)) is not None:
            self._numbers.add(number)

    def __contains__(self, config: Mapping[str, Any]) -> bool:
        return bool(self._numbers) and self._cells.number_of(config) in self._numbers

    def admits(self, config: dict[str, Any]) -> bool:
        """Whether `config` may be tried: it is allowed, and was not tried before."""
        return config not in self and self._allowed(config)

    def new(self, propose: Callable[[int], dict[str, Any]], redraws: int) -> dict[str, Any] | None:
        """The first of ``propose(0)`` to ``propose(redraws)`` that was not tried; None when all were."""
        for attempt in range(redraws + 1):
            if (config := propose(attempt)) not in self:
                return config
        return None

    def untried(self, propose: Callable[[int], dict[str, Any]], rng: Random, *, redraws: int) -> Suggestion:
        """As `new`; when all were tried, a configuration near ``propose(0)`` that was not; `FINISHED` without any.

        Near is a random walk by single steps of single parameters; after a few of these, the next by number.
        """
        if self.exhausted:
            return FINISHED
        first = propose(0)
        config = self.new(lambda attempt: propose(attempt) if attempt else first, redraws)
        if config is not None:
            return config
        start = self._cells.number_of(first)
        assert start is not None
        return self._near(start, rng) or self._next(start, rng)

    def _near(self, number: int, rng: Random) -> dict[str, Any] | None:
        for _ in range(_STEPS):
            positions = self._cells.positions(number)
            path = rng.choice(list(positions))
            index, count = positions[path]
            index += rng.choice((-1, 1))
            if not 0 <= index < count:
                continue
            # What the old option of a choice held is of no use to the new one, whose own parameters are drawn.
            config = self._cells.config({**positions, path: Position(index, count)}, rng)
            if self.admits(config):
                return config
            following = self._cells.number_of(config)
            assert following is not None
            number = following
        return None

    def _next(self, start: int, rng: Random) -> Suggestion:
        assert self.size is not None
        for offset in range(1, self.size):
            number = (start + offset) % self.size
            if number in self._numbers or number in self._holes:
                continue
            config = self._cells.config(self._cells.positions(number), rng)
            if self._cells.number_of(config) == number and self._allowed(config):
                return config
            self._holes.add(number)
        return FINISHED
