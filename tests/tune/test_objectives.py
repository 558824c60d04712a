"""Several metrics, and constraints on outcomes, in what an experiment says of itself."""

from __future__ import annotations

import io
import json
import logging
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchers.outcomes import read_constraints
from tests.tune.story import Story
from tune.cli.listing import list_experiments
from tune.cli.showing import Wanted, show_experiment
from tune.errors import InvalidArgumentError
from tune.machine.merit import NO_MERIT, merit_of
from tune.machine.plan import Plan
from tune.views.objectives import Objectives, undominated
from tune.views.progress import progress
from tune.views.results import ResultGrid

points = st.integers(1, 4).flatmap(
    lambda size: st.sets(st.tuples(*[st.integers(-3, 3).map(float)] * size), max_size=30)
)


@given(points)
def test_the_front_is_what_no_other_dominates(given_points) -> None:
    def dominates(one, other):
        return one != other and all(a >= b for a, b in zip(one, other, strict=True))

    by_hand = {one for one in given_points if not any(dominates(other, one) for other in given_points)}
    assert undominated(given_points) == by_hand


def test_a_front_is_of_finite_values_by_their_modes_and_of_equals_has_all() -> None:
    both = Objectives({"loss": "min", "eval/acc": "max"})
    results = {
        "t0": {"loss": 1.0, "eval": {"acc": 0.5}},
        "t1": {"loss": 2.0, "eval/acc": 0.9},
        "t2": {"loss": 2.0, "eval/acc": 0.8},
        "t3": {"loss": math.nan, "eval/acc": 1.0},
        "t4": {"loss": 0.1},
        "t5": {"loss": 1, "eval/acc": 0.5},
    }
    assert both.front(results) == ["t0", "t1", "t5"]


def test_what_breaks_a_constraint_is_on_no_front_and_says_which_it_breaks() -> None:
    objectives = Objectives({"loss": "min"}, read_constraints(["ms <= 20", "eval/acc > 0.5"]))
    good, slow = {"loss": 2.0, "ms": 20, "eval": {"acc": 0.6}}, {"loss": 1.0, "ms": 40, "eval/acc": 0.6}
    assert objectives.front({"t0": good, "t1": slow}) == ["t0"]
    assert objectives.broken(slow) == ["ms <= 20"]
    assert objectives.broken({}) == ["ms <= 20", "eval/acc > 0.5"]
    assert objectives.violation(good) == 0
    assert objectives.violation(slow) == 1


def test_a_results_merit_is_first_by_its_constraints_and_then_by_the_first_metric() -> None:
    plan = Plan(("loss", "size"), ("min", "min"), outcome_constraints=read_constraints("eval/ms <= 20"))
    kept, better, broken = (
        merit_of(plan, {"loss": loss, "size": 1, "eval": {"ms": ms}}) for loss, ms in ((2.0, 20), (1.0, 10), (0.0, 30))
    )
    assert broken < kept < better
    assert merit_of(plan, {"loss": math.nan, "eval/ms": 1}) == NO_MERIT
    assert merit_of(plan, {"loss": 0.0}) == (-math.inf, 0)


@pytest.fixture
def story(tmp_path):
    told = Story(
        tmp_path / "digits",
        metrics=("loss", "ms"),
        modes=("min", "min"),
        outcome_constraints=read_constraints("mb <= 8"),
    )
    yield told
    told.closes()


def tell(story, *results):
    for at, (loss, ms, mb) in enumerate(results):
        trial_id = story.starts({"lr": at})
        story.reports(trial_id, loss=loss, ms=ms, mb=mb)
        story.returns(trial_id)
    story.finishes()


SOME = (3.0, 3.0, 4), (1.0, 9.0, 4), (4.0, 4.0, 4), (0.5, 0.5, 16), (2.0, 5.0, 8)


def test_results_know_their_front_and_mark_it(story):
    tell(story, *SOME)
    results = ResultGrid(story.directory)
    assert [one.trial_id for one in results.pareto_front()] == ["t0", "t1", "t4"]
    frame = results.get_dataframe()
    assert frame["pareto_optimal"].tolist() == [True, True, False, False, True]
    assert frame["feasible"].tolist() == [True, True, True, False, True]
    lines = [line.split()[:3] for line in repr(results).splitlines()[1:]]
    assert lines[0] == ["trial", "state", "front"]
    assert lines[1] == ["t1", "TERMINATED", "*"]
    assert "mb &lt;= 8" in results._repr_html_()
    assert repr(results).splitlines()[-1].split()[:2] == ["t3", "TERMINATED"]
    assert results["t3"].broken_constraints == ["mb <= 8"]


def test_the_command_line_marks_the_front_and_what_breaks_the_constraints(story, capsys):
    tell(story, *SOME)
    show_experiment(str(story.directory), None, Wanted(columns=["front", "breaks", "loss"]), as_json=False)
    facts, _, table = capsys.readouterr().out.partition("\n\n")
    told = {line[:12].strip(): line[12:].strip() for line in facts.splitlines()}
    assert (told["metric"], told["constraints"], told["front"]) == ("loss (min), ms (min)", "mb <= 8", "t0, t1, t4")
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["trial", "state", "front", "breaks", "loss"]
    assert [row[0] for row in rows[1:]] == ["t1", "t4", "t0", "t2", "t3"]  # the last has the least loss
    assert rows[1] == ["t1", "TERMINATED", "*", "1.0"]
    assert rows[5] == ["t3", "TERMINATED", "mb", "<=", "8", "0.5"]
    show_experiment(str(story.directory), None, Wanted(limit=1), as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["front"], shown["metrics"]) == (["t0", "t1", "t4"], {"loss": "min", "ms": "min"})
    assert (shown["results"][0]["pareto_optimal"], shown["results"][0]["broken_constraints"]) == (True, [])
    list_experiments(story.directory.parent, as_json=False)
    head, row = (line.split() for line in capsys.readouterr().out.splitlines())
    assert (head[-1], row[-1]) == ("front", "3")


def test_the_command_line_says_when_even_the_best_trial_breaks_a_constraint(story, capsys):
    tell(story, (1.0, 1.0, 12), (2.0, 2.0, 9))
    list_experiments(story.directory.parent, as_json=False)
    assert capsys.readouterr().out.rstrip().endswith("mb <= 8")
    show_experiment(str(story.directory), None, Wanted(), as_json=False)
    assert "no trial keeps the constraints; this one breaks mb <= 8" in capsys.readouterr().out


def test_the_time_that_a_trial_takes_may_be_constrained_and_be_a_metric(tmp_path):
    quick = read_constraints("time_total_s <= 100")
    told = Story(tmp_path / "e", metrics=("loss", "training_iteration"), modes=("min",) * 2, outcome_constraints=quick)
    tell(told, (1.0, 1.0, 1), (2.0, 2.0, 1))
    results = ResultGrid(told.directory)
    assert [one.trial_id for one in results.pareto_front()] == ["t0"]
    assert results.get_best_result().broken_constraints == []
    told.closes()


@pytest.mark.parametrize("scope", ["last", "all", "avg"])
def test_the_best_is_by_the_first_metric_or_the_one_that_is_named_and_keeps_the_constraints(story, scope):
    tell(story, *SOME)
    results = ResultGrid(story.directory)
    assert results.get_best_result(scope=scope).trial_id == "t1"
    assert results.get_best_result("ms", scope=scope).trial_id == "t0"
    assert results.get_best_result("ms", mode="max", scope=scope).trial_id == "t1"
    assert results.best_config == {"lr": 1}
    assert story.experiment.best.trial_id == "t1"


def test_when_none_keeps_the_constraints_the_best_breaks_them_least_and_that_is_said(story, caplog):
    out = io.StringIO()
    with progress(story.experiment, name="e", directory=story.directory, total=2, verbose=1, stream=out) as shown:
        story.observers.append(shown)
        tell(story, (1.0, 1.0, 12), (2.0, 2.0, 9), (3.0, 3.0, 10))
    results = ResultGrid(story.directory)
    with caplog.at_level(logging.WARNING):
        assert results.get_best_result().trial_id == results.best_trial.trial_id == "t1"
    assert "no trial keeps mb <= 8: t1 is the one that breaks least" in caplog.text
    assert results.pareto_front() == []
    lines = out.getvalue().splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("best "))
    assert lines[at + 1].strip() == "no trial keeps the constraints; this one breaks mb <= 8"


def test_a_trial_is_best_where_it_kept_the_constraints(tmp_path):
    story = Story(tmp_path / "e", metrics=("loss",), modes=("min",), outcome_constraints=read_constraints("mb <= 8"))
    trial_id = story.starts({})
    for loss, mb in ((3.0, 4), (2.0, 8), (1.0, 9)):
        story.reports(trial_id, loss=loss, mb=mb)
    story.returns(trial_id)
    assert story.experiment.best_result["loss"] == 2.0
    assert ResultGrid(story.directory).best_result["loss"] == 2.0
    story.closes()


def test_the_summary_shows_the_front(story):
    out = io.StringIO()
    with progress(story.experiment, name="e", directory=story.directory, total=5, verbose=1, stream=out) as shown:
        story.observers.append(shown)
        tell(story, *SOME)
    lines = out.getvalue().splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("front "))
    assert [line.strip() for line in lines[at : at + 4]] == [
        "front     t0  loss=3 ms=3  lr=0",
        "t1  loss=1 ms=9  lr=1",
        "t4  loss=2 ms=5  lr=4",
        next(line for line in lines if line.startswith("trials ")),
    ]


def test_without_metrics_there_is_no_front(tmp_path):
    story = Story(tmp_path / "e", metrics=(), modes=())
    story.closes()
    with pytest.raises(InvalidArgumentError, match="no metrics to compare by"):
        ResultGrid(story.directory).pareto_front()
