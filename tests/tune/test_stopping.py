"""When a trial has done enough."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tune.machine.stopping import (
    CombinedStopper,
    FunctionStopper,
    MaximumIterationStopper,
    Stopper,
    ThresholdStopper,
    as_stopper,
    nested,
)


def result(iteration: int = 1, **metrics: Any) -> dict[str, Any]:
    return {"training_iteration": iteration, **metrics}


class Enough(Stopper):
    """Ends everything after so many results."""

    def __init__(self, most: int) -> None:
        self.most, self.seen = most, 0

    def __call__(self, trial_id, result) -> bool:
        self.seen += 1
        return False

    def stop_all(self) -> bool:
        return self.seen >= self.most


@pytest.mark.parametrize(
    ("thresholds", "falling", "metrics", "why"),
    [
        ({"training_iteration": 3}, [], {}, ""),
        ({"training_iteration": 1}, [], {}, "training_iteration reached 1"),
        ({"accuracy": 0.9}, [], {"accuracy": 0.95}, "accuracy reached 0.9"),
        ({"accuracy": 0.9}, [], {"accuracy": 0.89}, ""),
        ({"loss": 0.1}, ["loss"], {"loss": 0.05}, "loss reached 0.1"),
        ({"loss": 0.1}, ["loss"], {"loss": 0.5}, ""),
        ({"loss": 0.1}, [], {"loss": 0.5}, "loss reached 0.1"),
        ({"eval/accuracy": 0.9}, [], {"eval": {"accuracy": 0.9}}, "eval/accuracy reached 0.9"),
        ({"eval/accuracy": 0.9}, [], {"eval/accuracy": 0.9}, "eval/accuracy reached 0.9"),
        ({"accuracy": 0.9}, [], {"accuracy": math.nan}, ""),
        ({"accuracy": 0.9}, [], {"accuracy": "high"}, ""),
        ({"accuracy": 0.9}, [], {"accuracy": True}, ""),
        ({"other": 1, "accuracy": 0.9}, [], {"accuracy": 1}, "accuracy reached 0.9"),
    ],
)
def test_a_threshold_is_reached_from_below_or_for_a_falling_metric_from_above(
    thresholds, falling, metrics, why
) -> None:
    stopper = ThresholdStopper(thresholds, falling)
    assert stopper.why("t0", result(**metrics)) == why
    assert stopper("t0", result(**metrics)) is bool(why)


@pytest.mark.parametrize("threshold", ["0.9", None, True, [1]])
def test_a_threshold_is_a_number(threshold: Any) -> None:
    with pytest.raises(ValueError, match="thresholds must be numbers"):
        ThresholdStopper({"accuracy": threshold})


def test_a_function_is_a_stopper_and_gives_its_name() -> None:
    def too_bad(trial_id, result):
        return trial_id == "t1" and result["loss"] > 1

    stopper = FunctionStopper(too_bad)
    assert stopper.why("t1", result(loss=2.0)) == "too_bad said so"
    assert stopper.why("t0", result(loss=2.0)) == ""


def test_iterations_can_be_limited() -> None:
    stopper = MaximumIterationStopper(2)
    assert [stopper("t0", result(iteration)) for iteration in (1, 2, 3)] == [False, True, True]
    assert stopper.why("t0", result(2)) == "it reached max_iter (2)"
    with pytest.raises(ValueError, match="at least 1"):
        MaximumIterationStopper(0)


def test_combined_each_is_asked_every_time_and_any_ends_the_trial() -> None:
    counting = Enough(2)
    stopper = CombinedStopper(MaximumIterationStopper(1), counting, ThresholdStopper({"accuracy": 0.5}))
    assert stopper.why("t0", result(1, accuracy=0.7)) == "it reached max_iter (1), accuracy reached 0.5"
    assert not stopper.stop_all()
    assert stopper("t0", result(1)) is True
    assert counting.seen == 2
    assert stopper.stop_all()


def test_whatever_a_user_may_pass_becomes_one_stopper() -> None:
    assert as_stopper(None) is as_stopper({}) is as_stopper([]) is as_stopper([None, {}]) is None
    own = Enough(1)
    assert as_stopper(own) is own
    falling = as_stopper({"loss": 0.1}, modes={"loss": "min"})
    assert falling is not None
    assert falling.why("t0", {"loss": 0.05})
    mixed = as_stopper([{"accuracy": 0.9}, lambda trial_id, result: False, own])
    assert isinstance(mixed, CombinedStopper)
    assert mixed.why("t0", {"accuracy": 0.9}) == "accuracy reached 0.9"


@pytest.mark.parametrize("stop", [3, "soon", {1, 2}])
def test_anything_else_is_refused(stop: Any) -> None:
    with pytest.raises(TypeError, match="stop must be"):
        as_stopper(stop)


@pytest.mark.parametrize(
    ("path", "value"), [("a", {"b": 1}), ("a/b", 1), ("a/c", None), ("a/b/c", None), ("x", None), ("", None)]
)
def test_nested_values_are_found_by_their_path(path: str, value: Any) -> None:
    assert nested({"a": {"b": 1}}, path) == value
