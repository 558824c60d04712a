"""What a search algorithm is: something that suggests configurations and is told what became of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any, ClassVar, Final, Literal, Self

from searchers.constraints import Constraint, draw_allowed
from searchers.define import DefineByRun
from searchers.domain import Domain
from searchers.foreign import adopt
from searchers.outcomes import OutcomeConstraint


class _Finished(Enum):
    FINISHED = "finished"


FINISHED: Final = _Finished.FINISHED
"""What `suggest` answers when it will never suggest anything again."""

Suggestion = dict[str, Any] | None | Literal[_Finished.FINISHED]


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What a searcher is given before it is asked anything.

    `space` is the user's configuration with `Domain` values anywhere in its nesting; `metrics` and `modes` (each
    ``min`` or ``max``) go in pairs and are empty when the run names none; `num_samples` is how often the space is
    sampled, -1 for ever. No configuration is tried that breaks one of `constraints`. `define` is a function of a trial
    that asks it for parameters, which come to those of `space`. A result that breaks one of `outcome_constraints` is of
    no use, however good it is. Trials before number `first` are of an earlier space; of those that fit this one the
    searcher is told.
    """

    space: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    seed: int = 0
    num_samples: int = 1
    constraints: tuple[Constraint, ...] = ()
    define: DefineByRun | None = None
    outcome_constraints: tuple[OutcomeConstraint, ...] = ()
    first: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "space", adopt(self.space))


def trial_number(trial_id: str) -> int:
    """The number that ends `trial_id`: 7 for ``t7`` and for ``f3a_00007``.

    Raises:
        ValueError: `trial_id` does not end in a number.
    """
    digits = trial_id[len(trial_id.rstrip("0123456789")) :]
    if not digits:
        raise ValueError(f"the trial's id {trial_id!r} must end in its number, as t7 does")
    return int(digits)


class Searcher(ABC):
    """Suggests configurations; only `suggest` must be written.

    A suggestion is a function of the space, the seed, the trial's id and the history told so far, so that an experiment
    killed and resumed goes on as it would have. Take randomness from `rng(trial_id)` and that holds. On resume the
    searcher is told the whole history, in order, by the same hooks.

    Results told are complete dictionaries whose decisive metrics are finite; a trial without such a result completes
    with ``result=None``. The metrics of outcome constraints are finite in the last one.
    """

    takes_constraints: ClassVar[bool] = False
    """Whether `suggest` keeps to the context's constraints: with `draw_allowed`, for example."""
    takes_functions: ClassVar[bool] = False
    """Whether `suggest` calls the context's `define`."""

    init_arguments: tuple[tuple[Any, ...], dict[str, Any]]
    context: SearchContext

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the constructor's arguments: the experiment's recipe keeps them as data."""
        self = super().__new__(cls)
        self.init_arguments = (args, kwargs)
        return self

    def bind(self, context: SearchContext) -> None:
        """Take the space, metrics and seed. Called once, before anything else.

        Raises:
            ValueError: the space or the metrics do not suit this algorithm.
        """
        if context.constraints and not self.takes_constraints:
            names = ", ".join(map(str, context.constraints))
            raise ValueError(f"{type(self).__name__} does not keep to constraints ({names}); random search does")
        if context.define is not None and not self.takes_functions:
            raise ValueError(f"{type(self).__name__} needs the search space as a dictionary, not as a function")
        self.context = context

    def rng(self, *names: str) -> Random:
        """A generator that depends on nothing but the seed and `names`."""
        return Random("/".join((str(self.context.seed), *names)))

    def draw_allowed(self, draw: Callable[[Random], dict[str, Any]], *names: str) -> dict[str, Any]:
        """What `draw` makes with `rng(*names)`, or with the first of other generators whose result is allowed.

        Raises:
            ValueError: far too many were refused: says by which constraints.
        """
        return draw_allowed(
            self.context.constraints,
            lambda attempt: draw(self.rng(*names, "redraw", str(attempt)) if attempt else self.rng(*names)),
        )

    @property
    def total_trials(self) -> int | None:
        """How many trials the run consists of, None when that is not known; ``num_samples`` by default."""
        return self.context.num_samples if self.context.num_samples >= 0 else None

    @abstractmethod
    def suggest(self, trial_id: str) -> Suggestion:
        """A configuration for `trial_id`, None (ask again after the next event), or `FINISHED`."""

    def suggest_parameter(self, trial_id: str, name: str, domain: Domain) -> Any:
        """A value for one parameter that a running trial asks for (define-by-run). Asked once per trial and name."""
        return domain.sample(self.rng(trial_id, name))

    @property
    def is_slow(self) -> bool:
        """Whether suggestions take milliseconds or more: they are then made on a thread of their own.

        Hooks are called on that thread too. Suggestions may be made ahead: the trial then exists a while later.
        """
        return False

    @property
    def learns(self) -> bool:
        """Whether suggestions depend on results: a scheduler that changes configurations would mislead it."""
        return False

    def on_ask(self, trial_id: str) -> None:
        """On resume: `suggest` was called here, and what it suggested is added later.

        For searchers that take notes as they suggest: others have no use for it.
        """

    def on_evaluated(self, trial_id: str, config: dict[str, Any], result: dict[str, Any]) -> None:
        """A result is known that no trial of this run has: told after `bind`, before anything is suggested.

        `config` is complete, `trial_id` no trial's. By default it is learned from as a trial that was added and ended.
        """
        self.on_trial_add(trial_id, config)
        self.on_trial_complete(trial_id, result)

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        """A trial with `config` exists: one suggested just now, given from outside, or read back on resume.

        One that had ended, or failed, may be added again: the user wants it to go on. It then ends once more.
        """

    def on_trial_start(self, trial_id: str) -> None:
        """A trial starts: for the first time, after a pause, or again after a failure."""

    def on_trial_pause(self, trial_id: str) -> None:
        """A trial was paused by the scheduler: it takes up no room until it starts again."""

    def on_parameter(self, trial_id: str, name: str, domain: Domain, value: Any) -> None:
        """A running trial was given `value` for `name`: answered just now, or read back on resume."""

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A trial reported `result`."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial ended for good, with its last result, or failed."""
