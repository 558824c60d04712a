"""Brackets that wait for each other, in virtual time: whoever fails, ends or does not come, the run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.messages import DeathCause
from executor.simulated import Fault
from schedulers import HyperBandForBOHB, HyperBandScheduler, MedianStoppingRule, TrialScheduler
from searchers.limiter import ConcurrencyLimiter
from searchers.space import uniform
from searchers.variants import BasicVariantGenerator
from tests.tune.arena import Arena, bound
from tune.machine.events import Decided, Reported
from tune.machine.plan import Plan
from tune.storage import journal
from tune.views import reading
from tune.worker import api

SPACE = {"x": uniform(0, 1)}


def train(config: dict[str, Any]):
    checkpoint = api.get_checkpoint()
    done = int(Path(checkpoint.path, "epoch").read_text()) if checkpoint else 0
    for epoch in range(done + 1, 10):
        yield {"loss": config["x"] + 1 / epoch}, lambda path, epoch=epoch: Path(path, "epoch").write_text(str(epoch))


def arena(directory: Path, scheduler: TrialScheduler, trials: int, *, cpus: int = 4, searcher: Any = None) -> Arena:
    kind, (args, kwargs) = type(scheduler), scheduler.init_arguments

    def policies():
        own = searcher() if searcher else BasicVariantGenerator()
        return bound(SPACE, trials, searcher=own, scheduler=kind(*args, **kwargs))

    return Arena(directory, train, policies, Plan(("loss",), ("min",), 7, max_failures=1), cpus=cpus)


@pytest.mark.parametrize("kind", [HyperBandScheduler, HyperBandForBOHB])
def test_losers_end_with_their_reason_as_soon_as_their_rung_is_complete(tmp_path: Path, kind: Any) -> None:
    arranged = arena(tmp_path, kind(max_t=9), 13)
    experiment = arranged.run()
    assert all(trial.state == "TERMINATED" for trial in experiment.trials.values())
    decided = [entry for entry in arranged.entries() if isinstance(entry.event, Decided)]
    assert decided
    loser = experiment.trials[decided[0].event.trial_id]
    with journal.reading(tmp_path) as connection:
        assert reading.read_reason(connection, loser.trial_id) == loser.reason
    assert "of 9 at rung 0 of bracket 2 (training_iteration 1), needed 3rd" in loser.reason
    assert loser.cut_short


def test_a_paused_trial_goes_on_from_its_checkpoint_and_repeats_nothing(tmp_path: Path) -> None:
    arranged = arena(tmp_path, HyperBandScheduler(max_t=9), 9)
    arranged.run()
    reported = [(e.event.trial_id, e.iteration) for e in arranged.entries() if isinstance(e.event, Reported)]
    assert len(reported) == len(set(reported)) == 6 + 2 * 3 + 9


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("cpus", [1, 4])
def test_a_searcher_that_waits_for_trials_that_wait_for_it_does_not_end_the_search(
    tmp_path: Path, cpus: int, batch: bool
) -> None:
    def limited():
        return ConcurrencyLimiter(Hesitant(), 2, batch=batch)

    experiment = arena(tmp_path, HyperBandScheduler(max_t=9), 12, cpus=cpus, searcher=limited).run()
    assert len(experiment.trials) == 12
    assert all(trial.state == "TERMINATED" for trial in experiment.trials.values())
    assert max(trial.totals.iteration for trial in experiment.trials.values()) == 9


class Hesitant(BasicVariantGenerator):
    """Suggests a fourth trial only when the first three have ended, and so on."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = 0

    def suggest(self, trial_id: str):
        return super().suggest(trial_id) if int(trial_id[1:]) < self.ended + 3 else None

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        self.ended += 1
        super().on_trial_complete(trial_id, result, error)


def test_deaths_in_any_place_lose_no_trial_and_leave_the_same_journal_twice(tmp_path: Path) -> None:
    faults = [
        Fault(f"t{number}.{attempt}", at_emission=1 + number % 3, cause=DeathCause(exit_code=1))
        for number in range(0, 30, 2)
        for attempt in (1, 2)
    ]
    exports = []
    for name in ("one", "other"):
        arranged = arena(tmp_path / name, HyperBandScheduler(max_t=9), 30)
        experiment = arranged.run(faults=faults)
        assert len(experiment.trials) == 30
        assert all(trial.state.final for trial in experiment.trials.values())
        assert any(trial.state == "ERROR" for trial in experiment.trials.values())
        exports.append(arranged.export())
    assert exports[0] == exports[1]


def test_soft_stopped_trials_go_on_to_their_end_when_nothing_else_is_left(tmp_path: Path) -> None:
    scheduler = MedianStoppingRule("training_iteration", grace_period=2, hard_stop=False)
    experiment = arena(tmp_path, scheduler, 12).run()
    assert {trial.totals.iteration for trial in experiment.trials.values()} == {9}
    assert max(trial.attempt for trial in experiment.trials.values()) == 2


def test_on_one_cpu_trials_give_way_until_there_are_enough_to_judge_by(tmp_path: Path) -> None:
    scheduler = MedianStoppingRule("training_iteration", grace_period=1, min_time_slice=3)
    experiment = arena(tmp_path, scheduler, 12, cpus=1).run()
    assert len(experiment.trials) == 12
    stopped = [trial for trial in experiment.trials.values() if "worse than" in trial.reason]
    assert len(stopped) >= 3
