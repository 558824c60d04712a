"""Reports that need not wait: where nothing but going on can be decided, a trial tells and goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import tune
from executor.local import LocalExecutor
from executor.resources import Request
from schedulers import ASHAScheduler, FIFOScheduler
from schedulers.base import NEVER
from tests.tune.test_machine import RAISED, Bench, make_plan
from tune.machine.events import Closing, GoOn, Launched, Leave, Nudge, Reported
from tune.machine.stopping import FunctionStopper


def told(bench: Bench, trial_id: str = "t0", **metrics: float) -> list[object]:
    """What follows from a report that did not wait."""
    trial = bench.trial(trial_id)
    return bench.happen(Reported(trial_id, trial.attempt, 0, metrics or {"loss": 1.0}, 1.0))


def fifo() -> FIFOScheduler:
    return FIFOScheduler()


def test_the_first_report_waits_and_frees_the_trial_and_all_after_it() -> None:
    bench = Bench(scheduler=fifo())
    assert bench.start("t0").free_until == 0
    assert bench.answer("t0") == GoOn(NEVER)
    assert bench.start("t1").free_until == NEVER


def test_a_report_that_did_not_wait_is_not_answered() -> None:
    bench = Bench(scheduler=fifo())
    bench.start()
    bench.answer()
    assert told(bench) == []
    assert bench.trial().totals.iteration == 2


def test_a_stop_criterion_has_to_see_each_result() -> None:
    bench = Bench(scheduler=fifo(), stop=FunctionStopper(lambda trial_id, result: False))
    bench.start()
    assert bench.answer() == GoOn(0)


def test_a_free_trial_is_nudged_until_it_asks() -> None:
    bench = Bench(scheduler=fifo())
    bench.start()
    bench.answer()
    assert bench.happen(Closing("enough", keep=True)) == [Nudge("t0", 1)]
    assert told(bench) == [Nudge("t0", 1)]
    assert bench.answer() == Leave("enough")


def test_done_is_answered_in_an_iteration_that_is_repeated() -> None:
    bench = Bench(make_plan(max_failures=1), scheduler=fifo())
    bench.start()
    for _ in range(5):
        bench.answer()
    bench.fail(failure=RAISED)
    bench.start()
    assert bench.answer(loss=1.0) == GoOn(NEVER)
    assert isinstance(bench.answer(loss=1.0, done=True), Leave)


def test_a_promise_is_kept_over_a_restart() -> None:
    bench = Bench(scheduler=fifo())
    bench.start()
    bench.answer()
    launched = bench.experiment.launch("t0")
    assert launched == Launched("t0", 2, None, NEVER)


def test_every_result_of_a_free_trial_is_in_the_journal_once(tmp_path: Path) -> None:
    def train(config):
        for step in range(3000):
            tune.report(loss=1.0 / (step + 1), step=step)

    results = tune.run(train, num_samples=2, metric="loss", mode="min", storage_path=tmp_path, verbose=0)
    for result in results:
        assert list(result.metrics_dataframe["step"]) == list(range(3000))


def test_what_a_killed_process_had_told_is_kept(tmp_path: Path) -> None:
    def train(config):
        for step in range(500):
            tune.report(loss=1.0, step=step)
        os.kill(os.getpid(), signal.SIGKILL)

    (result,) = tune.run(
        train, metric="loss", mode="min", storage_path=tmp_path, verbose=0, raise_on_failed_trial=False
    )
    assert list(result.metrics_dataframe["step"]) == list(range(500))


def test_asha_stops_at_its_rungs_however_freely_trials_report(tmp_path: Path) -> None:
    def train(config):
        for _ in range(50):
            tune.report(loss=config["x"])

    results = tune.run(
        train,
        config={"x": tune.grid_search([1, 2, 3, 4, 5, 6])},
        metric="loss",
        mode="min",
        scheduler=ASHAScheduler(max_t=27, reduction_factor=3, grace_period=3),
        max_concurrent_trials=1,
        storage_path=tmp_path,
        verbose=0,
    )
    assert {result.metrics["training_iteration"] for result in results} <= {3, 9, 27}
    assert results[0].metrics["training_iteration"] == 27


def test_a_report_that_raises_was_never_made(tmp_path: Path) -> None:
    def train(config):
        tune.report(loss=1.0)
        with pytest.raises(FileNotFoundError):
            tune.report(loss=2.0, checkpoint="/there/is/no/such/directory")
        tune.report(loss=3.0, checkpoint=saved())

    def saved() -> str:
        Path("state").mkdir(exist_ok=True)
        return str(Path("state").resolve())

    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        (result,) = tune.run(train, metric="loss", mode="min", storage_path=tmp_path, verbose=0)
    finally:
        os.chdir(before)
    assert list(result.metrics_dataframe["loss"]) == [1.0, 3.0]
    assert Path(result.checkpoint.path).name == "000002-1"


def test_a_run_that_an_exception_ends_leaves_nothing_on_the_callers_executor(tmp_path: Path) -> None:
    class Quit(tune.Callback):
        def on_trial_result(self, *, trial, **more):
            raise SystemExit(7)

    def train(config):
        while True:
            tune.report(loss=1.0)

    with LocalExecutor(cpus=2) as executor:
        with pytest.raises(SystemExit):
            tune.run(
                train,
                metric="loss",
                mode="min",
                callbacks=[Quit()],
                storage_path=tmp_path,
                verbose=0,
                executor=executor,
            )
        rooms = []
        until = executor.clock() + 20.0
        while len(rooms) < 2 and executor.clock() < until:  # the last one is free once its process is gone
            room = executor.reserve(Request())
            rooms += [room] if room else []
            if room is None:
                executor.events(until)
        assert len(rooms) == 2
        for room in rooms:
            executor.release(room)
        (result,) = tune.run(lambda config: {"loss": 5.0}, storage_path=tmp_path, verbose=0, executor=executor)
        assert result.metrics["loss"] == 5.0
