"""The spaces, searchers and schedulers of worlds: all of ours, those that think long but seldom."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from random import Random
from typing import Any

from schedulers.base import Continue, Decision, Decisions, Exploit, Pause, Resize, Save, Stop, TrialScheduler
from searchers.base import SearchContext, Searcher, Suggestion
from searchers.domain import Domain
from searchers.limiter import ConcurrencyLimiter
from searchers.registry import SEARCHERS as NAMED
from searchers.repeater import Repeater
from searchers.space import choice, grid_search, loguniform, randint, uniform
from searchers.tpe import TPESearch
from tests.schedulers.contract import BUILDS, SLOW_BUILDS

_TREES: dict[str, dict[str, Any]] = {
    "plain": {"x": uniform(0, 3), "lr": loguniform(1e-4, 1.0)},
    "few": {"x": choice([1, 2, 3])},
    "nested": {"x": randint(0, 4), "layer": {"width": choice([8, 16]), "kind": choice(["a", "b"])}},
    "conditional": {
        "x": uniform(0, 3),
        "solver": choice([{"name": "sgd", "momentum": uniform(0, 1)}, {"name": "adam"}]),
    },
    "grid": {"x": grid_search([1, 2, 3]), "lr": uniform(0, 1)},
}
SPACES: dict[str, float] = {"plain": 6, "few": 2, "nested": 1, "conditional": 1, "grid": 1}
SEARCHERS: dict[str, float] = {
    "random": 12,
    "variant_generator": 6,
    "tpe": 2,
    "sobol": 2,
    "halton": 2,
    "evolution": 2,
    "limited": 3,
    "repeated": 2,
    "bohb": 1,
    "gp": 0.1,
    "auto": 0.3,
    "optuna": 0.1,
}
SCHEDULERS: dict[str, float] = {
    "erratic": 12.0,
    **dict.fromkeys(BUILDS, 1.0),
    **dict.fromkeys(SLOW_BUILDS, 0.02),
}


def make_searcher(name: str, space: str, trials: int, seed: int) -> Searcher:
    """A searcher that knows nothing yet; where a space does not suit the one called `name`, one that takes any."""
    context = SearchContext(_TREES[space], ("loss",), ("min",), seed, trials)
    try:
        searcher = _searcher(name)
        searcher.bind(context)
    except ValueError:
        searcher = _searcher("variant_generator")
        searcher.bind(context)
    return searcher


def _searcher(name: str) -> Searcher:
    match name:
        case "limited":
            return ConcurrencyLimiter(_searcher("random"), max_concurrent=2)
        case "repeated":
            return Repeater(_searcher("random"), repeat=2)
        case "tpe":
            return TPESearch(n_startup_trials=2)
        case _:
            made: Searcher = _class_of(name)()
            return made


@cache
def _class_of(name: str) -> Any:
    module, class_name = NAMED[name].split(":")
    return getattr(import_module(module), class_name)


def make_scheduler(name: str) -> TrialScheduler:
    """A scheduler that knows nothing yet."""
    return Erratic() if name == "erratic" else {**BUILDS, **SLOW_BUILDS}[name]()


class Erratic(TrialScheduler):
    """Decides whatever can be decided, about anybody, by a coin that falls alike for the same history; later calmly."""

    def __init__(self, calm_after: int = 12) -> None:
        self._calm_after = calm_after
        self._told = 0
        self._known: dict[str, Any] = {}

    def on_trial_add(self, trial: Any) -> None:
        self._known[trial.trial_id] = trial

    def on_trial_result(self, trial: Any, result: Mapping[str, Any]) -> Decision | Decisions:
        coin = self._coin()
        decision = self._draw(coin)
        return decision if coin.random() < 0.7 else {trial.trial_id: decision, **self._about_another(coin)}

    def on_trial_complete(self, trial: Any, result: Mapping[str, Any] | None) -> Decisions:
        return self._about_another(self._coin())

    def on_trial_error(self, trial: Any) -> Decisions:
        return self._about_another(self._coin())

    def choose_trial_to_run(self, trials: Any) -> str | None:
        candidates = [*trials.waiting, *trials.paused]
        return candidates[self._told % len(candidates)]

    def _coin(self) -> Random:
        self._told += 1
        return Random(self.context.seed * 1000 + self._told)

    def _about_another(self, coin: Random) -> Decisions:
        return {coin.choice([*self._known]): self._draw(coin)} if coin.random() < 0.5 else {}

    def _draw(self, coin: Random) -> Decision:
        if self._told > self._calm_after:
            return Continue()
        donor = coin.choice([*self._known.values()])
        copy = Exploit(donor.trial_id, {**donor.config, "x": coin.random()}, "worse", pause=coin.random() < 0.3)
        some = [Continue(), Save(), Pause("waits"), Stop("bad"), copy, Resize({"cpu": coin.randrange(1, 4)}, "better")]
        return coin.choices(some, [6, 1, 2, 1, 3, 1])[0]


class Mood:
    """How often a policy will still raise what it never should."""

    def __init__(self) -> None:
        self.raises = 0.0

    def show(self) -> None:
        """Raise, if it is so.

        Raises:
            ZeroDivisionError: it is.
        """
        if self.raises > 0:
            self.raises -= 1
            raise ZeroDivisionError("a bad mood")


class MoodyScheduler(TrialScheduler):
    """Passes on what it is told and asked; raises first when it is in the mood."""

    def __init__(self, inner: TrialScheduler, mood: Mood) -> None:
        self._inner = inner
        self._mood = mood

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name in {"bind", "context", "init_arguments"}:
            return super().__getattribute__(name)
        self._mood.show()
        return getattr(self._inner, name)

    def bind(self, context: Any) -> None:
        self.context = context
        self._inner.bind(context)


class Witness(Searcher):
    """Passes on what it is told and asked, counts the ends it is told of, and raises first when it is in the mood."""

    def __init__(self, inner: Searcher, mood: Mood) -> None:
        self.context = inner.context
        self.added: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self._inner = inner
        self._mood = mood

    @property
    def total_trials(self) -> int | None:
        return self._inner.total_trials

    def suggest(self, trial_id: str) -> Suggestion:
        self._mood.show()
        return self._inner.suggest(trial_id)

    def suggest_parameter(self, trial_id: str, name: str, domain: Domain) -> Any:
        return self._inner.suggest_parameter(trial_id, name, domain)

    def on_ask(self, trial_id: str) -> None:
        self._inner.on_ask(trial_id)

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        self.added[trial_id] = self.added.get(trial_id, 0) + 1
        self._inner.on_trial_add(trial_id, config)

    def on_trial_start(self, trial_id: str) -> None:
        self._inner.on_trial_start(trial_id)

    def on_trial_pause(self, trial_id: str) -> None:
        self._inner.on_trial_pause(trial_id)

    def on_parameter(self, trial_id: str, name: str, domain: Domain, value: Any) -> None:
        self._inner.on_parameter(trial_id, name, domain, value)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._inner.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.ended[trial_id] = self.ended.get(trial_id, 0) + 1
        self._inner.on_trial_complete(trial_id, result, error)
