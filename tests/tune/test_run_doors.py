"""What `tune.run` and `Tuner` take, what they refuse, and that they are one."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

import tune
from schedulers import ASHAScheduler
from searchers import ConcurrencyLimiter, OptunaSearch
from tests.naming import plain
from tests.tune.trainables import counting, iterations

SPACE = {"x": tune.uniform(0, 1), "steps": 3}


def test_both_doors_give_the_same(run, tmp_path):
    by_function = run(counting, config=SPACE, metric="score", mode="max", num_samples=4, seed=7, stop={"step": 2})
    by_object = tune.Tuner(
        counting,
        param_space=SPACE,
        tune_config=tune.TuneConfig(metric="score", mode="max", num_samples=4, seed=7),
        run_config=tune.RunConfig(name="f", storage_path=tmp_path, stop={"step": 2}, verbose=0),
    ).fit()

    assert [one.config for one in by_function] == [one.config for one in by_object]
    assert [iterations(one) for one in by_function] == [iterations(one) for one in by_object]
    assert by_function.best_config == by_object.best_config
    assert (by_object.metric, by_object.mode) == ("score", "max")


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("n_trials", "num_samples"),
        ("n_iter", "num_samples"),
        ("num_sample", "num_samples"),
        ("direction", "mode"),
        ("n_jobs", "max_concurrent_trials"),
        ("timeout", "time_budget_s"),
        ("sampler", "search_alg"),
        ("pruner", "scheduler"),
        ("schedular", "scheduler"),
        ("random_state", "seed"),
        ("param_distributions", "config"),
        ("param_space", "config"),
        ("scoring", "metric"),
        ("study_name", "name"),
        ("local_dir", "storage_path"),
        ("load_if_exists", "resume"),
        ("max_failure", "max_failures"),
        ("keep_checkpoints_num", "checkpoint_config"),
    ],
)
def test_an_unknown_keyword_is_told_what_it_is_called_here(run, word, ours):
    with pytest.raises(tune.InvalidArgumentError, match=f"no keyword '{word}'.*'{ours}'"):
        run(counting, **{word: 1})


@pytest.mark.parametrize("word", ["progress_reporter", "sync_config", "trial_name_creator", "export_formats"])
def test_what_ray_has_and_we_have_not_is_told_what_to_do_instead(run, word):
    with pytest.raises(tune.InvalidArgumentError, match=f"no keyword '{word}': .+"):
        run(counting, **{word: 1})


def test_all_unknown_keywords_are_told_at_once(run):
    with pytest.raises(tune.InvalidArgumentError) as raised:
        run(counting, n_trials=10, zebra=1)

    assert len(raised.value.mistakes) == 2
    assert raised.value.mistakes[1] == "tune.run has no keyword 'zebra'"


def test_all_mistakes_are_told_at_once(run, tmp_path):
    with pytest.raises(tune.InvalidArgumentError) as raised:
        run(
            3,
            metric="loss",
            mode="down",
            num_samples="ten",
            max_failures=-2,
            time_budget_s=-1,
            max_concurrent_trials=-1,
            fail_fast="no",
            durability="forever",
            checkpoint_config=tune.CheckpointConfig(num_to_keep=-1, checkpoint_score_order="up"),
            resources_per_trial={"cpu": -1},
            runtime_env={"working_dir": "/nowhere"},
        )

    told = str(raised.value)
    for word in (
        *("trainable", "mode", "num_samples", "max_failures", "time_budget_s", "max_concurrent_trials", "fail_fast"),
        *("durability", "num_to_keep", "checkpoint_score_order", "resources_per_trial"),
        "runtime_env: working_dir",
    ):
        assert word in told
    assert f"{len(raised.value.mistakes)} mistakes" in told
    assert len(raised.value.mistakes) == 12
    assert isinstance(raised.value, ValueError)
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"metric": "loss"}, "metric 'loss' needs a mode"),
        ({"mode": "min"}, "mode 'min' needs a metric"),
        ({"metric": ["a", "b"], "mode": ["min"]}, "2 metrics need as many modes, got 1"),
        ({"num_samples": True}, "num_samples must be a whole number"),
        ({"num_samples": 2.5}, "num_samples must be a whole number"),
        ({"num_samples": -3}, "num_samples must be a whole number"),
        ({"num_samples": 0}, "num_samples"),
        ({"max_concurrent_trials": True}, "max_concurrent_trials must be a whole number"),
        ({"time_budget_s": "1h"}, "time_budget_s must be seconds"),
        ({"time_budget_s": timedelta(seconds=-1)}, "time_budget_s must be"),
        ({"time_budget_s": float("nan")}, "time_budget_s must be"),
        ({"search_alg": "tpa"}, "tpa"),
        ({"search_alg": 3}, "search_alg must be a Searcher or its name, got 3"),
        ({"search_alg": OptunaSearch}, "search_alg must be a Searcher"),
        ({"scheduler": "ahsa"}, "did you mean 'asha'"),
        ({"scheduler": 3}, "scheduler must be a TrialScheduler or its name, got 3"),
        ({"scheduler": ASHAScheduler()}, "metric"),
        ({"search_alg": OptunaSearch()}, "metric"),
        ({"name": "a/b"}, "name must be a plain directory name"),
        ({"name": ""}, "name must be a plain directory name"),
        ({"name": ".."}, "name must be a plain directory name"),
        ({"config": 3}, "config"),
        ({"config": [("x", 1)]}, "config must be a dictionary"),
        ({"metric": 3, "mode": "min"}, "metric must be the name"),
        ({"storage_path": "memory://place"}, "memory:// is one process's own"),
        ({"log_to_file": "log.txt"}, "log_to_file must be True or False"),
        ({"verbose": "loud"}, "verbose"),
        ({"seed": "abc"}, "seed"),
        ({"seed": -1}, "seed"),
        ({"callbacks": tune.Callback()}, "callbacks"),
        ({"callbacks": [tune.Callback]}, "callbacks"),
        ({"checkpoint_config": {"num_to_keep": 1}}, "checkpoint_config"),
        ({"checkpoint_config": tune.CheckpointConfig(checkpoint_frequency=-1)}, "checkpoint_frequency"),
        ({"max_concurrent_trials": 2, "search_alg": "limited"}, "exclude each other"),
    ],
    ids=plain,
)
def test_a_mistake_is_refused_before_anything_starts(run, tmp_path, settings, said):
    if settings.get("search_alg") == "limited":
        limited = ConcurrencyLimiter(OptunaSearch(metric="score", mode="max"), 2)
        settings = {**settings, "search_alg": limited, "metric": "score", "mode": "max"}
    with pytest.raises(tune.InvalidArgumentError, match=re.escape(said)):
        run(counting, **{"config": {"x": tune.uniform(0, 1)}, **settings})
    assert list(tmp_path.iterdir()) == []


def test_a_function_that_takes_no_configuration_is_refused(run):
    def train():
        pass

    with pytest.raises(tune.InvalidArgumentError, match=r"train must take the configuration: def train\(config\)"):
        run(train)


def test_a_coroutine_function_is_refused_saying_what_to_do(run):
    async def train(config):
        return {"a": 1}

    with pytest.raises(tune.InvalidArgumentError, match=r"train is async.*asyncio.run"):
        run(train)


@pytest.mark.parametrize(("given", "said"), [({"name": 3}, "name"), ({"storage_path": 3}, "storage_path")])
def test_a_wrong_place_is_refused(run, given, said):
    with pytest.raises(tune.InvalidArgumentError, match=said):
        run(counting, **given)


@pytest.mark.parametrize(
    ("setting", "value"), [("tune_config", {"num_samples": 3}), ("run_config", {"name": "e"}), ("tune_config", 3)]
)
def test_a_tuner_takes_its_own_configuration_objects_only(setting, value):
    with pytest.raises(tune.InvalidArgumentError, match=setting):
        tune.Tuner(counting, **{setting: value})


def test_a_misspelt_metric_ends_the_run_with_its_first_result_and_the_nearest_name(run):
    with pytest.raises(tune.MetricNotReportedError, match="'scroe' was not reported.*did you mean 'score'") as raised:
        run(counting, metric="scroe", mode="max", num_samples=50)

    assert len(raised.value.results) < 10


def test_an_experiment_is_called_by_its_trainable_and_the_time(run, tmp_path):
    assert re.fullmatch(r"counting_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", Path(run(counting, name=None).experiment_path).name)
    by_lambda = run(lambda config: {"a": 1}, name=None)
    assert Path(by_lambda.experiment_path).name.startswith("lambda_")


def test_two_nameless_runs_in_one_second_do_not_meet(run):
    paths = {run(counting, name=None).experiment_path for _ in range(3)}

    assert len(paths) == 3


def test_where_experiments_go_is_said_by_argument_by_variable_or_is_results(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDITION_STORAGE", str(tmp_path / "by variable"))

    assert run(counting, storage_path=tmp_path / "given").experiment_path == str(tmp_path / "given" / "e")
    assert run(counting, storage_path=None).experiment_path == str(tmp_path / "by variable" / "e")
    monkeypatch.delenv("AUDITION_STORAGE")
    assert run(counting, storage_path=None).experiment_path == str(tmp_path / "results" / "e")
    assert run(counting, storage_path="relative").experiment_path == str(tmp_path / "relative" / "e")


def test_odd_names_and_places_work(run, tmp_path):
    place = tmp_path / "ein Platz: % 'quoted' #?"
    results = run(counting, name="näme with space?mode=ro", storage_path=place, config={"key with / and ü": 1})

    assert iterations(results[0]) == [1, 2, 3, 4, 5, 6]
    assert results[0].config == {"key with / and ü": 1}
    assert len(tune.ResultGrid(place / "näme with space?mode=ro")) == 1


def test_nothing_is_left_after_a_run(run, tmp_path):
    me = psutil.Process()
    before = {child.pid for child in me.children(recursive=True)}
    where, files, environment = Path.cwd(), me.num_fds(), dict(os.environ)
    for name in ("e", "f"):
        run(counting, num_samples=4, name=name)
    run(counting, num_samples=4, name="g", reuse_actors=True)

    assert {child.pid for child in me.children(recursive=True)} == before
    assert not [one for one in me.net_connections() if one.status == psutil.CONN_LISTEN]
    assert Path.cwd() == where
    assert me.num_fds() <= files + 2
    assert dict(os.environ) == environment


def test_nothing_is_left_after_a_run_that_failed(run):
    me = psutil.Process()
    before = {child.pid for child in me.children(recursive=True)}
    for name, trainable in (("e", lambda config: os._exit(1)), ("f", lambda config: 1 / 0)):
        with pytest.raises(tune.TrialFailedError):
            run(trainable, num_samples=3, name=name)

    assert {child.pid for child in me.children(recursive=True)} == before


def test_no_port_is_open_while_it_runs(run):
    class Looking(tune.Callback):
        found: list[object] = []  # noqa: RUF012 (told from the loop's thread)

        def on_trial_result(self, **_information):
            everyone = [psutil.Process(), *psutil.Process().children(recursive=True)]
            for process in everyone:
                try:
                    self.found += [one for one in process.net_connections() if one.status == psutil.CONN_LISTEN]
                except psutil.NoSuchProcess:
                    continue

    run(counting, callbacks=[Looking()])
    assert Looking.found == []


def test_trials_start_in_the_drivers_working_directory(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(lambda config: {"where": str(Path.cwd())})[0].metrics["where"] == str(tmp_path)
