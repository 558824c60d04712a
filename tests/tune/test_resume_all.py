"""Every searcher and scheduler that has a name, killed at up to 200 commits and resumed: nothing is decided otherwise.

What is not here stands under "What is exact" in docs/search.md, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from schedulers import SCHEDULERS
from searchers import SEARCHERS, OptunaSearch, Repeater, Searcher, TPESearch, create_searcher
from searchers.space import choice, grid_search, loguniform, uniform
from tests.schedulers.contract import BUILDS, SLOW_BUILDS
from tests.tune.arena import Arena, bound
from tests.tune.test_resume_exact import PLAN, Saving, assert_ends_alike, run_whole, spread
from tune.machine.policies import Policies

SPACE = {"lr": loguniform(1e-4, 1.0), "shift": uniform(0.0, 1.0), "x": choice([1, 2, 3])}
KILLS = 200

# Their models take a second for a suggestion here, or are no part of `make test`'s environment.
FEWER = {"bayesopt": 12, "ax": 6, "gp": 100, "auto": 100}
INEXACT = {"hebo"}


def _installed(name: str) -> bool:
    module, class_name = SEARCHERS[name].split(":")
    package = getattr(getattr(import_module(module), class_name), "package", None)
    return package is None or find_spec(package) is not None


def _named(name: str) -> Callable[[], Searcher]:
    few: dict[str, dict[str, Any]] = {"hyperopt": {"n_initial_points": 5}, "bayesopt": {"random_search_steps": 9}}
    return lambda: create_searcher(name, **few.get(name, {}))


SEARCHES: dict[str, Callable[[], Searcher]] = {
    name: _named(name) for name in SEARCHERS if _installed(name) and name not in INEXACT
}
SEARCHES |= {f"optuna {name}": lambda name=name: OptunaSearch(sampler=name) for name in ("nsgaii", "nsgaiii", "qmc")}  # type: ignore[misc]
SCHEDULES = {**BUILDS, **SLOW_BUILDS}
SEARCHES["repeater"] = lambda: Repeater(TPESearch(), 2)


def searching(name: str) -> Policies:
    space = {**SPACE, "x": grid_search([1, 2, 3])} if name == "grid" else SPACE
    return bound(space, 5 if name == "grid" else 16, searcher=SEARCHES[name]())


def scheduling(name: str) -> Policies:
    return bound(SPACE, 10, scheduler=SCHEDULES[name]())


def killed_often(policies: Callable[[], Policies], path: Path, kills: int) -> None:
    whole = Arena(path / "whole", Saving, policies, PLAN)
    commits = len(run_whole(whole))
    for number, at in enumerate(spread(range(1, commits + 1), kills)):
        killed = Arena(path / str(at), Saving, policies, PLAN)
        assert_ends_alike(killed, whole, at, committed=number % 2 == 0)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_goes_on_as_it_would_have(name: str, tmp_path: Path) -> None:
    killed_often(lambda: searching(name), tmp_path, FEWER.get(name, KILLS))


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_scheduler_goes_on_as_it_would_have(name: str, tmp_path: Path) -> None:
    killed_often(lambda: scheduling(name), tmp_path, 12 if name in SLOW_BUILDS else KILLS)


def test_every_name_is_tried() -> None:
    assert {name.rpartition("-")[0] for name in SCHEDULES} == set(SCHEDULERS)
