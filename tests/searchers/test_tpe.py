"""TPE: the densities by hand, and which trials count as good and bad."""

from __future__ import annotations

import itertools
from typing import Any

import numpy
import pytest

from searchers import SearchContext, TPESearch, choice, loguniform, randint, uniform
from searchers.axes import Axes
from searchers.encoding import Encoding
from searchers.parzen import ParzenEstimator, neighbour_widths, ramp
from tests.searchers.trials import bound, run, tell

MIXED = {
    "x": uniform(0, 1),
    "n": randint(0, 5),
    "m": choice(["a", {"y": uniform(0, 1)}, {"z": loguniform(1, 10)}]),
}


def estimator(space: dict[str, Any], configs: list[dict[str, Any]]) -> ParzenEstimator:
    encoding = Encoding(space)
    units = numpy.array([encoding.encode(config) for config in configs])
    return ParzenEstimator(Axes(encoding.columns), units, numpy.ones(len(units)), neighbour_widths(units))


def test_a_bandwidth_is_the_distance_to_the_farther_neighbour() -> None:
    units = numpy.array([[0.5], [0.1], [0.2], [0.9]])
    # In order 0.1, 0.2, 0.5, 0.9: the least bandwidth for four observations is 1/6, more than the first one's 0.1.
    assert neighbour_widths(units)[:, 0] == pytest.approx([0.4, 1 / 6, 0.3, 0.4])
    assert neighbour_widths(numpy.array([[0.3]]))[0, 0] == pytest.approx(0.7)


def test_where_a_parameter_is_missing_its_neighbours_are_not_counted() -> None:
    units = numpy.array([[0.1, 0.2], [0.2, numpy.nan], [0.9, 0.9]])
    assert neighbour_widths(units)[:, 1] == pytest.approx([0.7, 0.2, 0.7])


def test_the_density_is_the_mixture_written_out() -> None:
    low, high, centre, width = 0.0, 1.0, 0.3, 0.7

    def normal(x: float) -> float:
        return float(numpy.exp(-0.5 * ((x - centre) / width) ** 2))

    grid = numpy.linspace(low, high, 20_001)
    mass = float(numpy.trapezoid([normal(x) for x in grid], grid))
    found = estimator({"x": uniform(0, 1)}, [{"x": centre}]).log_density(numpy.array([[0.4], [0.9]]))
    assert numpy.exp(found) == pytest.approx([0.5 * normal(0.4) / mass + 0.5, 0.5 * normal(0.9) / mass + 0.5], rel=1e-6)


def test_the_density_of_a_mixed_space_sums_to_one() -> None:
    configs: list[dict[str, Any]] = [
        {"x": 0.2, "n": 1, "m": "a"},
        {"x": 0.8, "n": 4, "m": {"y": 0.9}},
        {"x": 0.7, "n": 4, "m": {"y": 0.1}},
        {"x": 0.1, "n": 0, "m": {"z": 2.0}},
    ]
    density = estimator(MIXED, configs)
    middles = (numpy.arange(60) + 0.5) / 60
    inside: list[list[float]] = []
    for x, n, m in itertools.product(middles, (numpy.arange(5) + 0.5) / 5, (numpy.arange(3) + 0.5) / 3):
        if m < 0.3:
            inside.append([x, n, m, numpy.nan, numpy.nan])
        else:
            inside.extend(
                [x, n, m, y, numpy.nan] if m < 0.6 else [x, n, m, numpy.nan, y] for y in middles[::5] + 2 / 60
            )
    points = numpy.array(inside)
    cells = numpy.where(points[:, 2] < 0.3, 1.0, 1 / 12) / 60 / 5 / 3
    assert float((numpy.exp(density.log_density(points)) * cells).sum()) == pytest.approx(1, abs=0.01)


def test_samples_have_the_parameters_of_their_option_and_no_others() -> None:
    density = estimator(MIXED, [{"x": 0.2, "n": 1, "m": {"y": 0.5}}, {"x": 0.2, "n": 1, "m": "a"}])
    points = density.sample(numpy.random.default_rng(0), 200)
    option = numpy.round(points[:, 2] * 3 - 0.5)
    assert set(option) == {0, 1, 2}
    assert numpy.array_equal(numpy.isnan(points[:, 3]), option != 1)
    assert numpy.array_equal(numpy.isnan(points[:, 4]), option != 2)
    assert set(numpy.round(points[:, 1] * 5 - 0.5)) <= {0, 1, 2, 3, 4}


def test_old_trials_weigh_less() -> None:
    assert list(ramp(3)) == [1, 1, 1]
    assert ramp(30) == pytest.approx([1 / 30, 1 / 30 + 29 / 120, 31 / 60, 1 - 29 / 120, *[1.0] * 26])


def test_it_beats_random_search_on_a_bowl() -> None:
    def bowl(config: dict[str, Any]) -> float:
        return float((config["x"] - 0.3) ** 2 + (config["n"] - 3) ** 2 + (0 if config["m"] == "a" else 1))

    losses = run(bound(TPESearch(), MIXED), bowl, 60)
    assert min(losses[:10]) > 1e-3
    assert min(losses) < 1e-3


def test_running_trials_repel_and_failed_ones_do_not() -> None:
    def suggested_near(told: str | None) -> int:
        searcher = bound(TPESearch(n_candidates=200), {"x": uniform(0, 1)})
        for number in range(20):
            tell(searcher, number, {"x": number / 20 + 0.025}, abs(number - 10))
        for number in range(20, 30) if told else ():
            searcher.on_trial_add(f"t{number}", {"x": 0.525})
            if told == "failed":
                searcher.on_trial_complete(f"t{number}", None, True)
        return sum(abs(searcher.suggest(f"t{number}")["x"] - 0.525) < 0.05 for number in range(40, 80))

    assert suggested_near("failed") == suggested_near(None) > 20
    assert suggested_near("running") < 5


def test_with_two_objectives_the_front_is_good() -> None:
    searcher = TPESearch(n_startup_trials=10, gamma=0.2)
    searcher.bind(SearchContext({"x": uniform(0, 3)}, ("a", "b"), ("min", "max"), 0, -1))
    for number in range(100):  # a = (x - 1)², b = -(x - 2)²: what lies between 1 and 2 is not dominated
        config = searcher.suggest(f"t{number}")
        assert isinstance(config, dict)
        searcher.on_trial_add(f"t{number}", config)
        searcher.on_trial_complete(f"t{number}", {"a": (config["x"] - 1) ** 2, "b": -((config["x"] - 2) ** 2)})
    late = searcher.observations.history.units[50:, 0] * 3
    assert ((late > 0.9) & (late < 2.1)).mean() > 0.8


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ValueError, match="n_candidates must be 1 or more, not 0; gamma must lie between 0 and 1"):
        TPESearch(n_candidates=0, gamma=1)
    with pytest.raises(ValueError, match="nothing to search"):
        bound(TPESearch(), {"x": 3})
