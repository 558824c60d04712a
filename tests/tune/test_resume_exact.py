"""Killed anywhere and resumed, an experiment suggests and decides as it would have without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from schedulers.asha import ASHAScheduler
from schedulers.auto import AutoScheduler
from schedulers.base import Exploit
from schedulers.pb2 import PB2
from schedulers.pbt import PopulationBasedTraining
from schedulers.resizing import ResourceChangingScheduler
from searchers.optuna import OptunaSearch
from searchers.space import choice, grid_search, loguniform, uniform
from tests.tune.arena import Arena, CountingJournal, Crash, MortalJournal, bound
from tune.machine.events import Entry, ExploitDropped, Exploited, Reported, Saved
from tune.machine.plan import Plan, Retention
from tune.machine.policies import Policies
from tune.worker.trainable import Trainable

EPOCHS = 9
SPACE = {"lr": loguniform(1e-4, 1.0), "width": choice([8, 16, 32]), "shift": uniform(0, 1)}
GRID = {"lr": grid_search([0.001, 0.01, 0.1]), "width": grid_search([8, 16]), "shift": uniform(0, 1)}


def loss(config: dict[str, Any], epoch: int) -> float:
    return config["shift"] / epoch + abs(config["lr"] - 0.03) + config["width"] / 320


def forgetful(config):
    """Saves nothing: each attempt starts from zero."""
    for epoch in range(1, EPOCHS + 1):
        yield {"loss": loss(config, epoch)}


def returning(config):
    """Reports but once, by what it returns."""
    return {"loss": loss(config, EPOCHS)}


class Saving(Trainable):
    """Saves at every report."""

    def setup(self, config):
        self.epoch = 0

    def step(self):
        self.epoch += 1
        return {"loss": loss(self.config, self.epoch), "done": self.epoch == EPOCHS}

    def save_checkpoint(self, checkpoint_dir):
        return {"epoch": self.epoch}

    def load_checkpoint(self, checkpoint):
        self.epoch = checkpoint["epoch"]


def random_search() -> Policies:
    return bound(SPACE, 8)


def grid() -> Policies:
    return bound(GRID, 2)


def tpe() -> Policies:
    return bound(SPACE, 14, searcher=OptunaSearch())


def asha_stopping() -> Policies:
    return bound(SPACE, 14, scheduler=ASHAScheduler(max_t=EPOCHS, reduction_factor=3))


def asha_promotion() -> Policies:
    return bound(SPACE, 14, scheduler=ASHAScheduler(max_t=EPOCHS, reduction_factor=3, type="promotion"))


def tpe_with_asha() -> Policies:
    return bound(SPACE, 14, searcher=OptunaSearch(), scheduler=ASHAScheduler(max_t=EPOCHS, reduction_factor=3))


def pbt(*, synch: bool = False, trials: int = 4) -> Policies:
    mutations = {"lr": SPACE["lr"], "shift": SPACE["shift"]}
    scheduler = PopulationBasedTraining(
        "training_iteration", perturbation_interval=2, hyperparam_mutations=mutations, synch=synch
    )
    return bound(SPACE, trials, scheduler=scheduler)


def pbt_synch() -> Policies:
    return pbt(synch=True)


def pbt_crowded() -> Policies:
    return pbt(trials=7)


def pb2() -> Policies:
    ranges = {"lr": SPACE["lr"], "shift": [0.0, 1.0]}
    return bound(SPACE, 4, scheduler=PB2("training_iteration", perturbation_interval=1, hyperparam_bounds=ranges))


def resizing() -> Policies:
    return bound(SPACE, 7, scheduler=ResourceChangingScheduler(ASHAScheduler(max_t=EPOCHS, reduction_factor=3)))


def auto() -> Policies:
    return bound(SPACE, 14, scheduler=AutoScheduler(max_t=EPOCHS))


ALL = [random_search, grid, tpe, asha_stopping, asha_promotion, tpe_with_asha, auto]
ALL += [pbt, pbt_synch, pbt_crowded, pb2, resizing]
PLAN = Plan(metrics=("loss",), modes=("min",), seed=7, retention=Retention(frequency=1))


def spread(among: Sequence[int], count: int) -> list[int]:
    """`count` of them, evenly spread, first and last included."""
    if len(among) <= count:
        return list(among)
    return sorted({among[round(at * (len(among) - 1) / (count - 1))] for at in range(count)})


def run_whole(arena: Arena) -> list[Sequence[Entry]]:
    """Run to the end; returns what each append brought."""
    journals: list[CountingJournal] = []

    def open_journal(directory: Path) -> CountingJournal:
        journals.append(CountingJournal(directory))
        return journals[0]

    arena.run(open_journal=open_journal)
    return journals[0].appended


def assert_ends_alike(arena: Arena, whole: Arena, at: int, committed: bool) -> None:
    def open_journal(directory: Path) -> MortalJournal:
        return MortalJournal(directory, at, committed=committed)

    with pytest.raises(Crash):
        arena.run(open_journal=open_journal)
    experiment = arena.run()
    where = f"killed {'after' if committed else 'before'} commit {at}"
    assert arena.configurations() == whole.configurations(), where
    assert arena.decisions() == whole.decisions(), where
    assert all(trial.state.final for trial in experiment.trials.values()), where


@pytest.mark.parametrize("policies", ALL, ids=lambda each: each.__name__)
@pytest.mark.parametrize("trainable", [forgetful, Saving, returning], ids=lambda each: each.__name__)
def test_one_at_a_time_a_kill_at_any_commit_changes_nothing(
    policies: Callable[[], Policies], trainable: Any, tmp_path: Path
) -> None:
    whole = Arena(tmp_path / "whole", trainable, policies, PLAN)
    commits = len(run_whole(whole))
    for number, at in enumerate(spread(range(1, commits + 1), 6)):
        killed = Arena(tmp_path / str(at), trainable, policies, PLAN)
        assert_ends_alike(killed, whole, at, committed=number % 2 == 0)


@pytest.mark.parametrize("policies", [one for one in ALL if one is not pbt_synch], ids=lambda each: each.__name__)
def test_four_at_a_time_a_kill_between_ticks_changes_nothing(policies: Callable[[], Policies], tmp_path: Path) -> None:
    whole = Arena(tmp_path / "whole", Saving, policies, PLAN, cpus=4)
    between = between_ticks(run_whole(whole))[:-1]
    for number, at in enumerate(spread(between, 8)):
        killed = Arena(tmp_path / str(at), Saving, policies, PLAN, cpus=4)
        if number % 2:
            assert_ends_alike(killed, whole, at, committed=True)
        else:  # the effects of what is committed were let out, those of what follows are lost
            assert_ends_alike(killed, whole, at + 1, committed=False)


def test_four_that_wait_for_each_other_copy_whom_they_would_have_after_a_kill(tmp_path: Path) -> None:
    """Who comes last, and is answered for all, may be another: that depends on who was started first again."""
    whole = Arena(tmp_path / "whole", Saving, pbt_synch, PLAN, cpus=4)
    between = between_ticks(run_whole(whole))[:-1]
    assert len(copies(whole)) > 2
    for at in spread(between, 8):
        killed = Arena(tmp_path / str(at), Saving, pbt_synch, PLAN, cpus=4)
        with pytest.raises(Crash):
            killed.run(open_journal=lambda directory, at=at: MortalJournal(directory, at, committed=True))
        killed.run()
        assert copies(killed) == copies(whole), f"killed after commit {at}"


def copies(arena: Arena) -> dict[tuple[str, int | None], tuple[str, dict[str, Any]]]:
    """Who copied whom, by the copy and the iteration, and with which configuration."""
    return {
        (one.event.trial_id, one.iteration): (one.event.donor, one.event.config)
        for one in arena.entries()
        if isinstance(one.event, Exploited)
    }


@pytest.mark.parametrize("policies", [random_search, grid], ids=lambda each: each.__name__)
def test_four_at_a_time_searches_that_look_at_no_result_may_be_killed_anywhere(
    policies: Callable[[], Policies], tmp_path: Path
) -> None:
    whole = Arena(tmp_path / "whole", Saving, policies, PLAN, cpus=4)
    for at in spread(range(1, len(run_whole(whole)) + 1), 6):
        killed = Arena(tmp_path / str(at), Saving, policies, PLAN, cpus=4)
        assert_ends_alike(killed, whole, at, committed=at % 2 == 0)


def test_killed_again_and_again_an_experiment_still_ends_as_it_would_have(tmp_path: Path) -> None:
    whole = Arena(tmp_path / "whole", forgetful, asha_promotion, PLAN)
    run_whole(whole)
    killed = Arena(tmp_path / "killed", forgetful, asha_promotion, PLAN)
    deaths = 0
    while True:
        try:
            killed.run(open_journal=lambda directory: MortalJournal(directory, 13, committed=True))
            break
        except Crash:
            deaths += 1
    assert deaths > 5
    assert killed.decisions() == whole.decisions()


def between_ticks(appended: Sequence[Sequence[Entry]]) -> list[int]:
    """The appends after which no save and no copy is under way, counted from 1.

    A trial killed between a report and its save repeats that iteration. Those beside it, that had saved or are new, do
    not: from then on it is one tick behind them, results reach the rungs in another order, and ASHA decides by the
    order in which they come. So would the uninterrupted run, had this trial's step taken longer. And a trial that shall
    become a copy when its donor has saved becomes it at once after a kill, a step earlier than it would have.
    """
    saving: set[str] = set()
    copying: set[str] = set()
    found = []
    for at, entries in enumerate(appended, 1):
        for entry in entries:
            if isinstance(entry.event, Reported) and entry.verdict is not None and entry.verdict.save:
                saving.add(entry.event.trial_id)
            elif isinstance(entry.event, Saved):
                saving.discard(entry.event.trial_id)
            elif isinstance(entry.event, Exploited | ExploitDropped):
                copying.discard(entry.event.trial_id)
            if isinstance(entry.event, Reported) and entry.verdict and isinstance(entry.verdict.decision, Exploit):
                copying.add(entry.event.trial_id)
        if not saving and not copying:
            found.append(at)
    return found
