"""Class trainables: their life, their checkpoints, and objects that serve one trial after another."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

import tune
from schedulers import ASHAScheduler
from tests.tune.trainables import iterations


class Counter(tune.Trainable):
    """Counts, and writes its life down."""

    def setup(self, config):
        self.count = 0
        self.tell("setup")

    def tell(self, word):
        with Path(self.config["life"], self.trial_id).open("a") as file:
            file.write(f"{word} ")

    def step(self):
        self.count += 1
        if self.count == self.config.get("at") and not Path(self.config["life"], f"{self.trial_id}-died").exists():
            Path(self.config["life"], f"{self.trial_id}-died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"count": self.count, "score": self.count * self.config.get("x", 1), "pid": os.getpid()}

    def cleanup(self):
        self.tell("cleanup")


class SavingDictionary(Counter):
    def save_checkpoint(self, checkpoint_dir):
        return {"count": self.count}

    def load_checkpoint(self, checkpoint):
        self.count = checkpoint["count"]
        self.tell(f"load-{self.count}")


class SavingDirectory(Counter):
    def save_checkpoint(self, checkpoint_dir):
        Path(checkpoint_dir, "count.json").write_text(json.dumps(self.count))
        return checkpoint_dir

    def load_checkpoint(self, checkpoint):
        self.count = json.loads(Path(checkpoint, "count.json").read_text())
        self.tell(f"load-{self.count}")


class SavingQuietly(SavingDirectory):
    def save_checkpoint(self, checkpoint_dir):
        super().save_checkpoint(checkpoint_dir)


class Reusable(SavingDictionary):
    def reset_config(self, new_config):
        self.count = 0
        self.tell("reset")
        return True


class NotReusable(SavingDictionary):
    def reset_config(self, new_config):
        return False


def life(tmp_path, trial_id="t0"):
    return (tmp_path / trial_id).read_text().split()


def test_a_class_is_set_up_stepped_and_cleaned_up(run, tmp_path):
    result = run(Counter, config={"life": str(tmp_path)}, stop={"training_iteration": 3})[0]

    assert iterations(result) == [1, 2, 3]
    assert list(result.metrics_dataframe["count"]) == [1, 2, 3]
    assert life(tmp_path) == ["setup", "cleanup"]


def test_a_class_ends_by_saying_done(run):
    class Ending(tune.Trainable):
        def setup(self, config):
            self.count = 0

        def step(self):
            self.count += 1
            return {"done": self.count == 4}

    assert iterations(run(Ending)[0]) == [1, 2, 3, 4]


@pytest.mark.parametrize("cls", [SavingDictionary, SavingDirectory, SavingQuietly])
def test_a_class_goes_on_from_its_checkpoint(run, tmp_path, cls):
    result = run(cls, config={"life": str(tmp_path), "at": 4}, stop={"count": 6}, max_failures=1)[0]

    assert iterations(result) == [1, 2, 3, 4, 5, 6]
    assert list(result.metrics_dataframe["count"]) == [1, 2, 3, 4, 5, 6]
    assert life(tmp_path) == ["setup", "setup", "load-3", "cleanup"]
    assert result.checkpoint is not None


def test_a_class_that_cannot_save_starts_from_the_beginning(run, tmp_path):
    result = run(Counter, config={"life": str(tmp_path), "at": 4}, stop={"count": 6}, max_failures=1)[0]

    assert list(result.metrics_dataframe["count"]) == [1, 2, 3, 4, 5, 6]
    assert result.metrics["iterations_since_restore"] == 6
    assert result.checkpoint is None


def test_a_class_that_saves_elsewhere_is_told_where_to(run):
    class Elsewhere(tune.Trainable):
        def step(self):
            return {"a": 1}

        def save_checkpoint(self, checkpoint_dir):
            return "/elsewhere"

    with pytest.raises(tune.TrialFailedError, match="save_checkpoint must write into .* it returned '/elsewhere'"):
        run(Elsewhere)


def test_a_class_pauses_and_goes_on(run, tmp_path):
    results = run(
        SavingDictionary,
        config={"life": str(tmp_path), "x": tune.grid_search([1, 2, 3, 4, 5, 6])},
        metric="score",
        mode="max",
        scheduler=ASHAScheduler(max_t=9, reduction_factor=3, type="promotion"),
    )

    assert {len(iterations(one)) for one in results} > {1}
    for one in results:
        assert list(one.metrics_dataframe["count"]) == iterations(one)


def test_a_class_knows_who_it_is(run):
    class Knowing(tune.Trainable):
        def step(self):
            return {
                "id": self.trial_id,
                "name": self.trial_name,
                "resources": self.trial_resources,
                "before": self.iteration,
                "same": self.training_iteration,
                "x": self.config["x"],
                "context": tune.get_context().get_trial_id(),
                "done": self.iteration == 2,
            }

    metrics = run(Knowing, config={"x": 5})[0].metrics

    assert metrics["id"] == metrics["context"] == "t0"
    assert metrics["name"] == "e_t0"
    assert metrics["resources"] == {"cpu": 1}
    assert metrics["before"] == metrics["same"] == 2
    assert metrics["x"] == 5


@pytest.mark.parametrize("method", ["setup", "step", "save_checkpoint", "load_checkpoint"])
def test_what_any_method_raises_is_a_failure_told_by_its_line(run, tmp_path, method):
    def fail(self, *_arguments):
        raise ValueError(f"not in {method}")

    cls = type("Failing", (SavingDictionary,), {method: fail})
    settings = {"config": {"life": str(tmp_path), "at": 2}, "stop": {"count": 3}, "max_failures": 1}
    with pytest.raises(tune.TrialFailedError, match=f"(?s)in fail.*ValueError: not in {method}"):
        run(cls, **settings)


def test_a_cleanup_that_raises_spoils_no_trial_that_had_been_told_to_end(run, tmp_path):
    class Untidy(Counter):
        def cleanup(self):
            raise ValueError("untidy")

    assert run(Untidy, config={"life": str(tmp_path)}, stop={"count": 2})[0].state == "TERMINATED"


def test_cleanup_runs_when_a_step_fails(run, tmp_path):
    class Falling(Counter):
        def step(self):
            raise ValueError("fallen")

    with pytest.raises(tune.TrialFailedError, match="fallen"):
        run(Falling, config={"life": str(tmp_path)})
    assert life(tmp_path) == ["setup", "cleanup"]


def test_a_step_that_returns_no_dictionary_fails_saying_so(run):
    class Wrong(tune.Trainable):
        def step(self):
            return 3

    with pytest.raises(tune.TrialFailedError, match="dictionary of metrics, got 3"):
        run(Wrong)


def test_a_reusable_object_serves_one_trial_after_another_in_one_process(run, tmp_path):
    results = run(
        Reusable,
        config={"life": str(tmp_path), "x": tune.grid_search([1, 2, 3])},
        stop={"count": 2},
        reuse_actors=True,
        max_concurrent_trials=1,
    )

    assert len({one.metrics["pid"] for one in results}) == 1
    assert [one.metrics["score"] for one in results] == [2, 4, 6]
    assert life(tmp_path, "t0") == ["setup"]
    assert life(tmp_path, "t1") == ["reset"]
    assert life(tmp_path, "t2") == ["reset", "cleanup"]


def test_an_object_that_cannot_be_reset_is_replaced(run, tmp_path):
    results = run(
        NotReusable,
        config={"life": str(tmp_path), "x": tune.grid_search([1, 2, 3])},
        stop={"count": 2},
        reuse_actors=True,
        max_concurrent_trials=1,
    )

    assert len({one.metrics["pid"] for one in results}) == 1
    assert [one.metrics["count"] for one in results] == [2, 2, 2]
    for trial_id in ("t0", "t1", "t2"):
        assert life(tmp_path, trial_id) == ["setup", "cleanup"]


def test_without_reuse_each_trial_has_a_process_of_its_own(run, tmp_path):
    results = run(Reusable, config={"life": str(tmp_path)}, stop={"count": 2}, num_samples=3)

    assert len({one.metrics["pid"] for one in results}) == 3
    for trial_id in ("t0", "t1", "t2"):
        assert life(tmp_path, trial_id) == ["setup", "cleanup"]


def test_a_reused_object_that_failed_is_not_used_again(run, tmp_path):
    class Tripping(Reusable):
        def step(self):
            if self.config["x"] == 2:
                self.broken = True
                raise ValueError("tripped")
            return {**super().step(), "broken": getattr(self, "broken", False)}

    results = run(
        Tripping,
        config={"life": str(tmp_path), "x": tune.grid_search([1, 2, 3])},
        stop={"count": 2},
        reuse_actors=True,
        max_concurrent_trials=1,
        raise_on_failed_trial=False,
    )

    assert [one.state for one in results] == ["TERMINATED", "ERROR", "TERMINATED"]
    assert results[2].metrics["broken"] is False


def test_a_class_without_step_is_refused_before_anything_starts(run, tmp_path):
    class Empty(tune.Trainable):
        pass

    with pytest.raises(tune.InvalidArgumentError, match="class Empty must define step"):
        run(Empty)
    with pytest.raises(tune.InvalidArgumentError, match="class object must be a subclass of tune.Trainable"):
        run(object)
    assert not (tmp_path / "e").exists()
