"""Results known before a run: from where they are read, what is left out, and that a resume tells them again."""

from __future__ import annotations

import json
import logging
import math
import shutil

import numpy as np
import optuna
import pandas
import pytest

import tune
from searchers import OptunaSearch, Searcher
from searchers.base import SearchContext
from searchers.outcomes import read_constraints
from tests.tune.story import BOOM, Story
from tune.job import Job
from tune.settings import RunConfig, TuneConfig
from tune.storage.home import Home
from tune.views.results import ResultGrid
from tune.warm_start import Known, read_known

SPACE = {"x": tune.uniform(0, 1), "m": {"k": tune.choice(["a", "b"])}, "epochs": 3}
CONTEXT = SearchContext(SPACE, ("loss",), ("min",))


def train(config):
    return {"loss": config["x"], "ms": 1.0}


def known(source, context=CONTEXT):
    return [(one.parameters, one.result["loss"]) for one in read_known(source, context)[0]]


@pytest.fixture
def earlier(tmp_path):
    """An experiment with three results that fit, one trial that failed and one that reported nonsense."""
    story = Story(tmp_path / "earlier", metrics=("loss",), modes=("min",))
    for x, k in ((0.1, "a"), (0.2, "b"), (0.3, "a")):
        trial_id = story.starts({"x": x, "m": {"k": k}, "epochs": 3})
        story.reports(trial_id, loss=x + 1, note="words", ms=9)
        story.reports(trial_id, loss=x, note="words", ms=9)
        story.returns(trial_id)
    failed = story.starts({"x": 0.4, "m": {"k": "a"}, "epochs": 3})
    story.reports(failed, loss=0.0)
    story.fails(failed, BOOM)
    diverged = story.starts({"x": 0.5, "m": {"k": "a"}, "epochs": 3})
    story.reports(diverged, loss=math.nan)
    story.returns(diverged)
    story.finishes()
    story.closes()
    return story.directory


FOUND = [({"x": x, "m": {"k": k}}, x) for x, k in ((0.1, "a"), (0.2, "b"), (0.3, "a"))]


def test_an_experiment_is_read_by_its_directory_its_results_and_its_dataframe(earlier):
    results = ResultGrid(earlier)
    assert known(earlier) == known(str(earlier)) == known(results) == known(list(results)[:4]) == FOUND
    assert known(results.get_dataframe()) == [({"x": x, "m": {"k": one["m"]["k"]}}, x) for one, x in FOUND]
    assert read_known(earlier, CONTEXT)[0][0].result == {
        "loss": 0.1,
        "ms": 9,
        "training_iteration": 2,
        "time_total_s": 2,
    }


def test_what_does_not_fit_is_counted_and_said_in_one_line(earlier):
    narrow = SearchContext({**SPACE, "x": tune.uniform(0, 0.15)}, ("loss",), ("min",))
    found, told = read_known(earlier, narrow)
    assert len(found) == 1
    assert told == (
        "warm_start: 4 of 5 earlier results are left out; of 1 the reason is that x = 0.2 is not in uniform(0.0, 0.15)"
    )
    constrained = SearchContext(SPACE, ("loss",), ("min",), outcome_constraints=read_constraints("mb <= 1"))
    found, told = read_known(earlier, constrained)
    assert found == []
    assert "5 of 5 earlier results are left out; of 3 the reason is that there is no finite mb" in told


def test_what_is_left_out_is_said_when_the_run_begins(run, caplog):
    pairs = [({"x": 2.0, "m/k": "a"}, {"loss": 1})]
    run(train, config=SPACE, metric="loss", mode="min", warm_start=pairs)
    assert len([one for one in caplog.messages if "1 of 1 earlier results are left out" in one]) == 1


def test_pairs_of_configuration_and_result_are_read():
    pairs = [
        ({"x": np.float64(0.5), "m/k": "a"}, {"loss": np.int64(1)}),
        {"config": {"x": 0.5, "m": {"k": "b"}}, "result": {"loss": 2}},
    ]
    assert known(pairs) == [({"x": 0.5, "m": {"k": "a"}}, 1), ({"x": 0.5, "m": {"k": "b"}}, 2)]
    assert read_known(pairs, CONTEXT)[1] == ""
    frame = pandas.DataFrame({"config/x": [0.5, None], "config/m/k": ["a", "b"], "loss": [1.0, 2.0]})
    assert known(frame) == [({"x": 0.5, "m": {"k": "a"}}, 1)]
    assert "the reason is that it has no x" in read_known(frame, CONTEXT)[1]


def test_a_directory_of_ray_tune_is_read_from_its_json(tmp_path):
    for name, lines in (
        ("t_0", ['{"loss": 2}', '{"loss": 1, "config": {"x": 9}}', '{"los']),
        ("t_1", []),
        ("t_2", None),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "params.json").write_text(json.dumps({"x": 0.5, "m": {"k": "a"}, "epochs": 3}))
        (folder / "params.pkl").write_bytes(b"never opened")
        if lines is not None:
            (folder / "result.json").write_text("\n".join(lines))
    assert known(tmp_path) == [({"x": 0.5, "m": {"k": "a"}}, 1)]


def test_a_study_is_read_as_an_object_and_from_its_storage(tmp_path):
    study = optuna.create_study()

    def objective(trial):
        loss = trial.suggest_float("x", 0, 1)
        trial.suggest_categorical("m/k", ["a", "b"])
        trial.report(7.0, 3)
        if trial.number == 1:
            raise optuna.TrialPruned
        return math.nan if trial.number == 2 else loss

    study.optimize(objective, n_trials=4)
    expected = [trial.params["x"] if trial.number != 1 else 7.0 for trial in study.trials if trial.number != 2]
    assert [loss for _, loss in known(study)] == expected
    url = f"sqlite:///{tmp_path}/study.db"
    optuna.copy_study(from_study_name=study.study_name, from_storage=study._storage, to_storage=url)
    for source in (url, (url, study.study_name)):
        assert [loss for _, loss in known(source)] == expected
    for source, words in (
        ((url, "t"), "has no study 't'"),
        (optuna.create_study(direction="maximize"), "the study was for max, and the run is for min"),
        (optuna.create_study(directions=["minimize"] * 2), "the study was for min, min, and the run is for min"),
    ):
        with pytest.raises(ValueError, match=words):
            known(source)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (3, "warm_start must be the directory of an experiment, its results, an Optuna study"),
        ("nowhere", "there is no experiment in"),
        ([3], "expected a pair of a configuration and its result"),
    ],
)
def test_what_cannot_be_read_is_refused_before_anything_starts(tmp_path, monkeypatch, source, words):
    monkeypatch.chdir(tmp_path)
    job = Job(train, SPACE, TuneConfig(metric="loss", mode="min", warm_start=source), RunConfig())
    with pytest.raises(tune.InvalidArgumentError, match=words):
        job.policies()


def test_without_anything_to_search_there_is_nothing_to_be_learned():
    with pytest.raises(ValueError, match="needs a search space in config"):
        known([({"x": 1}, {"loss": 1})], SearchContext({}, ("loss",), ("min",)))


def branching(trial):
    if trial.suggest_categorical("kind", ["flat", "deep"]) == "deep":
        trial.suggest_int("layers", 1, 4)
    return {"epochs": 3}


def test_what_a_function_of_a_trial_would_not_ask_for_does_not_fit():
    context = SearchContext({}, ("loss",), ("min",), define=branching)
    pairs = [
        ({"kind": "flat", "layers": 2, "epochs": 3}, {"loss": 1.0}),
        ({"kind": "deep", "layers": 4}, {"loss": 2.0}),
        ({"kind": "deep"}, {"loss": 3.0}),
        ({"kind": "deep", "layers": 5}, {"loss": 4.0}),
    ]
    assert known(pairs, context) == [({"kind": "flat"}, 1.0), ({"kind": "deep", "layers": 4}, 2.0)]
    assert "2 of 4 earlier results are left out" in read_known(pairs, context)[1]


@pytest.mark.parametrize("searcher", ["optuna", "auto"])
@pytest.mark.parametrize("asks_as_it_runs", [True, False])
def test_define_by_run_goes_on_from_what_was_known(run, searcher, asks_as_it_runs):
    def space(trial):
        trial.suggest_float("x", 0, 1)

    def objective(trial):
        return (trial.suggest_float("x", 0, 1) - 0.3) ** 2

    def trained(config):
        return {"value": (config["x"] - 0.3) ** 2}

    results = [({"x": n / 50}, {"value": (n / 50 - 0.3) ** 2}) for n in range(50)]
    settings = {"metric": "value", "mode": "min", "search_alg": searcher, "seed": 1, "reuse_actors": True}
    trainable, config = (objective, None) if asks_as_it_runs else (trained, space)
    found = run(trainable, config=config, **settings, warm_start=results, num_samples=6, max_concurrent_trials=1)
    later = [one.config["x"] for one in found][1:]  # the first one's questions say what there is to be known
    assert sum(abs(x - 0.3) < 0.15 for x in later) >= 4


class Remembering(Searcher):
    """Writes down what it is told before anything else, by way of suggestions."""

    def bind(self, context):
        super().bind(context)
        self.told = []

    def on_evaluated(self, trial_id, config, result):
        self.told.append([trial_id, config["x"], config["epochs"], result["loss"]])

    def suggest(self, trial_id):
        return {"x": len(self.told), "told": self.told}


def test_a_resume_tells_again_what_was_known_without_the_place_it_came_from(run, tmp_path, earlier):
    settings = {"config": SPACE, "metric": "loss", "mode": "min", "search_alg": Remembering(), "name": "e"}
    results = run(train, warm_start=earlier, num_samples=1, **settings)
    told = [[f"known{at}", x, 3, x] for at, (_, x) in enumerate(FOUND)]
    assert results[0].config == {"x": 3, "told": told}
    shutil.rmtree(earlier)
    settings["search_alg"] = Remembering()
    results = run(train, warm_start=earlier, num_samples=2, resume=True, **settings)
    assert results[1].config == {"x": 3, "told": told}
    again = Job.from_recipe(Home.at(tmp_path / "e"), train)
    assert [one.result["loss"] for one in again.tune.warm_start] == [0.1, 0.2, 0.3]
    assert all(isinstance(one, Known) for one in again.tune.warm_start)


def test_a_model_goes_on_from_where_another_run_got_to(run, earlier, caplog):
    results = [({"x": n / 50, "m": {"k": "a" if n % 2 else "b"}}, {"loss": (n / 50 - 0.3) ** 2}) for n in range(50)]
    with caplog.at_level(logging.WARNING):
        found = run(
            train,
            config=SPACE,
            metric="loss",
            mode="min",
            search_alg=OptunaSearch(),
            warm_start=results,
            num_samples=4,
            max_concurrent_trials=1,
            seed=0,
            reuse_actors=True,
        )
    assert not caplog.messages
    assert sum(abs(one.config["x"] - 0.3) < 0.25 for one in found) >= 3
