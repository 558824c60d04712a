"""Many trials in virtual time: the same seed gives the same journal, to the byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from executor.messages import DeathCause
from executor.simulated import Fault
from schedulers.asha import ASHAScheduler
from searchers.space import choice, loguniform, uniform
from tests.tune.arena import Arena, bound
from tune.loop import Loop
from tune.machine.events import Entry, Failed, Reported
from tune.machine.plan import Plan
from tune.machine.policies import Policies
from tune.wrappers import Gang

SPACE = {"lr": loguniform(1e-4, 1.0), "width": choice([8, 16, 32]), "pace": uniform(0.5, 2.0)}


def train(config: dict[str, Any]):
    for epoch in range(1, 28):
        yield {
            "loss": abs(config["lr"] - 0.03) + config["width"] / 320 + 1 / epoch,
            "time_this_iter_s": config["pace"],
        }


def asha(trials: int, seed: int) -> Callable[[], Policies]:
    return lambda: bound(SPACE, trials, scheduler=ASHAScheduler(max_t=27, reduction_factor=3), seed=seed)


def simulate(directory: Path, trials: int, seed: int = 7, **options: Any) -> Arena:
    plan = Plan(("loss",), ("min",), seed, max_failures=1)
    arena = Arena(directory, train, asha(trials, seed), plan, cpus=32)
    experiment = arena.run(**options)
    assert len(experiment.trials) == trials
    assert all(trial.state.final for trial in experiment.trials.values())
    return arena


def test_a_thousand_trials_leave_the_same_journal_twice(tmp_path: Path) -> None:
    one, other = (simulate(tmp_path / name, 1_000) for name in ("one", "other"))
    assert one.export() == other.export()
    decisions = one.decisions()
    assert 1_000 < len(decisions) < 10_000  # ASHA stops most trials early
    assert len({trial for trial, iteration in decisions if iteration == 27}) >= 5


def test_another_seed_leaves_another_journal(tmp_path: Path) -> None:
    one, other = (simulate(tmp_path / str(seed), 30, seed) for seed in (1, 2))
    assert one.configurations() != other.configurations()


@pytest.mark.long
def test_ten_thousand_trials_leave_the_same_journal_twice(tmp_path: Path) -> None:
    one, other = (simulate(tmp_path / name, 10_000) for name in ("one", "other"))
    assert one.export() == other.export()


def faults(trials: int) -> list[Fault]:
    return [
        Fault(f"t{number}.1", at_emission=1 + number % 5, cause=DeathCause(signal="SIGKILL"))
        for number in range(0, trials, 3)
    ]


def test_deaths_by_script_leave_the_same_journal_twice_and_lose_no_trial(tmp_path: Path) -> None:
    one, other = (simulate(tmp_path / name, 90, faults=faults(90)) for name in ("one", "other"))
    assert one.export() == other.export()
    died = {entry.event.trial_id for entry in one.entries() if isinstance(entry.event, Failed)}
    assert len(died) > 10


def test_the_end_of_any_worker_ends_the_attempt_of_a_gang(tmp_path: Path) -> None:
    from tune.worker import api

    def joint(config: dict[str, Any]):
        context, checkpoint = api.get_context(), api.get_checkpoint()
        done = int(Path(checkpoint.path, "epoch").read_text()) if checkpoint else 0
        if context.get_world_rank() == 1:
            if (context.get_trial_id(), context.get_attempt()) == ("t1", 1):
                raise ValueError("a bad day")
            (tmp_path / f"{context.get_trial_id()}.{context.get_attempt()}").write_text(str(done))
            return
        for epoch in range(done + 1, 6):
            yield {"loss": 1 / epoch}, lambda path, epoch=epoch: Path(path, "epoch").write_text(str(epoch))

    plan = Plan(("loss",), ("min",), 7, request=Gang(workers=2), max_failures=1)
    arena = Arena(tmp_path, joint, lambda: bound({}, 3), plan, cpus=4)
    experiment = arena.run(faults=[Fault("t0.1", after_s=3.5)])
    trials = list(experiment.trials.values())
    assert [trial.attempt for trial in trials] == [2, 2, 1]
    assert [trial.totals.iteration for trial in trials] == [5, 5, 5]
    failures = [entry.event.failure.summary for entry in arena.entries() if isinstance(entry.event, Failed)]
    assert failures == ["rank 1: ValueError: a bad day", "rank 0: the process was ended by SIGKILL"]
    starts = {path.name: path.read_text() for path in tmp_path.glob("t*.*")}
    assert starts == {"t0.1": "0", "t0.2": "3", "t1.2": "0", "t2.1": "0"}
    assert not list(tmp_path.glob("rendezvous/*"))


def test_an_interrupt_keeps_what_ran_and_a_resume_ends_it(tmp_path: Path) -> None:
    plan = Plan(("loss",), ("min",), 7)
    arena = Arena(tmp_path, train, asha(40, 7), plan, cpus=4)

    def interrupting(loop: Loop) -> list[Callable[[Entry], None]]:
        seen: list[Entry] = []

        def watch(entry: Entry) -> None:
            seen.append(entry)
            if len(seen) == 60:
                loop.interrupt()

        return [watch]

    stopped = arena.run(observers=interrupting)
    assert stopped.closing is not None
    assert stopped.closing.keep
    assert not stopped.live
    assert stopped.waiting
    resumed = arena.run()
    assert len(resumed.trials) == 40
    assert all(trial.state.final for trial in resumed.trials.values())


def test_an_observer_that_raises_is_told_no_more_and_harms_nobody(tmp_path: Path) -> None:
    told: list[Entry] = []

    def raising(entry: Entry) -> None:
        told.append(entry)
        raise RuntimeError("an observer of the user's")

    plain = simulate(tmp_path / "plain", 5)
    watched = simulate(tmp_path / "watched", 5, observers=lambda loop: [raising])
    assert len(told) == 1
    assert watched.export() == plain.export()


def test_a_hang_is_ended_when_the_time_budget_is_spent(tmp_path: Path) -> None:
    def hanging(config):
        yield {"loss": 1.0}
        yield {"loss": 0.5, "time_this_iter_s": float("inf")}

    plan = Plan(("loss",), ("min",), 7, time_budget_s=60.0, grace_s=10.0)
    arena = Arena(tmp_path, hanging, lambda: bound({}, 3), plan)
    experiment = arena.run()
    assert experiment.time == 70.0
    (trial,) = experiment.trials.values()
    assert trial.state == "TERMINATED"
    assert trial.failures == 0
    again = arena.run()
    assert len(again.trials) == 1


def test_a_hang_is_ended_at_its_timeout_and_always_at_the_same_moment(tmp_path: Path) -> None:
    def hanging(config):
        yield {"loss": 1.0}
        yield {"loss": 0.5, "time_this_iter_s": float("inf")}

    plan = Plan(("loss",), ("min",), 7, trial_timeout_s=60.0)
    experiment = Arena(tmp_path, hanging, lambda: bound({}, 3), plan).run()
    assert experiment.time == 3 * 60.0
    assert [trial.state for trial in experiment.trials.values()] == ["ERROR"] * 3


def test_what_is_saved_is_found_by_the_next_attempt(tmp_path: Path) -> None:
    from tune.worker import api

    def saving(config):
        checkpoint = api.get_checkpoint()
        epoch = int(Path(checkpoint.path, "epoch").read_text()) if checkpoint else 0
        while epoch < 6:
            epoch += 1
            done = epoch
            yield {"loss": 1 / epoch}, lambda directory, done=done: Path(directory, "epoch").write_text(str(done))

    plan = Plan(("loss",), ("min",), 7, max_failures=1)
    arena = Arena(tmp_path, saving, lambda: bound({}, 2), plan)
    experiment = arena.run(faults=[Fault("t0.1", at_emission=7)])
    assert [trial.totals.iteration for trial in experiment.trials.values()] == [6, 6]
    iterations = [entry.iteration for entry in arena.entries() if isinstance(entry.event, Reported)]
    assert iterations == [1, 2, 3, 4, 5, 6] * 2
    left = sorted(path.name for path in (tmp_path / "checkpoints" / "t0").iterdir())
    assert left == ["000005-2", "000006-2"]
