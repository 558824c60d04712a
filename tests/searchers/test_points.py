"""Points given in advance are read against the space."""

from typing import Any

import pytest

from searchers import choice, grid_search, loguniform, randint, uniform
from searchers.points import UNSET, read_points

SPACE = {
    "lr": loguniform(1e-5, 0.1),
    "n": {"depth": randint(1, 9), "l": [uniform(0, 1), uniform(0, 1)]},
    "m": choice([{"kind": "svm", "C": uniform(0, 1)}, {"kind": "tree"}]),
    "g": grid_search([1, 2]),
    "epochs": 3,
}


def test_points_may_be_nested_or_flat_and_partial() -> None:
    points: list[dict[str, Any]] = [
        {"lr": 0.01, "n": {"depth": 3}},
        {"n/depth": 3, "n/l/1": 0.5, "epochs": 3},
        {"m": {"kind": "svm"}, "g": 2},
    ]
    assert read_points(SPACE, points) == [
        {"lr": 0.01, "n": {"depth": 3}},
        {"n": {"depth": 3, "l": [UNSET, 0.5]}, "epochs": 3},
        {"m": {"kind": "svm"}, "g": 2},
    ]
    assert read_points(SPACE, None) == []


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"lrr": 1}, r"points_to_evaluate\[1\]: the search space has no 'lrr'; did you mean 'lr'\?"),
        ({"n": {"dept": 1}}, r"no 'n/dept'; did you mean 'n/depth'\?"),
        ({"zzz": 1}, r"it has lr, n/depth, n/l/0, n/l/1, m, g, epochs"),
        ({"lr": 1.0}, r"\[1\]: lr = 1.0 is not in loguniform\(1e-05, 0.1\)"),
        ({"n/depth": 9, "lr": 7}, r"n/depth = 9 is not in randint\(1, 9\); lr = 7 is not in"),
        ({"n": {"l": [0.5, 2]}}, r"n/l/1 = 2 is not in"),
        ({"n": {"l": [0.5]}}, r"n/l is .* and cannot be \[0.5\]"),
        ({"m": {"kind": "svm", "C": 3}}, r"m = .* is not in choice"),
        ({"g": 3}, r"g = 3 is not in grid_search\(\[1, 2\]\)"),
        ({"epochs": 4}, r"epochs is 3 in the search space and cannot be 4; make it a choice there"),
        (["lr"], r"a point is a dict of parameters, not \['lr'\]"),
    ],
)
def test_a_mistake_in_a_point_is_told_with_its_index(point: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_points(SPACE, [{}, point])  # type: ignore[list-item]
