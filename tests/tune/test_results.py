"""What a grid of results says of experiments that the story tells."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from schedulers.base import Pause, Stop
from searchers.space import uniform
from tests.tune.story import BOOM, START, Story
from tune.errors import (
    InvalidArgumentError,
    JournalCorruptError,
    MetricNotReportedError,
    NotAnExperimentError,
    TrialFailedError,
)
from tune.machine.events import CheckpointRefused, Closing, Failure, ParameterGiven
from tune.storage import journal
from tune.storage.checkpoints import Checkpoint
from tune.views import reading
from tune.views.results import ExperimentAnalysis, NoBestTrialError, Result, ResultGrid


@pytest.fixture
def story(tmp_path):
    told = Story(tmp_path / "digits")
    told.opens()
    yield told
    told.closes()


def curve(story, config, values, metric="accuracy"):
    """A trial that reports `values` and returns."""
    trial_id = story.starts(config)
    for value in values:
        story.reports(trial_id, **{metric: value})
    story.returns(trial_id)
    return trial_id


def name_of(checkpoint):
    return Path(checkpoint.path).name


def three_curves(story):
    """The best last value, the best value ever, the best mean: three different trials."""
    curve(story, {"lr": 0.1, "model": {"depth": 2}}, [0.1, 0.2, 0.9])
    curve(story, {"lr": 0.2, "model": {"depth": 3}}, [0.1, 0.99, 0.2])
    curve(story, {"lr": 0.3, "model": {"depth": 4}}, [0.8, 0.8, 0.8])
    return ResultGrid(story.directory)


# The sequence.


def test_a_grid_is_a_sequence_of_trials_in_the_order_they_were_suggested(story):
    grid = three_curves(story)
    assert len(grid) == 3
    assert [result.trial_id for result in grid] == ["t0", "t1", "t2"]
    assert grid[1].trial_id == grid["t1"].trial_id == "t1"
    assert [result.trial_id for result in grid[-2:]] == ["t1", "t2"]
    assert grid["t2"].config == {"lr": 0.3, "model": {"depth": 4}}


def test_an_unknown_trial_is_named_with_the_nearest_one(story):
    grid = three_curves(story)
    with pytest.raises(IndexError):
        grid[3]
    with pytest.raises(KeyError, match="no trial 't9'; did you mean"):
        grid["t9"]


def test_a_directory_without_an_experiment_is_refused(tmp_path):
    with pytest.raises(NotAnExperimentError):
        ResultGrid(tmp_path)


def test_a_changed_row_is_noticed_also_in_what_is_new(story):
    grid = three_curves(story)
    assert len(grid) == 3
    story.starts({"lr": 0.4})
    alter(story, "UPDATE events SET data = replace(data, '0.4', '0.5')")
    row = r"experiment.db: row \d+ of the journal \(suggested\) was changed"
    with pytest.raises(JournalCorruptError, match=row):
        len(grid)
    with pytest.raises(JournalCorruptError, match=row):
        ResultGrid(story.directory)


def test_a_missing_row_is_noticed(story):
    grid = three_curves(story)
    assert len(grid) == 3
    alter(story, "DELETE FROM events WHERE position = 4")
    with pytest.raises(JournalCorruptError, match=r"row 4 of the journal is missing"):
        len(grid.refresh())
    with pytest.raises(JournalCorruptError, match=r"row 4 of the journal is missing"):
        Result.from_path(story.directory, "t0")


def alter(story, statement):
    with contextlib.closing(sqlite3.connect(story.directory / journal.DATABASE, isolation_level=None)) as connection:
        connection.execute(statement)


def test_what_happens_after_the_grid_was_made_is_seen_but_a_result_stays_as_it_was(story):
    first = story.starts({"lr": 0.1})
    grid = ResultGrid(story.directory)
    before = grid[0]
    assert (len(grid), before.state, before.metrics) == (1, "RUNNING", {})
    story.reports(first, accuracy=0.5)
    story.starts({"lr": 0.2})
    assert len(grid) == 2
    assert grid[0].metrics["accuracy"] == 0.5
    assert before.state == "RUNNING"


def test_a_finished_run_is_not_read_again_until_it_is_refreshed(story):
    grid = three_curves(story)
    story.finishes()
    assert len(grid) == 3
    story.opens()
    story.starts({"lr": 0.4})
    assert len(grid) == 3
    assert len(grid.refresh()) == 4


def test_another_process_reads_while_the_run_goes_on(story):
    trial_id = story.starts({"lr": 0.1})
    story.reports(trial_id, accuracy=0.5)
    program = (
        "import sys; from tune.views.results import ResultGrid; print(ResultGrid(sys.argv[1]).best_result['accuracy'])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(story.directory)]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == "0.5\n"


# The best of them.


@pytest.mark.parametrize(
    ("scope", "best"), [("last", "t0"), ("all", "t1"), ("avg", "t2"), ("last-5-avg", "t2"), ("last-10-avg", "t2")]
)
def test_the_scope_says_which_values_are_compared(story, scope, best):
    assert three_curves(story).get_best_result(scope=scope).trial_id == best


def test_the_mean_of_the_last_five_forgets_what_was_before(story):
    curve(story, {}, [0.0] * 5 + [0.9] * 5)
    curve(story, {}, [0.6] * 10)
    grid = ResultGrid(story.directory)
    assert grid.get_best_result(scope="last-5-avg").trial_id == "t0"
    assert grid.get_best_result(scope="last-10-avg").trial_id == "t1"


def test_the_mode_turns_the_order_round(story):
    grid = three_curves(story)
    assert grid.get_best_result(mode="min").trial_id == "t1"
    assert grid.get_best_result(mode="min", scope="all").trial_id in ("t0", "t1")
    assert ResultGrid(story.directory, mode="min").best_trial.trial_id == "t0"


def test_of_equal_trials_the_earlier_one_is_best(story):
    for _ in range(12):
        curve(story, {}, [0.5])
    assert ResultGrid(story.directory).get_best_result(scope="all").trial_id == "t0"
    assert ResultGrid(story.directory).get_best_result().trial_id == "t0"


@pytest.mark.parametrize("scope", ["last", "all", "avg"])
def test_nan_is_kept_and_never_best(story, scope):
    curve(story, {}, [math.nan])
    curve(story, {}, [0.5])
    curve(story, {}, [math.inf])
    grid = ResultGrid(story.directory)
    assert grid.get_best_result(scope=scope).trial_id == "t1"
    assert math.isnan(grid[0].metrics["accuracy"])
    assert grid.get_best_result(filter_nan_and_inf=False).trial_id == "t2"


def test_among_a_trials_own_values_nan_is_passed_over_by_scope_all(story):
    curve(story, {}, [math.nan, 0.7, math.nan])
    curve(story, {}, [0.6])
    assert ResultGrid(story.directory).get_best_result(scope="all").trial_id == "t0"


def test_many_results_asked_one_by_one_are_the_same_as_a_few(story):
    for at in range(50):
        curve(story, {"lr": at}, [0.1, at / 50])
    one_by_one = [ResultGrid(story.directory)[at].metrics for at in range(50)]
    assert [result.metrics for result in ResultGrid(story.directory)] == one_by_one
    assert [len(result.metrics_dataframe) for result in ResultGrid(story.directory)] == [2] * 50


def test_metrics_that_decided_nothing_nested_ones_and_automatic_ones_can_be_compared_too(story):
    for loss in (0.3, 0.2):
        trial_id = story.starts({})
        story.reports(trial_id, accuracy=0.5, valid={"loss": loss}, seconds=loss)
        story.returns(trial_id)
    grid = ResultGrid(story.directory)
    assert grid.get_best_result("valid/loss", "min").trial_id == "t1"
    assert grid.get_best_result("valid/loss", "min", scope="all").trial_id == "t1"
    assert grid.get_best_result("time_total_s", "max").trial_id == "t0"


def test_a_trial_whose_last_result_lacks_the_metric_is_compared_by_the_one_before(story):
    trial_id = curve(story, {}, [0.9])
    story.starts({})
    story.reports("t1", accuracy=0.8)
    story.reports("t1", other=1)
    grid = ResultGrid(story.directory)
    assert grid.get_best_result().trial_id == trial_id
    assert grid.get_best_result(mode="min").trial_id == "t1"


def test_what_followed_a_refused_checkpoint_is_not_compared(tmp_path):
    story = Story(tmp_path / "torn", max_failures=1)
    trial_id = story.starts({})
    for value in (0.1, 0.9):
        story.reports(trial_id, accuracy=value)
        torn = story.saves(trial_id)
    story.fails(trial_id, BOOM)
    story.launches(trial_id)
    story.happens(CheckpointRefused(trial_id, 2, 1, torn, "weights is missing"))
    story.closes()
    grid = ResultGrid(story.directory)
    assert grid[0].metrics["accuracy"] == 0.1
    assert "accuracy=0.1" in repr(grid[0])
    assert "0.9" not in repr(grid)


def test_a_misspelt_metric_names_the_nearest_one_that_was_reported(story):
    with pytest.raises(MetricNotReportedError, match="'acuracy' was never reported.*did you mean 'accuracy'"):
        three_curves(story).get_best_result("acuracy", "max")


def test_no_metric_a_metric_without_a_mode_and_an_unknown_scope_are_said(tmp_path, story):
    grid = three_curves(story)
    with pytest.raises(InvalidArgumentError, match="'loss' needs a mode"):
        grid.get_best_result("loss")
    with pytest.raises(InvalidArgumentError, match="scope must be one of last, all, .*'best'"):
        grid.get_best_result(scope="best")
    unnamed = Story(tmp_path / "unnamed", metrics=(), modes=())
    curve(unnamed, {}, [1.0])
    assert ResultGrid(unnamed.directory).get_best_result().trial_id == "t0"  # the only one there is
    curve(unnamed, {}, [2.0])
    with pytest.raises(InvalidArgumentError, match="no metric to compare by"):
        ResultGrid(unnamed.directory).get_best_result()
    assert ResultGrid(unnamed.directory, "accuracy", "max").best_trial.trial_id == "t1"
    unnamed.closes()


def test_nothing_to_compare_is_an_error_that_says_why(story):
    trial_id = story.starts({})
    story.starts({})
    story.fails(trial_id, BOOM)
    with pytest.raises(NoBestTrialError, match="none of 2 trials has reported anything; 1 failed, see results.errors"):
        ResultGrid(story.directory).get_best_result()
    story.reports("t1", accuracy=math.nan)
    with pytest.raises(RuntimeError, match="no trial has a finite value of 'accuracy'"):
        ResultGrid(story.directory).get_best_result()


# One result.


def test_a_result_has_the_last_metrics_with_the_automatic_ones(story):
    trial_id = story.starts({"lr": 0.1})
    story.reports(trial_id, seconds=2.0, accuracy=0.5, timesteps_this_iter=10)
    story.reports(trial_id, seconds=3.0, accuracy=0.6, timesteps_this_iter=10)
    story.returns(trial_id)
    metrics = ResultGrid(story.directory)[0].metrics
    expected = {
        "accuracy": 0.6,
        "training_iteration": 2,
        "time_this_iter_s": 3.0,
        "time_total_s": 5.0,
        "timesteps_total": 20,
        "iterations_since_restore": 2,
        "timestamp": START + story.time - 1,
        "trial_id": "t0",
        "done": True,
        "config": {"lr": 0.1},
    }
    assert {name: metrics.get(name) for name in expected} == expected
    assert metrics["date"].count("-") == 4


def test_automatic_metrics_are_the_ones_that_the_machine_gave_to_the_policies(story):
    trial_id = story.starts({})
    story.reports(trial_id, accuracy=0.5)
    story.saves(trial_id)
    story.reports(trial_id, accuracy=0.6)
    story.fails(trial_id, Failure("killed", "preempted"))
    story.launches(trial_id)
    story.reports(trial_id, accuracy=0.7, seconds=4.0)
    told = story.experiment.trials[trial_id].last_result
    read = ResultGrid(story.directory)[0].metrics
    assert {name: read[name] for name in told} == told
    assert told["time_since_restore"] == 4.0


def test_what_was_reported_after_the_checkpoint_of_a_restart_is_superseded(story):
    trial_id = story.starts({})
    story.reports(trial_id, accuracy=0.1)
    story.saves(trial_id)
    story.reports(trial_id, accuracy=0.99)
    story.fails(trial_id, Failure("killed", "preempted"))
    story.launches(trial_id)
    grid = ResultGrid(story.directory)
    assert grid[0].metrics["accuracy"] == 0.1
    assert grid.get_best_result(scope="all").metrics["accuracy"] == 0.1
    story.reports(trial_id, accuracy=0.3)
    assert list(grid[0].metrics_dataframe["accuracy"]) == [0.1, 0.3]
    assert list(grid[0].metrics_dataframe["training_iteration"]) == [1, 2]
    assert grid[0].attempts == 2


def test_the_metrics_that_a_function_returned_are_its_last_result(story):
    trial_id = story.starts({})
    story.returns(trial_id, accuracy=0.4)
    result = ResultGrid(story.directory)[0]
    assert (result.metrics["accuracy"], result.metrics["training_iteration"], result.state) == (0.4, 1, "TERMINATED")


def test_parameters_that_were_given_while_it_ran_belong_to_the_configuration(story):
    trial_id = story.starts({})
    story.happens(ParameterGiven(trial_id, 1, 1, "x", uniform(0, 1), 0.25))
    story.happens(ParameterGiven(trial_id, 1, 2, "kind", uniform(0, 1), math.inf))
    assert ResultGrid(story.directory)[0].config == {"x": 0.25, "kind": math.inf}


def test_a_failed_trial_has_the_users_traceback_first(story):
    trial_id = story.starts({"batch": 96})
    story.fails(trial_id, BOOM)
    curve(story, {"batch": 64}, [0.5])
    grid = ResultGrid(story.directory)
    error = grid[0].error
    assert isinstance(error, TrialFailedError)
    assert str(error).startswith('Traceback (most recent call last):\n  File "train.py", line 84')
    assert "t0 failed in attempt 1, with batch=96" in str(error)
    assert grid[1].error is None
    assert [str(one) for one in grid.errors] == [str(error)]
    assert (grid.num_errors, grid.num_terminated) == (1, 1)
    assert grid[0].reason == BOOM.summary


def test_a_trial_that_died_shows_what_it_printed_last(story):
    trial_id = story.starts({})
    story.fails(
        trial_id,
        Failure("died", "the process was ended by SIGKILL", log_tail="epoch 3\nout of memory\n", out_of_memory=True),
    )
    assert str(ResultGrid(story.directory)[0].error) == (
        "the process was ended by SIGKILL\n\nt0 failed in attempt 1\n"
        "The last lines that it printed:\nepoch 3\nout of memory"
    )


def test_a_failure_that_was_made_good_is_no_error(tmp_path):
    story = Story(tmp_path / "again", max_failures=1)
    trial_id = story.starts({})
    story.fails(trial_id, BOOM)
    story.launches(trial_id)
    story.reports(trial_id, accuracy=0.5)
    story.returns(trial_id)
    grid = ResultGrid(story.directory)
    assert (grid[0].error, grid.errors, grid[0].attempts) == (None, [], 2)
    story.closes()


def test_the_reason_is_the_deciders_own_words(story):
    stopped = story.starts({})
    story.reports(stopped, Stop("4th of 9 at rung 1, needed 3rd"), accuracy=0.1)
    story.returns(stopped, by_order=True)
    paused = story.starts({})
    story.reports(paused, Pause("waits for its bracket"), accuracy=0.1)
    story.returns(paused, by_order=True)
    done = curve(story, {}, [0.1])
    running = story.starts({})
    waiting = story.suggests({})
    grid = ResultGrid(story.directory)
    assert grid[stopped].reason == "4th of 9 at rung 1, needed 3rd"
    assert grid[paused].reason == "waits for its bracket"
    assert [grid[one].reason for one in (done, running, waiting)] == ["", "", ""]


def test_a_trial_that_went_on_after_a_pause_and_returned_has_no_reason(story):
    trial_id = story.starts({})
    story.reports(trial_id, Pause("waits"), accuracy=0.1)
    story.returns(trial_id, by_order=True)
    story.launches(trial_id)
    story.reports(trial_id, accuracy=0.2)
    story.returns(trial_id)
    assert ResultGrid(story.directory)[0].reason == ""


def test_trials_that_the_end_of_the_run_stopped_say_so(story):
    told = story.starts({})
    slow = story.starts({})
    never = story.suggests({})
    story.happens(Closing("the time budget of 60 s is spent"))
    story.returns(told, by_order=True)
    story.fails(slow, Failure("killed", "it did not end in time after it was told to"))
    story.finishes()
    grid = ResultGrid(story.directory)
    assert {grid[one].state for one in (told, slow, never)} == {"TERMINATED"}
    assert {grid[one].reason for one in (told, slow, never)} == {"the time budget of 60 s is spent"}


def test_a_result_can_be_read_by_its_trials_name(story):
    three_curves(story)
    result = Result.from_path(story.directory, "t2")
    assert result.metrics["accuracy"] == 0.8
    with pytest.raises(KeyError, match="has no trial 't7'"):
        Result.from_path(story.directory, "t7")


def test_the_log_is_what_the_trial_printed(story):
    trial_id = story.starts({})
    assert ResultGrid(story.directory)[0].log == ""
    (story.directory / "logs").mkdir()
    (story.directory / "logs" / f"{trial_id}.log").write_bytes(b"epoch 1\n\xff\n")
    assert ResultGrid(story.directory)[0].log == "epoch 1\n�\n"


# Checkpoints.


def test_only_checkpoints_that_are_still_there_are_shown_with_their_results(tmp_path):
    story = Story(tmp_path / "saving")
    trial_id = story.starts({})
    for value in (0.3, 0.9, 0.5):
        story.reports(trial_id, accuracy=value)
        story.saves(trial_id)
    result = ResultGrid(story.directory)[0]
    assert [metrics["accuracy"] for _, metrics in result.best_checkpoints] == [0.3, 0.9, 0.5]
    assert name_of(result.checkpoint) == "000003-1"
    assert name_of(result.get_best_checkpoint()) == "000002-1"
    assert name_of(result.get_best_checkpoint("accuracy", "min")) == "000001-1"
    shutil.rmtree(story.directory / "checkpoints" / "t0" / "000003-1")
    assert name_of(result.checkpoint) == "000002-1"
    story.closes()


def test_a_trial_without_a_checkpoint_has_none(story):
    grid = three_curves(story)
    assert grid.best_trial.checkpoint is None
    assert grid.best_checkpoint is None
    assert grid.best_trial.best_checkpoints == []


# Tables.


def test_a_dataframe_has_one_row_a_trial_with_flat_columns(story):
    grid = three_curves(story)
    story.starts({"lr": 0.4, "model": {"depth": 5}})
    frame = grid.get_dataframe()
    assert list(frame["trial_id"]) == ["t0", "t1", "t2", "t3"]
    assert list(frame["accuracy"])[:3] == [0.9, 0.2, 0.8]
    assert math.isnan(frame["accuracy"][3])
    assert list(frame["config/model/depth"]) == [2, 3, 4, 5]
    assert list(frame["state"]) == ["TERMINATED"] * 3 + ["RUNNING"]
    assert frame["logdir"][0] == str(story.directory / "artifacts" / "t0")
    assert {"time_total_s", "training_iteration", "date", "timestamp", "done"} <= set(frame.columns)


def test_a_dataframe_filtered_by_a_metric_has_each_trials_best_row(story):
    grid = three_curves(story)
    assert list(grid.get_dataframe("accuracy", "max")["accuracy"]) == [0.9, 0.99, 0.8]
    assert list(grid.get_dataframe("accuracy", "max")["training_iteration"]) == [3, 2, 1]
    assert list(grid.dataframe("accuracy", "min")["accuracy"]) == [0.1, 0.1, 0.8]
    with pytest.raises(MetricNotReportedError, match="did you mean 'accuracy'"):
        grid.dataframe("acuracy", "min")


def test_results_df_is_indexed_by_trial(story):
    frame = three_curves(story).results_df
    assert frame.loc["t1", "accuracy"] == 0.2
    assert frame.index.name == "trial_id"


def test_values_that_text_could_not_keep_show_what_they_were(story):
    story.starts({"activation": lambda x: x, "layers": [1, 2], "optimiser": object()})
    frame = ResultGrid(story.directory).get_dataframe()
    assert repr(frame["config/activation"][0]).startswith("<function ")
    assert frame["config/layers"][0] == [1, 2]
    assert repr(frame["config/optimiser"][0]) == "<builtins.object object>"


def test_an_experiment_without_trials_gives_empty_tables(story):
    grid = ResultGrid(story.directory)
    assert (len(grid), list(grid), len(grid.get_dataframe()), grid.results) == (0, [], 0, {})
    assert repr(grid) == "digits: 0 trials"
    assert "<table" not in grid._repr_html_()


def test_pandas_is_imported_only_for_a_dataframe(story):
    three_curves(story)
    program = (
        "import sys; from tune.views.results import ResultGrid; g = ResultGrid(sys.argv[1]); g.best_result, repr(g)"
        "; print([name for name in ('pandas', 'rich') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(story.directory)]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == "[]\n"


# Ray's older names.


def test_the_older_names_say_the_same(story):
    analysis = ExperimentAnalysis(story.directory) if three_curves(story) else None
    assert analysis is not None
    assert analysis.best_trial.trial_id == analysis.get_best_trial("accuracy", "max", scope="all").trial_id == "t1"
    assert analysis.best_config == {"lr": 0.2, "model": {"depth": 3}}
    assert analysis.get_best_config() == {"lr": 0.1, "model": {"depth": 2}}
    assert (analysis.best_result["accuracy"], analysis.best_result["training_iteration"]) == (0.99, 2)
    assert list(analysis.best_dataframe["accuracy"]) == [0.1, 0.99, 0.2]
    assert analysis.best_result_df.loc["t1", "accuracy"] == 0.99
    assert {name: one["accuracy"] for name, one in analysis.results.items()} == {"t0": 0.9, "t1": 0.2, "t2": 0.8}
    assert [trial.last_result["accuracy"] for trial in analysis.trials] == [0.9, 0.2, 0.8]
    assert analysis.trials[0].status == "TERMINATED"
    assert list(analysis.trial_dataframes) == ["t0", "t1", "t2"]
    assert analysis.get_all_configs(prefix=True)["t1"] == {"config/lr": 0.2, "config/model/depth": 3}
    assert analysis.get_all_configs()["t1"] == {"lr": 0.2, "model": {"depth": 3}}
    assert analysis.experiment_path == str(story.directory)
    assert analysis.stats()["states"] == {"TERMINATED": 3}
    assert (analysis.stats()["num_results"], analysis.stats()["trial_time_s"]) == (9, 9.0)


def test_checkpoints_by_the_older_names(tmp_path):
    story = Story(tmp_path / "saving")
    trial_id = story.starts({})
    for value in (0.3, 0.9, 0.5):
        story.reports(trial_id, accuracy=value)
        story.saves(trial_id)
    analysis = ExperimentAnalysis(story.directory)
    best, last = (Checkpoint(str(story.directory / "checkpoints" / "t0" / name)) for name in ("000002-1", "000003-1"))
    assert analysis.best_checkpoint == analysis.get_best_checkpoint("t0") == best
    assert analysis.get_best_checkpoint(analysis[0], "accuracy", "max") == best
    assert analysis.get_last_checkpoint() == analysis.get_last_checkpoint("t0") == last
    story.closes()


# What people see.


def test_a_grid_shows_the_best_trials_first_and_only_parameters_that_differ(story):
    curve(story, {"lr": 0.123456, "data": "/data"}, [0.5])
    curve(story, {"lr": 0.2, "data": "/data"}, [0.98765])
    assert repr(ResultGrid(story.directory)).splitlines() == [
        "digits: 2 trials (2 TERMINATED), best accuracy first",
        "trial  state       iteration  accuracy  time      lr",
        "t1     TERMINATED          1    0.9877  1.0s     0.2",
        "t0     TERMINATED          1       0.5  1.0s  0.1235",
    ]


def test_a_long_grid_is_cut_and_says_so(story):
    for at in range(12):
        curve(story, {"lr": at}, [at / 12])
    assert repr(ResultGrid(story.directory)).splitlines()[-1] == "... and 2 more"


def test_what_users_named_is_escaped_in_html(story):
    curve(story, {"<b>": "<script>alert(1)</script>"}, [0.5])
    curve(story, {"<b>": "&"}, [0.5])
    html = ResultGrid(story.directory)._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;" in html
    assert ">&amp;<" in html


def test_control_characters_do_not_reach_the_terminal(story):
    curve(story, {"a": "red\x1b[31m\nnext"}, [0.5])
    assert "\x1b" not in repr(ResultGrid(story.directory))
    assert len(repr(ResultGrid(story.directory)).splitlines()) == 3


# The reading agrees with the journal's own views.


def test_the_readers_agree_with_the_view_for_people(story):
    first = story.starts({})
    for value in (0.1, 0.2, 0.3, 0.4):
        story.reports(first, accuracy=value, timesteps_this_iter=5)
        if value == 0.2:
            story.saves(first)
    story.fails(first, Failure("killed", "preempted"))
    story.launches(first)
    story.reports(first, accuracy=0.5)
    curve(story, {}, [0.6, math.nan])
    connection = journal.open_readonly(story.directory)
    rows = connection.execute("SELECT trial, iteration FROM results ORDER BY trial, iteration").fetchall()
    histories = reading.read_histories(connection)
    assert [(name, one["training_iteration"]) for name, own in histories.items() for one in own] == rows
    assert {name: own[-1]["accuracy"] for name, own in histories.items()}["t0"] == 0.5
    shortly = reading.read_histories(connection, last_only=True)
    assert shortly["t0"] == histories["t0"][-1:]
    last = reading.read_last_metrics(connection)
    assert last["t0"] == {"accuracy": 0.5}
    values = reading.read_values(connection, "accuracy")
    assert values["t0"] == [0.1, 0.2, 0.5]
    assert values["t1"][0] == 0.6
    assert math.isnan(values["t1"][1])
    connection.close()
