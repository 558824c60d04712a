"""Runs that are taken up again: after their driver was killed, from the recipe alone or with what it cannot name."""

from __future__ import annotations

import importlib
import json
import linecache
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tune
from searchers import BasicVariantGenerator
from tests.tune.driver import REPOSITORY, Driver
from tests.tune.trainables import counting, iterations, patient, steps_in
from tune.settings import RunConfig, TuneConfig


@pytest.fixture
def killed(tmp_path):
    """An experiment whose driver was killed while t2 and t3 waited; the directory, and the marks' directory."""
    driver = Driver(
        tmp_path, "patient", config={"at": 4, "waiting": ["t2", "t3"]}, num_samples=5, max_concurrent_trials=2, seed=3
    )
    driver.wait_for(["t2-waits", "t3-waits"])
    driver.kill()
    Path(driver.marks, "event").touch()
    return tmp_path / "e", driver.marks


def check_complete(results, marks):
    assert [one.state for one in results] == ["TERMINATED"] * 5
    for one in results:
        assert iterations(one) == [1, 2, 3, 4, 5, 6]
        assert list(one.metrics_dataframe["step"]) == [1, 2, 3, 4, 5, 6]
    attempts = {path.name for path in marks.iterdir() if "." in path.name}
    assert attempts == {"t0.1", "t1.1", "t2.1", "t2.2", "t3.1", "t3.2", "t4.1"}


def test_a_killed_run_goes_on_from_its_recipe_and_each_result_counts_once(killed):
    path, marks = killed
    check_complete(tune.resume(path, verbose=0), marks)


def test_a_killed_run_goes_on_through_tune_run(killed):
    path, marks = killed
    before = [one.config["x"] for one in tune.ResultGrid(path)]
    results = tune.run(
        patient,
        config={"x": tune.uniform(0, 1), "marks": str(marks), "at": 4, "waiting": ["t2", "t3"]},
        metric="score",
        mode="max",
        num_samples=5,
        name="e",
        storage_path=path.parent,
        resume=True,
        verbose=0,
    )

    check_complete(results, marks)
    assert [one.config["x"] for one in results][: len(before)] == before


def test_a_killed_run_goes_on_through_a_restored_tuner(killed):
    path, marks = killed
    tuner = tune.Tuner.restore(path)

    assert len(tuner.get_results()) == 4
    check_complete(tuner.fit(), marks)
    check_complete(tuner.get_results(), marks)


def test_a_moved_directory_goes_on(killed, tmp_path):
    path, marks = killed
    (tmp_path / "elsewhere").mkdir()
    shutil.move(path, tmp_path / "elsewhere" / "moved")

    results = tune.resume(tmp_path / "elsewhere" / "moved", verbose=0)

    check_complete(results, marks)
    assert str(tmp_path / "elsewhere") in repr(results[2].checkpoint)
    assert not path.exists()


def test_the_same_seed_suggests_the_same_after_a_kill(killed, tmp_path):
    path, _ = killed
    interrupted = tune.resume(path, verbose=0)
    straight = tune.run(
        counting, config={"x": tune.uniform(0, 1)}, num_samples=5, seed=3, storage_path=tmp_path, name="f", verbose=0
    )

    assert [one.config["x"] for one in interrupted] == [one.config["x"] for one in straight]


def test_a_run_killed_again_and_again_ends_as_it_would_have(tmp_path):
    for at in (2, 3, 5):
        driver = Driver(
            tmp_path,
            "patient",
            config={"at": at, "waiting": ["t0", "t1"]},
            num_samples=2,
            max_concurrent_trials=2,
            resume="AUTO",
        )
        driver.wait_for(["t0-waits", "t1-waits"])
        driver.kill()
        for mark in ("t0-waits", "t1-waits"):
            (driver.marks / mark).unlink()
        if at == 3:  # a run that goes on has the configurations it had
            break
    (driver.marks / "event").touch()

    for one in tune.resume(tmp_path / "e", verbose=0):
        assert iterations(one) == [1, 2, 3, 4, 5, 6]
        assert list(one.metrics_dataframe["step"]) == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_has_nothing_left_to_do(run, tmp_path):
    def once(_config):
        with (tmp_path / "ran").open("a") as file:
            file.write("x")
        tune.report(a=1)

    run(once, num_samples=3)
    again = run(once, num_samples=3, resume=True)

    assert (tmp_path / "ran").read_text() == "xxx"
    assert len(again) == 3


def test_a_finished_run_is_extended_by_more_samples(run):
    first = run(counting, config={"x": tune.uniform(0, 1)}, num_samples=2, seed=1)
    more = run(counting, config={"x": tune.uniform(0, 1)}, num_samples=4, seed=1, resume=True)

    assert [one.state for one in more] == ["TERMINATED"] * 4
    assert [one.config for one in more][:2] == [one.config for one in first]
    assert len({one.config["x"] for one in more}) == 4


def test_auto_starts_when_there_is_nothing_and_goes_on_when_there_is(run):
    assert len(run(counting, num_samples=1, resume="AUTO")) == 1
    assert len(run(counting, num_samples=2, resume="AUTO")) == 2


def test_a_path_names_the_experiment_to_go_on_with(run, tmp_path):
    run(counting, num_samples=1)
    results = tune.run(counting, num_samples=2, resume=tmp_path / "e", verbose=0)

    assert results.experiment_path == str(tmp_path / "e")
    assert len(results) == 2


def test_going_on_with_nothing_is_refused(run, tmp_path):
    with pytest.raises(tune.NotAnExperimentError, match="no experiment"):
        run(counting, resume=True)
    with pytest.raises(tune.InvalidArgumentError, match="name"):
        run(counting, resume=True, name=None)
    with pytest.raises(tune.NotAnExperimentError):
        tune.resume(tmp_path / "e")
    with pytest.raises(tune.NotAnExperimentError):
        tune.Tuner.restore(tmp_path / "e")
    assert not tune.Tuner.can_restore(tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_a_lambda_is_named_and_works_when_it_is_given(run, tmp_path):
    train = lambda config: {"a": config["x"]}  # noqa: E731
    run(train, config={"x": 1})

    with pytest.raises(tune.NotRebuildableError, match=r"lambda.*test_run_resume.py:\d+.*giving it"):
        tune.resume(tmp_path / "e", verbose=0)
    assert tune.resume(tmp_path / "e", train, verbose=0)[0].metrics["a"] == 1
    assert len(run(train, config={"x": 1}, num_samples=2, resume=True)) == 2


def test_a_function_inside_another_is_named_and_works_when_it_is_given(run, tmp_path):
    def train(config):
        return {"a": config["x"]}

    run(train, config={"x": 1})

    with pytest.raises(tune.NotRebuildableError, match=r"train is defined inside another function"):
        tune.resume(tmp_path / "e", verbose=0)
    assert tune.Tuner.restore(tmp_path / "e", train).fit()[0].metrics["a"] == 1


def test_a_lambda_in_the_space_is_named_and_works_when_it_is_given(run, tmp_path):
    space = {"x": 2, "deep": {"y": tune.sample_from(lambda config: config["x"] * 3)}}
    run(counting, config=space)

    with pytest.raises(tune.NotRebuildableError, match=r"space/deep/y.*: function .*lambda"):
        tune.resume(tmp_path / "e", verbose=0)
    again = run(counting, config=space, num_samples=2, resume=True)
    assert [one.config for one in again] == [{"x": 2, "deep": {"y": 6}}] * 2


def test_a_lambda_as_stop_is_named(run, tmp_path):
    run(counting, stop=lambda trial_id, result: result["step"] == 2)

    with pytest.raises(tune.NotRebuildableError, match=r"run/stop: function .*lambda"):
        tune.resume(tmp_path / "e", verbose=0)


def test_a_large_parameter_is_named_and_works_when_it_is_given(run, tmp_path):
    import numpy as np

    weights = np.arange(1000.0)

    def train(config, weights):
        return {"a": float(weights.sum())}

    run(tune.with_parameters(train, weights=weights))

    with pytest.raises(tune.NotRebuildableError, match="parameters/weights: numpy.ndarray"):
        tune.resume(tmp_path / "e", train, verbose=0)
    assert len(run(tune.with_parameters(train, weights=weights), num_samples=2, resume=True)) == 2
    assert tune.resume(tmp_path / "e", tune.with_parameters(train, weights=weights), verbose=0).num_errors == 0


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A user's module, that can be changed between two runs."""

    def write(source):
        (tmp_path / "resumed_module.py").write_text(source)
        linecache.clearcache()
        sys.modules.pop("resumed_module", None)
        return importlib.import_module("resumed_module")

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield write
    sys.modules.pop("resumed_module", None)


def test_a_function_that_is_gone_since_is_named(run, tmp_path, module):
    activations = module("def relu(x):\n    return x\n")
    run(counting, config={"f": tune.choice([activations.relu])})
    module("def gelu(x):\n    return x\n")
    gone = r"resumed_module:relu cannot be imported any more \(.*no attribute 'relu'\): put it back under that name"

    with pytest.raises(tune.NotRebuildableError, match=f"recipe alone: {gone}"):
        tune.resume(tmp_path / "e", verbose=0)
    with pytest.raises(tune.NotRebuildableError, match=gone):  # the configuration of t0
        run(counting, config={"f": 1}, num_samples=2, resume=True)


def test_a_trainable_that_has_changed_is_said_once(run, tmp_path, module, caplog):
    source = "def train(config):\n    return {'a': 1}\n"
    run(module(source).train)
    assert tune.resume(tmp_path / "e", verbose=0)[0].metrics["a"] == 1
    assert caplog.text == ""

    module(source.replace("1", "2"))
    assert tune.resume(tmp_path / "e", verbose=0)[0].metrics["a"] == 1
    assert caplog.messages == ["train has changed since e began; going on with the new one"]
    assert run(module(source.replace("1", "2")).train, num_samples=2, resume=True)[1].metrics["a"] == 2
    assert len(caplog.messages) == 1


def test_a_trial_whose_configuration_was_lost_is_named(run):
    def train(_config):
        while True:
            tune.report({"score": 1})

    class Interrupt(tune.Callback):
        def on_trial_result(self, *, result, **_information):
            if result["training_iteration"] == 1:
                signal.raise_signal(signal.SIGINT)

    space = {"x": tune.choice([object()])}
    run(train, config=space, callbacks=[Interrupt()])

    with pytest.raises(tune.NotRebuildableError, match="'x' of its configuration was .*object"):
        run(train, config=space, resume=True)


def test_another_metric_may_be_given_on_resume(run):
    def train(config):
        tune.report(loss=config["x"], accuracy=-config["x"])

    space = {"x": tune.grid_search([3, 1, 2])}
    run(train, config=space, metric="loss", mode="min")
    again = run(train, config=space, metric="accuracy", mode="min", resume=True)

    assert again.best_config == {"x": 3}


def test_a_wrong_metric_is_named_and_put_right_on_resume(run):
    space = {"x": tune.grid_search([3, 1, 2])}
    with pytest.raises(tune.MetricNotReportedError, match="did you mean 'score'") as raised:
        run(counting, config=space, metric="scoer", mode="max")

    assert "resume=" in str(raised.value)
    results = run(counting, config=space, metric="score", mode="max", resume=True)
    assert [iterations(one) for one in results] == [[1, 2, 3, 4, 5, 6]] * 3
    assert results.best_config == {"x": 3}


def test_a_script_is_resumed_from_another_process_by_its_file(tmp_path):
    script = tmp_path / "my_script.py"
    script.write_text(
        "import tune\n"
        "def train(config):\n"
        "    return {'a': config['x'] + 1}\n"
        "if __name__ == '__main__':\n"
        "    tune.run(train, config={'x': tune.grid_search([1, 2])}, name='e', storage_path='.', verbose=0)\n"
    )
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environment, check=True)
    resuming = "import tune, json; print(json.dumps([one.metrics['a'] for one in tune.resume('e', verbose=0)]))"
    done = subprocess.run(
        [sys.executable, "-c", resuming], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )

    assert json.loads(done.stdout) == [2, 3]


def test_seed_is_recorded_and_used_again(run, tmp_path):
    def chance(_config):
        import random

        return {"a": random.random()}

    run(chance, num_samples=2)
    (tmp_path / "other").mkdir()
    shutil.copytree(tmp_path / "e", tmp_path / "other" / "e")
    one = run(chance, num_samples=4, resume=True)
    other = run(chance, num_samples=4, resume=True, storage_path=tmp_path / "other")

    assert [result.metrics["a"] for result in one] == [result.metrics["a"] for result in other]
    assert len({result.metrics["a"] for result in one}) == 4


def test_two_runs_on_one_directory_at_a_time_are_refused(tmp_path):
    driver = Driver(tmp_path, "patient", config={"at": 2, "waiting": ["t0"]})
    driver.wait_for(["t0-waits"])

    with pytest.raises(tune.ExperimentBusyError, match=f"process {driver.process.pid}"):
        tune.resume(tmp_path / "e", verbose=0)
    with pytest.raises(tune.ExperimentBusyError, match=f"process {driver.process.pid}"):
        tune.run(counting, name="e", storage_path=tmp_path, verbose=0)
    (driver.marks / "event").touch()
    code, out, _ = driver.end()
    assert code == 0
    assert json.loads(out) == [["t0", "TERMINATED"]]


def test_a_second_run_into_an_existing_experiment_is_refused(run):
    run(counting)
    with pytest.raises(tune.InvalidArgumentError, match="resume=True"):
        run(counting)


def test_a_tuner_may_be_fitted_again_only_under_another_name(tmp_path):
    tuner = tune.Tuner(
        counting, tune_config=TuneConfig(), run_config=RunConfig(name="e", storage_path=tmp_path, verbose=0)
    )
    with pytest.raises(RuntimeError, match="fit"):
        tuner.get_results()
    tuner.fit()
    assert len(tuner.get_results()) == 1
    with pytest.raises(tune.InvalidArgumentError, match="another name"):
        tuner.fit()


def test_searchers_by_class_path_are_made_again(run, tmp_path):
    run(counting, config={"x": tune.uniform(0, 1)}, search_alg=BasicVariantGenerator(points_to_evaluate=[{"x": 0.5}]))

    assert tune.resume(tmp_path / "e", verbose=0)[0].config["x"] == 0.5


def test_checkpoints_of_a_killed_run_do_not_pile_up(killed):
    path, _ = killed
    torn = path / "checkpoints" / "t2" / ".unfinished-000009-1"
    torn.mkdir(parents=True)
    (torn / "step").write_text("9")
    results = tune.resume(path, verbose=0)

    assert not torn.exists()
    for one in results:
        assert len(list((path / "checkpoints" / one.trial_id).iterdir())) == 2
        assert steps_in(one.checkpoint) == 6
