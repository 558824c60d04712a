"""Whole runs with several metrics, and with constraints on what trials report."""

from __future__ import annotations

import pytest

import tune
from schedulers import ASHAScheduler
from searchers import OptunaSearch
from tests.searchers.test_outcomes import CmaEsSampler
from tune.job import Job
from tune.settings import RunConfig, TuneConfig
from tune.storage.home import Home


def train(config):
    return {"loss": config["x"], "ms": 1 - config["x"], "size": config["x"]}


SPACE = {"x": tune.uniform(0, 1)}
BOTH = {"metric": ["loss", "ms"], "mode": ["min", "min"]}


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii"])
def test_a_search_for_several_metrics_keeps_the_constraints(run, sampler):
    results = run(
        train,
        config=SPACE,
        **BOTH,
        outcome_constraints=["size >= 0.25"],
        num_samples=12,
        search_alg=OptunaSearch(sampler=sampler),
        seed=1,
        reuse_actors=True,
    )
    kept = [one.trial_id for one in results if one.config["x"] >= 0.25]
    assert [one.trial_id for one in results.pareto_front()] == kept
    best = results.get_best_result("ms")
    assert best.config["x"] == max(one.config["x"] for one in results)
    assert results.get_best_result().config["x"] == min(x for one in results if (x := one.config["x"]) >= 0.25)
    assert results.get_dataframe()["feasible"].sum() == len(kept)


def test_metrics_that_the_searcher_names_are_the_runs(run):
    searcher = OptunaSearch(metric=["loss", "ms"], mode=["min", "max"])
    results = run(train, config=SPACE, num_samples=3, search_alg=searcher, reuse_actors=True)
    assert len(results.pareto_front()) == 1


def test_a_constraint_on_what_was_never_reported_is_named_at_the_first_result(run):
    with pytest.raises(
        tune.MetricNotReportedError, match="an outcome constraint's metric 'mss' was not reported"
    ) as no:
        run(train, config=SPACE, metric="loss", mode="min", outcome_constraints="mss <= 20", num_samples=3)
    assert "did you mean 'ms'?" in str(no.value)
    results = run(
        train, config=SPACE, metric="loss", mode="min", outcome_constraints="ms <= 20", num_samples=3, resume=True
    )
    assert results.get_best_result().broken_constraints == []


def job(tmp_path, **settings):
    return Job(train, SPACE, TuneConfig(**settings), RunConfig(storage_path=tmp_path, verbose=0))


def begin(ours):
    ours.check()
    ours.policies()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metric": "loss", "mode": "min", "outcome_constraints": ["ms << 20"]}, "'ms << 20' is not a metric"),
        ({"outcome_constraints": ["ms <= 20"]}, "ms <= 20 need a metric and a mode"),
        ({**BOTH, "search_alg": OptunaSearch(sampler=CmaEsSampler())}, "follows one metric, not loss, ms"),
        ({"metric": ["loss", "ms"], "mode": "min"}, "2 metrics need as many modes, got 1"),
        ({**BOTH, "scheduler": ASHAScheduler(metric="size", mode="min")}, "size"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_starts(tmp_path, settings, words):
    with pytest.raises(tune.InvalidArgumentError) as refused:
        begin(job(tmp_path, **settings))
    assert words in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_scheduler_compares_the_metric_it_names_and_else_the_first_and_says_so(tmp_path):
    named, first, none = (
        job(tmp_path, **BOTH, scheduler=scheduler) for scheduler in (ASHAScheduler(metric="ms"), "asha", None)
    )
    assert named.policies().scheduler.context.metric == "ms"
    assert first.policies().scheduler.context.metric == "loss"
    none.policies()
    assert (named.remarks, none.remarks) == ([], [])
    assert first.remarks[0].startswith("ASHAScheduler compares trials by one metric: by loss, the first of loss, ms")


def test_constraints_are_data_in_the_recipe(run, tmp_path):
    run(train, config=SPACE, metric="loss", mode="min", outcome_constraints=["ms<=20", "size >.5"], reuse_actors=True)
    again = Job.from_recipe(Home.at(tmp_path / "e"), train)
    assert [str(one) for one in again.outcome_constraints] == ["ms <= 20", "size > 0.5"]
