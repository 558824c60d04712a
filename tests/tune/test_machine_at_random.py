"""The experiment under whatever may happen, and its journal replayed at any moment."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from schedulers.base import Continue, Decision, Decisions, Exploit, Pause, Resize, Save, Stop, TrialScheduler
from searchers.base import Searcher, Suggestion
from tests.tune.arena import bound
from tune.machine.events import (
    CheckpointRef,
    CheckpointRefused,
    Closing,
    DeleteCheckpoint,
    Ended,
    Entry,
    Event,
    Evicted,
    Exploited,
    Failed,
    Failure,
    Kill,
    Launched,
    Leave,
    Opened,
    ParameterGiven,
    Reopened,
    Reply,
    Reported,
    ResizeDropped,
    SaveBegun,
    Saved,
    SaveFailed,
    SaveNow,
    SearchEnded,
    Start,
    Suggested,
)
from tune.machine.experiment import Experiment
from tune.machine.plan import Plan, Retention
from tune.machine.stopping import Stopper
from tune.machine.trial import TrialState
from tune.storage.codec import to_entry, to_row

EPOCHS = 6
DICE = st.integers(1, 6)
FAILURES = [
    Failure("raised", "badly"),
    Failure("refused", "badly"),
    Failure("died", "by its own fault", exit_code=1),
    Failure("died", "by nobody's"),
]
METRIC = st.sampled_from([0.1, 0.5, 0.9, 2.0, math.nan, math.inf])


class Erratic(TrialScheduler):
    """Decides by the toss of a coin that falls alike for the same history; writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.known: list[str] = []
        self.calm = False
        self.iterations: dict[str, list[int]] = {}

    def on_trial_add(self, trial) -> None:
        self.told.append(f"add {trial.trial_id}")
        self.known.append(trial.trial_id)

    def on_trial_start(self, trial) -> None:
        self.told.append(f"start {trial.trial_id}")

    def on_trial_result(self, trial, result: Mapping[str, Any]) -> Decision | Decisions:
        self.told.append(f"result {trial.trial_id} {result!r}")
        lineage = f"{trial.trial_id} {trial.config.get('x')}"  # another with each copy
        self.iterations.setdefault(lineage, []).append(result["training_iteration"])
        coin = Random(f"{self.context.seed}/{len(self.told)}")
        decision = self.draw(coin)
        return decision if coin.random() < 0.7 else {trial.trial_id: decision, **self.about_another(coin)}

    def on_trial_complete(self, trial, result) -> Decisions:
        self.told.append(f"complete {trial.trial_id} {result!r}")
        return self.about_another(Random(f"{self.context.seed}/{trial.trial_id}"))

    def on_trial_error(self, trial) -> Decisions | None:
        self.told.append(f"error {trial.trial_id}")
        return None

    def draw(self, coin: Random) -> Decision:
        copy = Exploit(coin.choice(self.known), {"x": coin.random(), "shape": (3,)}, "worse", pause=coin.random() < 0.3)
        resize = Resize({"cpu": coin.randrange(1, 4)}, "better")
        some = [Continue(), Save(), Pause("waits"), Stop("bad"), copy, resize]
        return coin.choices(some, [8, 1, 2, 1, 0, 0] if self.calm else [5, 1, 1, 1, 5, 2])[0]

    def about_another(self, coin: Random) -> Decisions:
        return {coin.choice(self.known): self.draw(coin)}

    def choose_trial_to_run(self, trials):
        favourites = [trials.paused, trials.waiting]
        if len(self.told) % 2:
            favourites.reverse()
        return next((name for some in favourites for name in some), None)


class Listening(Searcher):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.values: list[float] = []
        self.completions: dict[str, int] = {}

    def suggest(self, trial_id: str) -> Suggestion:
        return {"x": self.rng(trial_id).random(), "shape": (1, 2)}

    def on_trial_add(self, trial_id, config) -> None:
        self.told.append(f"add {trial_id} {config!r}")

    def on_parameter(self, trial_id, name, domain, value) -> None:
        self.told.append(f"parameter {trial_id} {name} {value!r}")

    def on_trial_result(self, trial_id, result) -> None:
        self.values.append(result["loss"])
        self.told.append(f"result {trial_id} {result!r}")

    def on_trial_complete(self, trial_id, result=None, error=False) -> None:
        self.values.append(result["loss"] if result else 0.0)
        self.completions[trial_id] = self.completions.get(trial_id, 0) + 1
        self.told.append(f"complete {trial_id} {result!r} {error}")


class Counting(Stopper):
    """Ends the experiment after so many results; writes down how often it was asked."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.told: list[str] = []

    def __call__(self, trial_id, result) -> bool:
        self.told.append(f"result {trial_id} {result!r}")
        return False

    def stop_all(self) -> bool:
        self.told.append("stop_all")
        return len(self.told) > self.most


@dataclass
class Worker:
    """The process of an attempt, as far as the machine can tell."""

    attempt: int
    seq: int = 0
    answer: Any = None
    aside: CheckpointRef | None = None

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq


class AnyLife(RuleBasedStateMachine):
    """Plays executor, journal and loop around one experiment."""

    @initialize(
        seed=st.integers(0, 1000),
        max_failures=st.sampled_from([0, 2, -1]),
        keep=st.sampled_from([0, 1, 2, None]),
        budget=st.sampled_from([None, 25]),
        frequency=st.integers(0, 2),
        at_end=st.booleans(),
        most=st.sampled_from([10, 10_000]),
    )
    def open(
        self,
        seed: int,
        max_failures: int,
        keep: int | None,
        budget: int | None,
        frequency: int,
        at_end: bool,
        most: int,
    ) -> None:
        retention = Retention(frequency, at_end, keep, max_total_bytes=budget)
        self.plan = Plan(("loss",), ("min",), seed, max_failures=max_failures, retention=retention, time_budget_s=500.0)
        self.most = most
        self.experiment = self.fresh()
        self.workers: dict[str, Worker] = {}
        self.launched: dict[str, int] = {}
        self.over: dict[str, TrialState] = {}
        self.journal: list[Entry] = []
        self.batch: list[Entry] = []
        self.now = 0.0
        self.happen(Opened("first"))

    def fresh(self) -> Experiment:
        policies = bound(
            {}, 5, searcher=Listening(), scheduler=Erratic(), stop=Counting(self.most), seed=self.plan.seed
        )
        return Experiment(self.plan, policies)

    def happen(self, event: Event) -> None:
        commands = self.experiment.handle(event, self.now, 1e9 + self.now)
        self.journal += self.batch
        self.batch = self.experiment.take_entries()
        for command in commands:
            match command:
                case Start(trial_id, attempt):
                    assert trial_id not in self.workers
                    assert attempt > self.launched.get(trial_id, 0)
                    self.launched[trial_id] = attempt
                    self.workers[trial_id] = Worker(attempt)
                case Reply(trial_id, attempt, seq, answer):
                    assert (self.workers[trial_id].attempt, self.workers[trial_id].seq) == (attempt, seq)
                    self.workers[trial_id].answer = answer
                case Kill(trial_id):
                    self.end(trial_id, failure=Failure("killed", "overdue"))
                case DeleteCheckpoint(checkpoint):
                    assert checkpoint not in self.experiment.kept_checkpoints

    def end(self, trial_id: str, *, failure: Failure | None = None, **outcome: Any) -> None:
        attempt = self.workers.pop(trial_id).attempt
        self.happen(Failed(trial_id, attempt, failure) if failure else Ended(trial_id, attempt, **outcome))

    def pick(self, data: st.DataObject, saving: bool = False) -> tuple[str, Worker]:
        able = [name for name, one in self.workers.items() if isinstance(one.answer, SaveNow) is saving]
        name = data.draw(st.sampled_from(able))
        return name, self.workers[name]

    def can_report(self) -> bool:
        return any(not isinstance(one.answer, SaveNow) for one in self.workers.values())

    def can_save(self) -> bool:
        return any(isinstance(one.answer, SaveNow) for one in self.workers.values())

    @rule(room=st.booleans())
    def fill(self, room: bool = True) -> None:
        wanted = self.experiment.wanted()
        if wanted is None or len(self.workers) >= 3:
            return
        if wanted.grows and not room:
            self.happen(ResizeDropped(wanted.trial_id, "there is none"))
            wanted = self.experiment.wanted()
            assert not wanted.grows
        trial_id = wanted.trial_id
        if trial_id is None:
            trial_id = self.experiment.next_trial_id
            self.happen(Suggested(trial_id, self.experiment.policies.searcher.suggest(trial_id)))
        self.happen(self.experiment.launch(trial_id))

    @precondition(can_report)
    @rule(data=st.data(), times=st.integers(1, 4))
    def report_on(self, data: st.DataObject, times: int) -> None:
        for _ in range(times):
            if self.can_report():
                self.report(data, data.draw(METRIC), data.draw(st.booleans()), 0.5)

    def report(self, data: st.DataObject, loss: float, offers: bool, seconds: float) -> None:
        name, worker = self.pick(data)
        brought, saves = None, False
        if not offers and worker.aside is None and data.draw(st.booleans()):
            brought = self.checkpoint(name, self.experiment.trials[name].totals.iteration + 1)
            saves = data.draw(st.booleans())
        self.now += seconds
        metrics = {"loss": loss, "shape": [1, 2], "timesteps_this_iter": 3}
        seq, saved = worker.next_seq(), None if saves else brought
        self.happen(Reported(name, worker.attempt, seq, metrics, seconds, saved, offers, saves=saves))
        if saves and name in self.workers:
            worker.aside = brought

    def checkpoint(self, name: str, iteration: int) -> CheckpointRef:
        return CheckpointRef(f"checkpoints/{name}/{iteration:06d}-{self.workers[name].attempt}", iteration, 10)

    @precondition(can_save)
    @rule(data=st.data())
    def save(self, data: st.DataObject) -> None:
        name, worker = self.pick(data, saving=True)
        self.save_aside_completes(name)
        saved = self.checkpoint(name, self.experiment.trials[name].totals.iteration)
        match data.draw(st.sampled_from(["saved", "aside", "no room"])):
            case "saved":
                self.happen(Saved(name, worker.attempt, worker.next_seq(), saved))
            case "aside":
                self.happen(SaveBegun(name, worker.attempt, worker.next_seq()))
                worker.aside = saved
            case _:
                self.happen(SaveFailed(name, worker.attempt, worker.next_seq(), "no room"))

    @precondition(lambda self: any(one.aside for one in self.workers.values()))
    @rule(data=st.data(), room=st.booleans())
    def aside(self, data: st.DataObject, room: bool) -> None:
        names = [name for name, one in self.workers.items() if one.aside]
        self.save_aside_completes(data.draw(st.sampled_from(names)), room=room)

    def save_aside_completes(self, name: str, *, room: bool = True) -> None:
        worker = self.workers[name]
        saved, worker.aside = worker.aside, None
        if saved is not None:
            outcome = Saved(name, worker.attempt, 0, saved) if room else SaveFailed(name, worker.attempt, 0, "no room")
            self.happen(outcome)

    @precondition(can_report)
    @rule(data=st.data(), loss=METRIC, returns=st.booleans())
    def finish(self, data: st.DataObject, loss: float, returns: bool) -> None:
        name, worker = self.pick(data)
        self.save_aside_completes(name)
        if isinstance(worker.answer, Leave):
            self.end(name, by_order=True)
        else:
            self.end(name, metrics={"loss": loss} if returns else None, seconds=1.0)

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), failure=st.sampled_from(FAILURES))
    def fail(self, data: st.DataObject, failure: Failure) -> None:
        name = data.draw(st.sampled_from(sorted(self.workers)))
        self.end(name, failure=failure)

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), dice=DICE)
    def drain(self, data: st.DataObject, dice: int) -> None:
        if dice < 3:
            name = data.draw(st.sampled_from(sorted(self.workers)))
            self.happen(Evicted(name, self.workers[name].attempt, "its node is drained"))

    @precondition(lambda self: any(one.seq == 0 for one in self.workers.values()))
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, one in self.workers.items() if one.seq == 0]))
        if damaged := self.experiment.trials[name].checkpoint:
            worker = self.workers[name]
            self.happen(CheckpointRefused(name, worker.attempt, worker.next_seq(), damaged, "torn"))
            worker.seq = worker.seq if self.experiment.trials[name].checkpoint is None else 0

    @precondition(can_report)
    @rule(data=st.data(), value=st.sampled_from([0.5, False, "", None, (1, 2)]))
    def ask(self, data: st.DataObject, value: Any) -> None:
        name, worker = self.pick(data)
        parameter = f"p{len(self.experiment.trials[name].config)}"
        self.happen(ParameterGiven(name, worker.attempt, worker.next_seq(), parameter, None, value))

    @rule(keep=st.booleans(), dice=DICE)
    def close(self, keep: bool, dice: int) -> None:
        if dice == 1 and self.experiment.closing is None and not self.experiment.finished:
            self.happen(Closing("enough", keep))

    @rule(error=st.sampled_from(["", "ValueError"]), dice=DICE)
    def search_ends(self, error: str, dice: int) -> None:
        if dice > 1:
            return
        if not self.experiment.search_over and self.experiment.wanted() and self.experiment.wanted().trial_id is None:
            self.happen(SearchEnded(error))

    @rule(seconds=st.sampled_from([0.5, 5.0, 20.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for event in self.experiment.due(self.now):
            self.happen(event)

    @rule()
    def conclude(self) -> None:
        if self.experiment.idle and not self.experiment.finished:
            assert not self.workers
            for event in self.experiment.ending():
                self.happen(event)

    @rule(loses_last=st.booleans(), reopens=st.sampled_from(["", "", "on", "restart"]))
    def crash(self, loses_last: bool, reopens: str) -> None:
        """The process dies, and with it the workers and perhaps what was not committed yet."""
        if not loses_last:
            self.journal += self.batch
        self.batch = []
        resumed = self.fresh()
        for entry in self.journal:
            row = to_row(entry)
            again = to_entry(row, code=True)
            assert repr(again) == repr(entry)
            resumed.replay(again)
        if not loses_last:
            self.assert_alike(resumed)
            self.experiment.handle(Opened("again"), self.now, 0.0)
        self.workers.clear()
        before, self.experiment = self.experiment, resumed
        self.launched = {name: trial.attempt for name, trial in resumed.trials.items()}
        self.over = {}
        self.happen(Opened("again"))
        if not loses_last:
            self.experiment, resumed = before, self.experiment
            self.assert_alike(resumed)
            self.experiment = resumed
        if reopens:
            self.reopen(restart=reopens == "restart")

    def reopen(self, restart: bool) -> None:
        """The user wants those that had ended to go on."""
        for name in [name for name, trial in self.experiment.trials.items() if trial.state.final]:
            self.over.pop(name, None)
            self.happen(Reopened(name, restart))

    def assert_alike(self, other: Experiment) -> None:
        for name in vars(self.experiment).keys() - {"plan", "policies", "_fresh", "_said"}:
            assert repr(getattr(other, name)) == repr(getattr(self.experiment, name)), name
        ours, theirs = self.experiment.policies, other.policies
        assert theirs.searcher.told == ours.searcher.told
        assert theirs.scheduler.told == ours.scheduler.told
        assert theirs.stopper.told == ours.stopper.told

    @invariant()
    def each_trial_is_where_its_state_says(self) -> None:
        experiment, trials = self.experiment, self.experiment.trials
        held_back = {name for name, one in trials.items() if one.copy and not one.copies_itself and not one.state.live}
        for index, belongs in (
            (experiment.waiting | experiment.resting, lambda state: state is TrialState.PENDING),
            (experiment.paused, lambda state: state is TrialState.PAUSED),
            (experiment.live, lambda state: state.live),
        ):
            assert set(index) == {name for name, trial in trials.items() if belongs(trial.state)} - held_back
        for name in held_back:  # or it would wait for ever
            assert trials[trials[name].copy.donor].state.live
        assert not experiment.waiting.keys() & experiment.resting.keys()
        assert experiment.displaced.keys() <= experiment.waiting.keys()
        assert experiment.leaving.keys() <= experiment.live.keys()
        assert set(self.workers) == set(experiment.live)

    @invariant()
    def what_is_over_stays_over_and_is_told_once(self) -> None:
        entries = [*self.journal, *self.batch]
        reopened = Counter(one.event.trial_id for one in entries if isinstance(one.event, Reopened))
        for name, trial in self.experiment.trials.items():
            assert trial.state is self.over.get(name, trial.state)
            if trial.state.final:
                self.over[name] = trial.state
            ends = trial.state.final + reopened[name]
            assert self.experiment.policies.searcher.completions.get(name, 0) == ends

    @invariant()
    def iterations_have_no_gap_and_no_double(self) -> None:
        reached: dict[str, int] = {}
        furthest = 0  # that any trial has ever been: a donor may have started again since it saved
        for entry in [*self.journal, *self.batch]:
            furthest = max([furthest, *reached.values()])
            if isinstance(entry.event, Exploited):
                assert entry.iteration <= furthest
                reached[entry.event.trial_id] = entry.iteration
            elif isinstance(entry.event, Launched | CheckpointRefused):
                # Before a copy's damaged checkpoint comes what the trial itself had saved, perhaps further on.
                most = furthest if isinstance(entry.event, CheckpointRefused) else reached.get(entry.event.trial_id, 0)
                assert (entry.iteration or 0) <= most
                reached[entry.event.trial_id] = entry.iteration or 0
            elif isinstance(entry.event, Reported | Ended) and entry.iteration is not None:
                assert entry.iteration == reached[entry.event.trial_id] + 1
                reached[entry.event.trial_id] = entry.iteration

    @invariant()
    def iterations_are_told_once_and_values_are_finite(self) -> None:
        policies = self.experiment.policies
        for told in policies.scheduler.iterations.values():
            assert told == sorted(set(told))
        assert all(map(math.isfinite, policies.searcher.values))

    @invariant()
    def checkpoints_are_few_and_the_best_is_finite(self) -> None:
        keep = self.plan.retention.num_to_keep
        for trial in self.experiment.trials.values():
            assert keep is None or len(trial.checkpoints) <= max(keep, 1)
            assert keep != 0 or trial.state is not TrialState.TERMINATED or not trial.checkpoints
        assert self.experiment.best_result is None or math.isfinite(self.experiment.best_result["loss"])

    @invariant()
    def checkpoints_are_within_their_budget_but_for_those_that_are_needed(self) -> None:
        experiment = self.experiment
        held = {one.path: one.bytes for one in experiment.kept_checkpoints}
        assert experiment._hoard.bytes == sum(held.values())
        if not self.plan.retention.max_total_bytes or sum(held.values()) <= self.plan.retention.max_total_bytes:
            return
        for trial in experiment.trials.values():
            assert set(trial.checkpoints) <= {trial.checkpoint}
            assert trial.state is not TrialState.TERMINATED or trial is experiment.best or not trial.checkpoints

    def teardown(self) -> None:
        """Once nothing goes wrong any more, the run ends."""
        if not hasattr(self, "experiment"):
            return
        self.experiment.policies.scheduler.calm = True  # copies that go back could go on for ever
        for _ in range(2000):
            while self.experiment.wanted() is not None and len(self.workers) < 3:
                self.fill()
            if self.experiment.idle:
                break
            if not self.workers:
                assert self.experiment.resting
                self.pass_time(100.0)
                continue
            name, worker = next(iter(self.workers.items()))
            self.save_aside_completes(name)
            if isinstance(worker.answer, SaveNow):
                saved = self.checkpoint(name, self.experiment.trials[name].totals.iteration)
                self.happen(Saved(name, worker.attempt, worker.next_seq(), saved))
            elif isinstance(worker.answer, Leave):
                self.end(name, by_order=True)
            elif self.experiment.trials[name].totals.iteration >= EPOCHS:
                self.end(name)
            else:
                self.happen(Reported(name, worker.attempt, worker.next_seq(), {"loss": 1.0}, 0.1, None, offers=True))
        assert self.experiment.idle
        for event in [] if self.experiment.finished else self.experiment.ending():
            self.happen(event)
        closing = self.experiment.closing
        kept = self.experiment.search_error or (closing is not None and closing.keep)
        assert kept or all(trial.state.final for trial in self.experiment.trials.values())
        self.what_is_over_stays_over_and_is_told_once()


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=150, stateful_step_count=40)
