"""What a trainable may report, and where it is told what it may not."""

from __future__ import annotations

import datetime
import enum
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tune.worker.metrics import check_decisive, normalise


class Scalar:
    """As torch's tensors are: a shape, and `item`."""

    def __init__(self, value: Any, *shape: int) -> None:
        self.value, self.shape = value, shape

    def item(self) -> Any:
        return self.value

    def tolist(self) -> Any:
        return [self.value]


class Colour(enum.StrEnum):
    RED = "red"


class OldColour(str, enum.Enum):  # noqa: UP042 (many users write it so)
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


class Own(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (1, 1),
        (0.5, 0.5),
        (True, True),
        ("text", "text"),
        (None, None),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.bool_(False), False),
        (np.str_("text"), "text"),
        (np.array(0.5), 0.5),
        (np.array([0.5]), 0.5),
        (np.array([[3]]), 3),
        (Scalar(0.5), 0.5),
        (Scalar(0.5, 1), 0.5),
        (Scalar(0.5, 1, 1), 0.5),
        (Colour.RED, "red"),
        (OldColour.RED, "red"),
        (Size.BIG, 3),
        (Own("text"), "text"),
        ((1, np.float32(2.0)), [1, 2.0]),
        ({"a": {"b": [np.int8(1), {"c": Scalar(True)}]}}, {"a": {"b": [1, {"c": True}]}}),
    ],
)
def test_values_become_plain_ones(value: Any, plain: Any) -> None:
    for metrics, expected in (({"x": value}, {"x": plain}), ({"x": {"y": [value]}}, {"x": {"y": [plain]}})):
        found = normalise(metrics)
        assert found == expected
        assert repr(found) == repr(expected)


@pytest.mark.fault("F18")
@pytest.mark.parametrize("value", [math.nan, math.inf, np.float32("nan"), Scalar(-math.inf)])
def test_what_is_not_finite_is_kept(value: Any) -> None:
    assert not math.isfinite(normalise({"x": value})["x"])


def test_what_was_reported_is_not_changed() -> None:
    inner = [np.float32(1.0)]
    metrics = {"x": {"y": inner}}
    normalise(metrics)["x"]["y"].append(2)
    assert metrics == {"x": {"y": inner}}
    assert len(inner) == 1


@pytest.mark.parametrize("value", [np.zeros(3), np.zeros((2, 0)), np.array([]), Scalar(0.0, 2)])
def test_arrays_are_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match=r"'loss' is an array of shape \(.*tolist"):
        normalise({"loss": value})
    with pytest.raises(TypeError, match="'eval/per_class/1'"):
        normalise({"eval": {"per_class": [0, value]}})


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"x", 1j, Decimal("1.5"), datetime.date(2020, 1, 1), np.datetime64("2020"), lambda: 0]
)
def test_what_json_does_not_know_is_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match=r"metric 'a/b' is .*report numbers"):
        normalise({"a": {"b": value}})


@pytest.mark.parametrize("metrics", [{1: 2.0}, {"a": {1: 2.0}}, {("a", "b"): 1}, {None: 1}])
def test_names_are_strings(metrics: Any) -> None:
    with pytest.raises(TypeError, match="names of metrics are strings"):
        normalise(metrics)


@pytest.mark.parametrize("metrics", [3.0, [("a", 1)], "loss", None])
def test_metrics_are_a_dictionary(metrics: Any) -> None:
    with pytest.raises(TypeError, match="needs a dictionary"):
        normalise(metrics)


@pytest.mark.parametrize("value", ["0.5", None, True, [1.0], {"a": 1}])
def test_what_trials_are_compared_by_must_be_a_number(value: Any) -> None:
    with pytest.raises(TypeError, match="'loss' is used to compare trials and must be a number"):
        check_decisive({"loss": value}, ["loss"])


def test_what_trials_are_compared_by_may_be_missing_or_nan() -> None:
    check_decisive({"loss": math.nan}, ["loss", "accuracy"])
    check_decisive({"loss": 3}, ["loss"])


def test_the_error_points_at_the_users_line(tmp_path) -> None:
    from tests.tune.arena import Arena, bound

    def train(config):
        yield {"loss": 1.0}
        yield {"loss": np.zeros(3)}

    arena = Arena(tmp_path, train, lambda: bound({}, 1))
    (trial,) = arena.run().trials.values()
    assert trial.state == "ERROR"
    assert "metric 'loss' is an array of shape (3,)" in trial.failure.summary
    assert "tune/worker" not in trial.failure.traceback
