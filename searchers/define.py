"""Define-by-run: a function asks a trial for its parameters one by one, and what it asks next may depend on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from searchers.domain import Domain
from searchers.resolution import NOTHING, Draw, resolve_with
from searchers.space import choice, lograndint, loguniform, randint, uniform
from searchers.stepped import Stepped

DefineByRun = Callable[..., Mapping[str, Any] | None]
"""A function that asks the trial for its parameters and may return constants to be added to them."""


class SuggestingTrial(ABC):
    """What such a function sees: the names and meanings of `optuna.Trial`. Asked again, a parameter keeps its value."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters: dict[str, Any] = dict(parameters)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters asked for so far."""
        return dict(self._parameters)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number from `low` to `high`, uniform or log-uniform, in steps of `step` from `low` if given."""
        if step is not None and log:
            raise ValueError(f"suggest_float({name!r}): step and log=True exclude each other")
        if low == high:
            return float(self._parameters.setdefault(name, low))
        if step is not None:
            return float(self.suggest(name, Stepped(low, high, step)))
        return float(self.suggest(name, loguniform(low, high) if log else uniform(low, high)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number from `low` to `high`, both included, in steps of `step` from `low`."""
        if step != 1 and log:
            raise ValueError(f"suggest_int({name!r}): step and log=True exclude each other")
        if low == high:
            return int(self._parameters.setdefault(name, low))
        if step != 1:
            return int(self.suggest(name, Stepped(low, high, step)))
        return int(self.suggest(name, lograndint(low, high + 1) if log else randint(low, high + 1)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        return self.suggest(name, choice(list(choices)))

    def suggest(self, name: str, domain: Domain) -> Any:
        """A value of any `domain`."""
        if name not in self._parameters:
            self._parameters[name] = self._ask(name, domain)
        return self._parameters[name]

    @abstractmethod
    def _ask(self, name: str, domain: Domain) -> Any:
        """A value for a parameter that was not asked for before."""


class DrawnTrial(SuggestingTrial):
    """A trial whose parameters are drawn, but for those that `fixed` gives."""

    def __init__(self, draw_at: Draw, rng: Random, fixed: Mapping[str, Any] = NOTHING) -> None:
        super().__init__({})
        self._draw_at, self._rng, self._fixed = draw_at, rng, fixed

    def _ask(self, name: str, domain: Domain) -> Any:
        if name in self._fixed and not domain.contains(self._fixed[name]):
            raise ValueError(f"{name} = {self._fixed[name]!r} is not in {domain}")
        fixed = {name: self._fixed[name]} if name in self._fixed else NOTHING
        return resolve_with({name: domain}, self._draw_at, self._rng, fixed)[name]


def ask_all(define: DefineByRun, trial: Any) -> dict[str, Any]:
    """The parameters that `define` asks `trial` for, ours or Optuna's own, and the constants that it returns."""
    constants = define(trial) or {}
    return {**constants, **trial.params}
