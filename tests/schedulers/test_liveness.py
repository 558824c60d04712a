"""No scheduler leaves an experiment waiting for ever: the real machine, and trials that do whatever trials may do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedulers import SCHEDULERS
from searchers.base import FINISHED, Searcher, Suggestion
from tests.schedulers.contract import BUILDS, SLOW_BUILDS, Build
from tests.tune.arena import bound
from tune.machine.events import (
    CheckpointRef,
    Closing,
    Dismissed,
    Ended,
    Entry,
    Event,
    Failed,
    Failure,
    GoOn,
    Kill,
    Leave,
    Opened,
    Reply,
    Reported,
    Rested,
    Saved,
    SaveNow,
    SearchEnded,
    Start,
    Suggested,
)
from tune.machine.experiment import Experiment
from tune.machine.plan import Plan, Retention

DEATHS = (Failure("died", "by its own fault", exit_code=1), Failure("died", "by nobody's"))
EPOCHS = 12
"""Where trials end that nobody stops."""


@dataclass(frozen=True)
class Odds:
    """How likely what may go wrong is, each time that it may."""

    death: float = 0.0
    early_return: float = 0.0
    missing: float = 0.0
    nan: float = 0.0
    no_checkpoint: float = 0.0
    hesitation: float = 0.0
    crash: float = 0.0
    interrupt: float = 0.0


class Hesitant(Searcher):
    """Has nothing new now and then, however often it is asked at that moment; a limiter waits like this."""

    def __init__(self, odds: float) -> None:
        self.odds = odds
        self.told = 0

    def suggest(self, trial_id: str) -> Suggestion:
        if self.rng(trial_id, str(self.told)).random() < self.odds:
            return None
        return FINISHED if int(trial_id[1:]) >= self.context.num_samples else {"x": self.rng(trial_id).random()}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.told += 1


@dataclass
class Worker:
    """The process of an attempt."""

    attempt: int
    iteration: int
    free_until: int
    answer: Any = None
    seq: int = 0


class Life:
    """Plays loop, executor and workers around one experiment, by a chance that a seed decides."""

    def __init__(self, build: Build, trials: int, slots: int, seed: int, odds: Odds) -> None:
        self.build, self.trials, self.slots, self.seed, self.odds = build, trials, slots, seed, odds
        self.chance = Random(seed)
        self.plan = Plan(("loss",), ("min",), seed, max_failures=1, retention=Retention(frequency=0))
        self.workers: dict[str, Worker] = {}
        self.journal: list[Entry] = []
        self.steps = 0
        self.experiment = self.fresh()
        self.happen(Opened("here", {"cpu": 4.0}))

    def fresh(self) -> Experiment:
        policies = bound(
            {}, self.trials, searcher=Hesitant(self.odds.hesitation), scheduler=self.build(), seed=self.seed
        )
        return Experiment(self.plan, policies)

    def run(self) -> Experiment:
        """Let it come to its end.

        Raises:
            AssertionError: it does not.
        """
        while not (self.come_to_rest() and self.experiment.closing is None):
            self.crash()
        return self.experiment

    def come_to_rest(self) -> bool:
        """Go on until nothing is left to do, or the process dies; whether it ended in good order."""
        self.fill()
        while not self.experiment.idle:
            self.wake()
            assert self.workers, "nothing runs, and yet there is something to wait for"
            self.steps += 1
            assert self.steps < 5000, "the run does not end"
            if self.lucky(self.odds.crash):
                return False
            if self.experiment.closing is None and self.lucky(self.odds.interrupt):
                self.happen(Closing("interrupted", keep=True))
            else:
                self.work(self.chance.choice(sorted(self.workers)))
            self.fill()
        for event in self.experiment.ending():
            self.happen(event)
        return True

    def wake(self) -> None:
        """Let time pass until those that rest may start, when there is nothing else to do."""
        while not self.workers and self.experiment.resting:
            self.steps += 1
            due = [name for name, trial in self.experiment.resting.items() if trial.rests_until <= self.steps]
            for name in due:
                self.happen(Rested(name))
            self.fill()

    def lucky(self, odds: float) -> bool:
        return self.chance.random() < odds

    def happen(self, event: Event) -> None:
        commands = self.experiment.handle(event, float(self.steps), 1e9 + self.steps)
        self.journal += self.experiment.take_entries()
        for command in commands:
            match command:
                case Start(trial_id, attempt):
                    begun = command.checkpoint.iteration if command.checkpoint else 0
                    self.workers[trial_id] = Worker(attempt, begun, command.free_until)
                case Reply(trial_id, answer=answer):
                    self.workers[trial_id].answer = answer
                    self.workers[trial_id].free_until = answer.free_until if isinstance(answer, GoOn) else 0
                case Kill(trial_id, attempt):
                    del self.workers[trial_id]
                    self.happen(Failed(trial_id, attempt, Failure("killed", "it was overdue")))

    def fill(self) -> None:
        """As the loop does."""
        self.experiment.searcher_waits = False
        while len(self.workers) < self.slots and (wanted := self.experiment.wanted()) is not None:
            if trial_id := wanted.trial_id or self.suggest():
                self.happen(self.experiment.launch(trial_id))

    def suggest(self) -> str | None:
        trial_id = self.experiment.next_trial_id
        config = self.experiment.policies.searcher.suggest(trial_id)
        if config is None:
            self.experiment.searcher_waits = True
            if self.experiment.live or self.experiment.wanted() is not None:
                return None
        if not isinstance(config, dict):
            self.happen(SearchEnded())
            return None
        self.happen(Suggested(trial_id, self.experiment.policies.completed_config(trial_id, config)))
        return trial_id

    def work(self, name: str) -> None:
        """Let one worker do what it does next."""
        worker = self.workers[name]
        worker.seq += 1
        if self.lucky(self.odds.death):
            self.end(name, Failed(name, worker.attempt, self.chance.choice(DEATHS)))
        elif isinstance(worker.answer, SaveNow):
            saved = CheckpointRef(f"{name}/{worker.iteration}-{worker.attempt}", worker.iteration)
            self.happen(Saved(name, worker.attempt, worker.seq, saved))
        elif isinstance(worker.answer, Leave):
            self.end(name, Ended(name, worker.attempt, by_order=True))
        elif worker.iteration >= EPOCHS or self.lucky(self.odds.early_return):
            self.end(name, Ended(name, worker.attempt))
        else:
            self.report(name, worker)

    def report(self, name: str, worker: Worker) -> None:
        worker.iteration += 1
        seq = worker.seq if worker.iteration >= worker.free_until else 0
        metrics = {} if self.experiment.names_known and self.lucky(self.odds.missing) else {"loss": self.loss(name)}
        offers = not self.lucky(self.odds.no_checkpoint)
        self.happen(Reported(name, worker.attempt, seq, metrics, 0.5, None, offers))

    def loss(self, name: str) -> float:
        return math.nan if self.lucky(self.odds.nan) else self.chance.randint(0, 9) / 10

    def end(self, name: str, event: Ended | Failed) -> None:
        del self.workers[name]
        self.happen(event)

    def crash(self) -> None:
        """The process that runs the experiment dies, its workers with it, and another takes the experiment up."""
        self.workers.clear()
        before, self.experiment = self.experiment, self.fresh()
        for entry in self.journal:
            self.experiment.replay(entry)
        assert {n: t.state for n, t in before.trials.items()} == {n: t.state for n, t in self.experiment.trials.items()}
        self.happen(Opened("there", {"cpu": 4.0}))

    def dismissed(self) -> Iterator[str]:
        return (entry.event.trial_id for entry in self.journal if isinstance(entry.event, Dismissed))


ODDS = st.builds(
    Odds,
    death=st.sampled_from([0, 0.03, 0.2]),
    early_return=st.sampled_from([0, 0.03, 0.2]),
    missing=st.sampled_from([0, 0.1, 0.9]),
    nan=st.sampled_from([0, 0.1, 1]),
    no_checkpoint=st.sampled_from([0, 0.3, 1]),
    hesitation=st.sampled_from([0, 0.3, 1]),
    crash=st.sampled_from([0, 0, 0.01]),
    interrupt=st.sampled_from([0, 0, 0.01]),
)


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS.keys())
@settings(max_examples=20)
@given(trials=st.integers(1, 24), slots=st.integers(1, 5), seed=st.integers(0, 10_000), odds=ODDS)
def test_whatever_trials_do_the_experiment_ends_and_every_trial_with_it(
    build: Build, trials: int, slots: int, seed: int, odds: Odds
) -> None:
    experiment = Life(build, trials, slots, seed, odds).run()
    assert all(trial.state.final for trial in experiment.trials.values())
    assert len(experiment.trials) == trials or odds.hesitation


@pytest.mark.parametrize("name", ["hyperband", "hb_bohb"])
@settings(max_examples=30)
@given(trials=st.integers(1, 24), slots=st.integers(1, 5), seed=st.integers(0, 10_000), odds=ODDS)
def test_no_bracket_keeps_a_trial_that_nobody_decided_about(
    name: str, trials: int, slots: int, seed: int, odds: Odds
) -> None:
    life = Life(BUILDS[f"{name}-0"], trials, slots, seed, odds)
    life.run()
    assert not list(life.dismissed())


@pytest.mark.long
@pytest.mark.parametrize("build", SLOW_BUILDS.values(), ids=SLOW_BUILDS.keys())
@pytest.mark.parametrize("seed", range(3))
def test_slow_schedulers_let_the_experiment_end_too(build: Build, seed: int) -> None:
    odds = Odds(death=0.05, early_return=0.02, missing=0.1, nan=0.1, no_checkpoint=0.2, hesitation=0.2, interrupt=0.005)
    experiment = Life(build, 8, 3, seed, odds).run()
    assert all(trial.state.final for trial in experiment.trials.values())


def test_all_schedulers_take_part() -> None:
    assert {name.rsplit("-", 1)[0] for name in {**BUILDS, **SLOW_BUILDS}} == set(SCHEDULERS)
