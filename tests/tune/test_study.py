"""An experiment as an Optuna study, which Optuna's plots take, and back."""

from __future__ import annotations

import math
import sys

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

import tune
from schedulers.base import Pause, Stop
from searchers.base import SearchContext
from searchers.outcomes import read_constraints
from searchers.stepped import Stepped
from tests.tune.story import BOOM, START, Story
from tune.errors import InvalidArgumentError
from tune.machine.events import ParameterGiven, Suggested
from tune.storage import data, journal
from tune.views.results import ResultGrid
from tune.warm_start import read_known

SPACE = {
    "x": tune.uniform(0, 1),
    "lr": tune.loguniform(1e-5, 1e-1),
    "q": tune.quniform(0, 1, 0.1),
    "n": tune.qrandint(16, 128, 16),
    "rungs": Stepped(1, 12, 5),
    "normal": tune.randn(0, 1),
    "net": {"act": tune.choice(["relu", None, (1, 2)])},
    "opt": tune.choice([{"name": "sgd", "momentum": tune.uniform(0, 1)}, {"name": "adam"}]),
    "epochs": 3,
}
ONE = {
    "x": 0.5,
    "lr": 1e-3,
    "q": 0.3,
    "n": 32,
    "rungs": 6,
    "normal": 0.1,
    "net": {"act": (1, 2)},
    "opt": {"name": "sgd", "momentum": 0.9},
    "epochs": 3,
}
OTHER = {**ONE, "normal": -0.5, "net": {"act": None}, "opt": {"name": "adam"}}


@pytest.fixture
def story(tmp_path):
    told = Story(tmp_path / "e", metrics=("loss",), modes=("min",), outcome_constraints=read_constraints("ms <= 20"))
    journal.restate(
        tmp_path / "e",
        {
            "name": "e",
            "metrics": ["loss"],
            "modes": ["min"],
            "outcome_constraints": ["ms <= 20"],
            "recipe": {"space": data.encode(SPACE), "tune": {}},
        },
    )
    yield told
    told.closes()


def tell_all(story):
    one = story.starts(ONE)
    story.reports(one, loss=2.0, ms=10, note="words")
    story.reports(one, loss=1.0, ms=30)
    story.returns(one)
    stopped = story.starts(OTHER)
    story.reports(stopped, Stop("bad"), loss=9.0, ms=10)
    story.returns(stopped, by_order=True)
    complete = story.starts(OTHER)
    story.reports(complete, Stop("done", complete=True), loss=3.0, ms=10)
    story.returns(complete, by_order=True)
    story.fails(story.starts(ONE), BOOM)
    diverged = story.starts(ONE)
    story.reports(diverged, loss=math.nan, ms=1)
    story.returns(diverged)
    paused = story.starts(ONE)
    story.reports(paused, Pause(), loss=4.0, ms=1)
    story.returns(paused, by_order=True)
    story.starts(ONE)
    story.happens(Suggested(story.experiment.next_trial_id, ONE))


def test_a_study_has_all_trials_with_their_states_values_and_curves(story):
    tell_all(story)
    study = ResultGrid(story.directory).to_optuna()
    assert (study.study_name, study.direction.name) == ("e", "MINIMIZE")
    trials = study.get_trials()
    assert [trial.state for trial in trials] == [
        *(TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL),
        *(TrialState.RUNNING, TrialState.RUNNING, TrialState.WAITING),
    ]
    assert [trial.value for trial in trials[:3]] == [1.0, 9.0, 3.0]
    assert trials[0].intermediate_values == {1: 2.0, 2: 1.0}
    assert trials[5].intermediate_values == {1: 4.0}
    assert [trial.constraints for trial in trials[:3]] == [{"ms <= 20": 0.5}, {"ms <= 20": -0.5}, {"ms <= 20": -0.5}]
    assert study.best_trial.number == 2
    assert trials[0].user_attrs["trial_id"] == "t0"
    assert trials[0].user_attrs["ms"] == 30
    assert trials[0].datetime_start.timestamp() == START + 2
    assert trials[0].duration.total_seconds() == 3


def test_parameters_are_named_by_their_paths_with_their_values_as_they_are(story):
    tell_all(story)
    trial = ResultGrid(story.directory).to_optuna().get_trials()[0]
    assert trial.distributions == {
        "x": FloatDistribution(0, 1),
        "lr": FloatDistribution(1e-5, 1e-1, log=True),
        "q": FloatDistribution(0, 1, step=0.1),
        "n": IntDistribution(16, 128, step=16),
        "rungs": IntDistribution(1, 11, step=5),
        "normal": FloatDistribution(-0.5, 0.1),
        "net/act": CategoricalDistribution(("relu", None, "(1, 2)")),
        "opt": trial.distributions["opt"],
        "opt/momentum": FloatDistribution(0, 1),
        "opt/name": CategoricalDistribution(("sgd", "adam")),
    }
    assert trial.params["net/act"] == "(1, 2)"
    assert trial.params["opt/momentum"] == 0.9
    other = ResultGrid(story.directory).to_optuna().get_trials()[1]
    assert "opt/momentum" not in other.params
    assert other.params["opt"] != trial.params["opt"]


def test_what_lies_outside_of_the_space_is_left_out_and_what_it_does_not_know_is_taken_from_the_values(story):
    for at, x in enumerate((0.5, 7.0)):
        trial_id = story.starts({"x": x, "asked": at, "kind": "ab"[at], "fixed": 1})
        story.happens(ParameterGiven(trial_id, 1, 1, "later", tune.uniform(0, 9), float(at)))
        story.reports(trial_id, loss=1.0, ms=1)
        story.returns(trial_id)
    first, second = ResultGrid(story.directory).to_optuna().get_trials()
    assert first.params == {"x": 0.5, "asked": 0, "kind": "a", "later": 0.0}
    assert second.params == {"asked": 1, "kind": "b", "later": 1.0}


def test_optunas_own_tools_take_the_study(story, capfd):
    tell_all(story)
    study = ResultGrid(story.directory).to_optuna()
    assert len(study.trials_dataframe()) == 8
    trial = study.ask()
    study.tell(trial, trial.suggest_float("x", 0, 1))
    assert capfd.readouterr().err == ""


def test_a_study_comes_back_as_the_results_it_was_made_of(story):
    tell_all(story)
    study = ResultGrid(story.directory).to_optuna()
    context = SearchContext(SPACE, ("loss",), ("min",), outcome_constraints=read_constraints("ms <= 20"))
    (direct, _), (back, _) = read_known(story.directory, context), read_known(study, context)
    assert [one.parameters for one in back] == [one.parameters for one in direct if one.result["loss"] != 4.0]
    assert [one.result["loss"] for one in back] == [1.0, 9.0, 3.0]


def test_several_metrics_are_the_studys_values(tmp_path):
    story = Story(tmp_path / "e", metrics=("loss", "acc"), modes=("min", "max"))
    for loss, acc in ((1.0, 0.5), (2.0, 0.9), (3.0, 0.6)):
        trial_id = story.starts({"x": loss})
        story.reports(trial_id, Stop("enough"), loss=loss, eval=1, acc=acc)
        story.returns(trial_id, by_order=True)
    study = ResultGrid(story.directory).to_optuna()
    assert [trial.number for trial in study.best_trials] == [0, 1]
    assert study.metric_names == ["loss", "acc"]
    story.closes()


def test_without_a_metric_there_is_no_study(tmp_path):
    story = Story(tmp_path / "e", metrics=(), modes=())
    story.closes()
    with pytest.raises(InvalidArgumentError, match="a study needs a metric"):
        ResultGrid(story.directory).to_optuna()


def test_nothing_of_the_users_is_imported_for_a_study(story):
    facts = {"recipe": {"space": {"x": {"$object": "no_such_module:Domain", "args": [], "kwargs": {}}}, "tune": {}}}
    journal.restate(story.directory, {"name": "e", "metrics": ["loss"], "modes": ["min"], **facts})
    trial_id = story.starts({"x": 1.0})
    story.reports(trial_id, loss=1.0, ms=1)
    story.returns(trial_id)
    assert len(ResultGrid(story.directory).to_optuna().get_trials()) == 1
    assert "no_such_module" not in sys.modules
