"""Trials that had ended and go on, under every scheduler; and what a changed search space does to earlier trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from searchers.space import choice, uniform
from searchers.variants import RandomSearch
from tests.schedulers.contract import BUILDS, Build
from tests.tune.arena import Arena, bound
from tune.machine.events import Reopened, Suggested
from tune.machine.plan import Plan, Retention
from tune.machine.trial import TrialState
from tune.reopening import Foreign, Reopening, compare
from tune.worker.trainable import Trainable

SPACE = {"x": choice([1, 2, 3]), "shift": uniform(0, 1)}
PLAN = Plan(metrics=("loss",), modes=("min",), seed=7, retention=Retention(num_to_keep=1))


class Counting(Trainable):
    """Trains for six epochs, and for six more when it goes on after that; fails in the third if its shift is small."""

    def setup(self, config):
        self.epoch, self.end, self.loaded = 0, 6, False

    def step(self):
        self.epoch += 1
        if self.epoch == 3 and self.config["shift"] < 0.4 and not self.loaded:
            raise ValueError("too small a shift")
        return {"loss": self.config["shift"] / self.epoch + self.config["x"], "done": self.epoch >= self.end}

    def save_checkpoint(self, checkpoint_dir):
        return {"epoch": self.epoch, "end": self.end}

    def load_checkpoint(self, checkpoint):
        self.epoch, end = checkpoint["epoch"], checkpoint["end"]
        self.loaded = True
        self.end = end + 6 if self.epoch == end else end


class Listening(RandomSearch):
    """Knows which trials it was told of."""

    def __init__(self) -> None:
        super().__init__()
        self.told: set[str] = set()

    def on_trial_add(self, trial_id: str, config: dict[str, Any]) -> None:
        self.told.add(trial_id)
        super().on_trial_add(trial_id, config)


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_trials_that_had_ended_go_on_under_every_scheduler_and_end_again(build: Build, tmp_path: Path) -> None:
    def reopen(experiment):
        for name, trial in list(experiment.trials.items()):
            if trial.state.final:
                yield Reopened(name, restart=name == "t3")

    arena = Arena(tmp_path, Counting, lambda: bound(SPACE, 8, scheduler=build()), PLAN, cpus=2)
    assert all(trial.state.final for trial in arena.run().trials.values())
    attempts = {name: trial.attempt for name, trial in arena.run().trials.items()}
    again = arena.run(amending=reopen)
    assert all(trial.state.final for trial in again.trials.values())
    assert sum(trial.attempt > attempts[name] for name, trial in again.trials.items()) > 3
    assert arena.run().results == again.results  # read back, it stands where it stood


def test_failed_trials_alone_go_on_with_their_budget_of_failures_anew(tmp_path: Path) -> None:
    arena = Arena(tmp_path, Counting, lambda: bound(SPACE, 8), PLAN)
    failed = {name for name, trial in arena.run().trials.items() if trial.state is TrialState.ERROR}
    again = arena.run(amending=lambda experiment: Reopening(errored=True).events(experiment, None))
    assert 0 < len(failed) < 8
    for name, trial in again.trials.items():
        assert trial.state is TrialState.TERMINATED
        assert trial.attempt == (2 if name in failed else 1)
        assert trial.totals.iteration == 6


def test_failed_trials_that_start_from_zero_keep_no_checkpoint_and_fail_as_before(tmp_path: Path) -> None:
    arena = Arena(tmp_path, Counting, lambda: bound(SPACE, 8), PLAN)
    failed = {name for name, trial in arena.run().trials.items() if trial.state is TrialState.ERROR}
    again = arena.run(amending=lambda experiment: Reopening(restart_errored=True).events(experiment, None))
    assert {name for name, trial in again.trials.items() if trial.state is TrialState.ERROR} == failed
    assert all(again.trials[name].totals.iteration == 2 for name in failed)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == set(again.trials)


def test_what_was_not_over_ends_when_it_shall_not_go_on(tmp_path: Path) -> None:
    arena = Arena(tmp_path, Counting, lambda: bound(SPACE, 8), PLAN)
    again = arena.run(
        observers=lambda loop: [lambda entry: loop.interrupt() if entry.iteration == 2 else None],
    )
    assert [trial.state for trial in again.trials.values()] == [TrialState.PENDING]
    over = arena.run(amending=lambda experiment: Reopening(unfinished=False).events(experiment, None))
    assert over.trials["t0"].state is TrialState.TERMINATED
    assert over.trials["t0"].attempt == 1
    assert len(over.trials) == 8


def test_the_searcher_is_told_nothing_of_trials_that_do_not_fit_a_changed_space(tmp_path: Path) -> None:
    def policies(foreign: frozenset[str] = frozenset()) -> Any:
        made = bound({**SPACE, "shift": uniform(0, 0.6)}, 8, searcher=Listening())
        made.foreign = foreign
        return made

    arena = Arena(tmp_path, Counting, lambda: bound(SPACE, 4), PLAN)
    arena.run()
    configs = {one.event.trial_id: one.event.config for one in arena.entries() if isinstance(one.event, Suggested)}
    foreign = compare(configs, policies().searcher.context)
    assert set(foreign.reasons) == {name for name, config in configs.items() if config["shift"] > 0.6} != set()
    assert "of t2 the reason is that shift = 0.93" in str(foreign)

    arena.policies = lambda: policies(frozenset(foreign.reasons))
    again = arena.run(amending=foreign.events)
    assert again.policies.searcher.told == set(again.trials) - set(foreign.reasons)
    assert len(again.trials) == 8


def test_a_space_that_all_fit_says_so() -> None:
    assert str(Foreign(5, {})) == "the search space has changed: all 5 trials fit it"
