"""Callbacks and policies: told the right things at the right times, and kept from doing harm when they raise."""

from __future__ import annotations

import pytest

import tune
from schedulers import TrialScheduler
from searchers import FINISHED, Searcher
from tests.tune.trainables import counting, iterations


class Diary(tune.Callback):
    """Writes down what it is told."""

    def __init__(self):
        self.lines = []

    def setup(self, *, directory, name):
        self.lines.append(("setup", directory, name))

    def on_trial_start(self, *, trials, trial, **_information):
        self.lines.append(("start", trial.trial_id, len(trials)))

    def on_trial_result(self, *, iteration, trial, result, **_information):
        self.lines.append(("result", trial.trial_id, result["training_iteration"], iteration))
        assert result["config"] == trial.config
        assert trial.last_result["step"] == result["step"]

    def on_trial_save(self, *, trial, **_information):
        self.lines.append(("save", trial.trial_id))

    def on_checkpoint(self, *, trial, checkpoint, **_information):
        self.lines.append(("checkpoint", trial.trial_id, checkpoint.iteration))

    def on_trial_complete(self, *, trial, **_information):
        self.lines.append(("complete", trial.trial_id, trial.state))

    def on_trial_error(self, *, trial, **_information):
        self.lines.append(("error", trial.trial_id, trial.state))

    def on_experiment_end(self, *, trials):
        self.lines.append(("end", [one.state for one in trials]))


def test_each_hook_is_called_when_its_time_has_come(run, tmp_path):
    diary = Diary()
    run(counting, config={"steps": 2}, callbacks=[diary])

    assert diary.lines == [
        ("setup", str(tmp_path / "e"), "e"),
        ("start", "t0", 1),
        ("result", "t0", 1, 1),
        ("save", "t0"),
        ("checkpoint", "t0", 1),
        ("result", "t0", 2, 2),
        ("save", "t0"),
        ("checkpoint", "t0", 2),
        ("complete", "t0", "TERMINATED"),
        ("end", ["TERMINATED"]),
    ]


def test_what_a_function_returns_is_a_result_like_any_other(run):
    diary = Diary()
    run(lambda config: {"step": 1}, callbacks=[diary])

    assert [line[0] for line in diary.lines] == ["setup", "start", "result", "complete", "end"]


def test_attempts_and_failures_are_told(run):
    diary = Diary()
    harm = {"harm": "raise", "at": 2, "steps": 3}
    run(counting, config={**harm, "failures": 2}, max_failures=1, callbacks=[diary], raise_on_failed_trial=False)

    told = [line[0] for line in diary.lines if line[0] not in ("save", "checkpoint")]
    assert told == ["setup", "start", "result", "start", "error", "end"]
    assert ("error", "t0", "ERROR") in diary.lines


def test_hooks_written_for_ray_are_called_as_they_expect(run):
    class FromRay(tune.Callback):
        seen: list[str] = []  # noqa: RUF012 (of this test's own class)

        def setup(self, stop=None, num_samples=None, total_num_samples=None, **info):
            self.seen.append("setup")

        def on_trial_result(self, iteration, trials, trial, result, **info):
            self.seen.append(trial.trial_id)

        def on_experiment_end(self, trials, **info):
            self.seen.append("end")

    run(counting, config={"steps": 1}, callbacks=[FromRay()])

    assert FromRay.seen == ["setup", "t0", "end"]


def test_a_callback_that_raises_now_and_then_ends_nothing_and_keeps_nothing_from_others(run, caplog):
    class Broken(Diary):
        def on_trial_result(self, **information):
            super().on_trial_result(**information)
            raise ValueError("broken callback")

    broken, diary = Broken(), Diary()
    result = run(counting, callbacks=[broken, diary])[0]

    assert iterations(result) == [1, 2, 3, 4, 5, 6]
    assert len([line for line in broken.lines if line[0] == "result"]) == 6
    assert len([line for line in diary.lines if line[0] == "result"]) == 6
    assert "callback Broken raised" in caplog.text
    assert "broken callback" in caplog.text


def test_a_callback_is_told_each_result_once_and_in_order(run):
    told = []

    class Listening(tune.Callback):
        def on_trial_result(self, *, result, **_information):
            told.append(result["training_iteration"])

    def train(_config):
        for step in range(2000):
            tune.report({"step": step})

    run(train, callbacks=[Listening()])
    assert told == list(range(1, 2001))


def test_callbacks_of_a_resumed_run_are_told_what_is_new(run):
    run(counting)
    diary = Diary()
    run(counting, num_samples=2, callbacks=[diary], resume=True)

    assert {line[1] for line in diary.lines if line[0] == "result"} == {"t1"}


class Failing(Searcher):
    """Suggests two configurations, then raises."""

    def suggest(self, trial_id):
        if trial_id == "t2":
            raise ValueError("broken search")
        return {"x": 1}


class Working(Searcher):
    """Suggests four configurations."""

    def suggest(self, trial_id):
        return FINISHED if trial_id == "t4" else {"x": 1}


def test_a_searcher_that_raises_ends_the_run_with_its_results_kept(run):
    with pytest.raises(tune.SearcherError, match="(?s)in suggest.*ValueError: broken search") as raised:
        run(counting, search_alg=Failing(), num_samples=4)

    assert [iterations(one) for one in raised.value.results] == [[1, 2, 3, 4, 5, 6]] * 2
    assert [one.state for one in run(counting, search_alg=Working(), num_samples=4, resume=True)] == ["TERMINATED"] * 4


def test_a_searcher_that_suggests_no_configuration_ends_the_run_saying_so(run):
    class Odd(Searcher):
        def suggest(self, trial_id):
            return [1]

    with pytest.raises(tune.SearcherError, match=r"a configuration is a dictionary, suggest returned \[1\]"):
        run(counting, search_alg=Odd())


def test_a_searcher_may_end_the_search(run):
    assert len(run(counting, search_alg=Working(), num_samples=10)) == 4
    assert len(run(counting, search_alg=Working(), num_samples=-1, name="f")) == 4


def test_a_searcher_that_waits_for_results_gets_them(run):
    class Waiting(Searcher):
        done = 0

        def suggest(self, trial_id):
            return {"x": self.done} if self.done == int(trial_id.lstrip("t")) else None

        def on_trial_complete(self, trial_id, result=None, error=False):
            self.done += 1

    results = run(counting, search_alg=Waiting(), num_samples=3, metric="score", mode="max")

    assert [one.config["x"] for one in results] == [0, 1, 2]


def test_a_searcher_that_raises_when_it_is_told_a_result_ends_nothing(run, caplog):
    class Deaf(Working):
        def on_trial_result(self, trial_id, result):
            raise ValueError("did not want to know")

    results = run(counting, search_alg=Deaf(), num_samples=2, metric="score", mode="max")

    assert [iterations(one) for one in results] == [[1, 2, 3, 4, 5, 6]] * 2
    assert "did not want to know" in caplog.text


def test_a_scheduler_that_raises_lets_its_trials_go_on(run, caplog):
    class Broken(TrialScheduler):
        def on_trial_result(self, trial, result):
            raise ValueError("broken scheduler")

        def choose_trial_to_run(self, trials):
            raise ValueError("cannot choose")

    results = run(counting, scheduler=Broken(), num_samples=2, metric="score", mode="max")

    assert [iterations(one) for one in results] == [[1, 2, 3, 4, 5, 6]] * 2
    assert "t0: the scheduler Broken raised in on_trial_result" in caplog.text
    assert "broken scheduler" in caplog.text


def test_a_scheduler_that_answers_nonsense_lets_its_trials_go_on(run, caplog):
    class Odd(TrialScheduler):
        def on_trial_result(self, trial, result):
            return "STOP"

    assert iterations(run(counting, scheduler=Odd(), metric="score", mode="max")[0]) == [1, 2, 3, 4, 5, 6]
    assert "'STOP', which is no decision" in caplog.text
