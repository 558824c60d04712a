"""Experiments that go on beyond where they ended, or otherwise: more samples, a longer stop, another space, retries."""

from __future__ import annotations

from pathlib import Path

import pytest

import tune
from schedulers import ASHAScheduler
from tests.tune.trainables import counting, iterations, saving, steps_done


def endless(config):
    """Count for ever, saving each step; a trial with a large ``x`` fails at its third until ``mended`` exists."""
    for step in range(steps_done() + 1, 1000):
        if step == 3 and config["x"] > 0.5 and "marks" in config and not Path(config["marks"], "mended").exists():
            raise ValueError("too large")
        tune.report({"score": config["x"] * step}, checkpoint=saving(step))


SPACE = {"x": tune.uniform(0, 1)}
FIRST = {"config": SPACE, "metric": "score", "mode": "max", "num_samples": 4, "seed": 5}


def test_more_samples_are_those_that_a_larger_run_would_have_had(run, tmp_path):
    run(counting, **FIRST)
    more = tune.resume(tmp_path / "e", num_samples=+3, verbose=0)
    whole = run(counting, **{**FIRST, "num_samples": 7}, name="whole")
    assert [one.config for one in more] == [one.config for one in whole]
    assert [one.attempts for one in more] == [1] * 7
    assert len(tune.resume(tmp_path / "e", verbose=0)) == 7


def test_a_longer_stop_lets_trials_train_on_from_their_checkpoints(run, tmp_path):
    run(endless, **FIRST, stop={"training_iteration": 4})
    longer = tune.resume(tmp_path / "e", stop={"training_iteration": 6}, verbose=0)
    assert [iterations(one) for one in longer] == [[1, 2, 3, 4, 5, 6]] * 4
    assert [one.attempts for one in longer] == [2] * 4
    again = tune.resume(tmp_path / "e", stop={"training_iteration": 6}, num_samples=+1, verbose=0)
    assert [one.attempts for one in again] == [2] * 4 + [1]


def test_a_longer_stop_leaves_alone_what_the_scheduler_stopped_and_what_ended_by_itself(run, tmp_path):
    scheduler = ASHAScheduler(max_t=100, grace_period=1, reduction_factor=2)
    first = run(endless, **{**FIRST, "num_samples": 6}, scheduler=scheduler, stop={"training_iteration": 4})
    longer = tune.resume(tmp_path / "e", stop={"training_iteration": 5}, verbose=0)
    stopped = [one.trial_id for one in first if one.metrics["training_iteration"] < 4]
    assert 0 < len(stopped) < 6
    assert [one.trial_id for one in longer if one.attempts == 1] == stopped


def test_failed_trials_alone_go_on_where_they_were(run, tmp_path):
    config = {**SPACE, "marks": str(tmp_path)}
    first = run(endless, **{**FIRST, "config": config}, stop={"training_iteration": 4}, raise_on_failed_trial=False)
    failed = {one.trial_id for one in first if one.state == "ERROR"}
    (tmp_path / "mended").touch()
    mended = tune.resume(tmp_path / "e", resume_errored=True, verbose=0)
    assert 0 < len(failed) < 4
    assert [one.state for one in mended] == ["TERMINATED"] * 4
    assert {one.trial_id for one in mended if one.attempts == 2} == failed
    assert [iterations(one) for one in mended] == [[1, 2, 3, 4]] * 4
    assert mended.num_errors == 0


def test_failed_trials_may_start_from_zero_through_a_restored_tuner(run, tmp_path):
    config = {**SPACE, "marks": str(tmp_path)}
    run(endless, **{**FIRST, "config": config}, stop={"training_iteration": 4}, raise_on_failed_trial=False)
    (tmp_path / "mended").touch()
    results = tune.Tuner.restore(tmp_path / "e", restart_errored=True).fit()
    restarted = [one for one in results if one.attempts == 2]
    assert restarted
    for one in restarted:
        assert set(one.metrics_dataframe["iterations_since_restore"]) == {1, 2, 3, 4}


def test_a_changed_space_keeps_what_fits_and_goes_on_with_what_is_new(run, tmp_path, caplog):
    first = run(counting, **FIRST)
    narrow = {"x": tune.uniform(0, 0.5)}
    results = tune.resume(tmp_path / "e", config=narrow, num_samples=+4, verbose=0)
    large = [one.trial_id for one in first if one.config["x"] > 0.5]
    assert f"{len(large)} of 4 trials do not fit it" in caplog.text
    assert len(results) == 8
    assert all(one.config["x"] <= 0.5 for one in results if one.trial_id not in [old.trial_id for old in first])

    caplog.clear()
    assert len(tune.resume(tmp_path / "e", num_samples=+1, search_alg="tpe", verbose=0)) == 9
    assert caplog.text == ""  # neither said again, nor do the foreign ones reach the other searcher


def test_a_grid_that_has_grown_runs_the_new_cells_only(run, tmp_path):
    run(counting, config={"x": tune.grid_search([1, 2]), "y": tune.grid_search([1, 2])}, num_samples=1)
    grown = {"x": tune.grid_search([3, 1, 2]), "y": tune.grid_search([1, 2])}
    results = tune.resume(tmp_path / "e", config=grown, verbose=0)
    cells = [(one.config["x"], one.config["y"]) for one in results]
    assert sorted(cells) == [(x, y) for x in (1, 2, 3) for y in (1, 2)]
    assert len(tune.resume(tmp_path / "e", verbose=0)) == 6
    assert len(tune.resume(tmp_path / "e", num_samples=+1, verbose=0)) == 12


def test_constants_may_change_and_trials_keep_theirs(run, tmp_path):
    run(counting, config={**SPACE, "steps": 2}, num_samples=2)
    results = tune.resume(tmp_path / "e", config={**SPACE, "steps": 3}, num_samples=+1, verbose=0)
    assert [iterations(one) for one in results] == [[1, 2], [1, 2], [1, 2, 3]]


def test_a_time_budget_is_counted_from_where_the_experiment_stands(run, tmp_path):
    first = run(endless, **FIRST, time_budget_s=0.3)
    lived = max(first.get_dataframe()["time_total_s"])
    results = tune.resume(tmp_path / "e", time_budget_s=0.3, num_samples=+2, verbose=0)
    assert len(results) > len(first) or max(results.get_dataframe()["time_total_s"]) > lived


def test_what_makes_no_sense_is_refused_before_anything_starts(run, tmp_path):
    run(counting, config=SPACE, num_samples=1)
    for wrong in (0, -3, 1.5, True):
        with pytest.raises(tune.InvalidArgumentError, match="num_samples says how many more"):
            tune.resume(tmp_path / "e", num_samples=wrong)
    with pytest.raises(tune.InvalidArgumentError, match="max_failures"):
        tune.resume(tmp_path / "e", max_failures=-7)
    run(endless, config=SPACE, num_samples=-1, stop={"training_iteration": 1}, time_budget_s=0.2, name="endless")
    with pytest.raises(tune.InvalidArgumentError, match="num_samples=-1"):
        tune.resume(tmp_path / "endless", num_samples=+1)


def test_what_a_recipe_cannot_keep_need_not_be_kept_when_it_is_given_anew(run, tmp_path):
    run(endless, config=SPACE, stop=lambda trial_id, result: result["training_iteration"] == 2)
    with pytest.raises(tune.NotRebuildableError, match="run/stop"):
        tune.resume(tmp_path / "e", verbose=0)
    results = tune.resume(tmp_path / "e", stop={"training_iteration": 3}, verbose=0)
    assert iterations(results[0]) == [1, 2, 3]
