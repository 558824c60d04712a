"""The Gaussian process: its gradients, its predictions, and what it looks for."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime

from searchers import GaussianProcessSearch, SearchContext, choice, loguniform, randint, uniform
from searchers.expected_improvement import log_expected_improvement, log_expected_improvement_gradient
from searchers.regression import GaussianProcess, Hyperparameters, fit, negative_log_posterior
from searchers.surrogate import compressed
from tests.searchers.trials import bound, run, tell

MIXED = {
    "x": uniform(-1, 1),
    "lr": loguniform(1e-4, 1),
    "n": randint(0, 9),
    "m": choice(["a", "b", {"y": uniform(0, 1)}]),
}


def bowl(config: dict[str, Any]) -> float:
    distance = config["x"] ** 2 + numpy.log10(config["lr"] / 0.01) ** 2 + (config["n"] - 4) ** 2
    return float(distance + (0 if config["m"] == "b" else 2))


def test_the_gradient_of_the_posterior_is_right() -> None:
    generator = numpy.random.default_rng(0)
    points, values = generator.random((12, 3)), generator.standard_normal(12)
    squares = (points[:, None, :] - points[None, :, :]).transpose(2, 0, 1) ** 2
    for log_theta in generator.uniform(-1.5, 0, (4, 5)):
        _, gradient = negative_log_posterior(log_theta, squares, values)
        numeric = approx_fprime(log_theta, lambda theta: negative_log_posterior(theta, squares, values)[0], 1e-7)
        assert gradient == pytest.approx(numeric, rel=1e-3, abs=1e-4)


def test_a_smooth_function_is_predicted_from_few_points() -> None:
    points = numpy.linspace(0, 1, 9)[:, None]
    values = numpy.sin(5 * points[:, 0])
    values = (values - values.mean()) / values.std()
    theta, _ = fit((points - points.T)[None] ** 2, values, Hyperparameters.typical(1))
    process = GaussianProcess(points, values, theta)
    between = points[:-1] + 1 / 16
    truth = numpy.sin(5 * between[:, 0])
    mean, sigma = process.predict(between)
    assert mean == pytest.approx((truth - numpy.sin(5 * points).mean()) / numpy.sin(5 * points).std(), abs=0.05)
    assert (sigma < 0.2).all()
    assert process.predict(points)[1].max() < sigma.min()


@pytest.mark.parametrize(("mean", "sigma", "least"), [(0.0, 1.0, 0.3), (1.0, 0.5, 0.2), (0.5, 2.0, -3.0)])
def test_expected_improvement_is_the_integral_it_stands_for(mean: float, sigma: float, least: float) -> None:
    def gain(f: float) -> float:
        return float((least - f) * numpy.exp(-(((f - mean) / sigma) ** 2) / 2) / sigma / numpy.sqrt(2 * numpy.pi))

    expected, _ = quad(gain, least - 12 * sigma, least)
    found = log_expected_improvement(numpy.array([mean]), numpy.array([sigma]), least)[0]
    assert numpy.exp(found) == pytest.approx(expected, rel=1e-6)


def test_hopeless_points_are_still_told_apart() -> None:
    means = numpy.array([1.0, 10, 100, 1e3, 1e5, 1e6])
    found = log_expected_improvement(means, numpy.ones(6), 0.0)
    assert numpy.isfinite(found).all()
    assert (numpy.diff(found) < 0).all()


@pytest.mark.parametrize("least", [0.5, -1.0, -30.0, -3e4])
def test_the_gradient_of_expected_improvement_is_right(least: float) -> None:
    generator = numpy.random.default_rng(1)
    points = generator.random((8, 2))
    process = GaussianProcess(points, generator.standard_normal(8), Hyperparameters(numpy.array([0.4, 0.7]), 1.0, 0.1))
    place = numpy.array([0.4, 0.3])

    def value(x: Any) -> float:
        return float(log_expected_improvement(*process.predict(x[None, :]), least)[0])

    found, gradient = log_expected_improvement_gradient(*process.predict_with_gradients(place), least)
    assert found == pytest.approx(value(place), rel=1e-9)
    assert gradient == pytest.approx(approx_fprime(place, value, 1e-7), rel=1e-3)


def test_the_worst_quarter_is_compressed_in_order() -> None:
    losses = numpy.array([0.0, 1, 2, 3, 1e6, 0, 1, 2, 6])  # the third quartile is 3, as far from the best as 6 from it
    assert list(compressed(losses)[:4]) == [0, 1, 2, 3]
    assert compressed(losses)[8] == pytest.approx(3 + 3 * numpy.log(2))
    assert compressed(losses)[4] == pytest.approx(3 + 3 * numpy.log(1e6 / 3))
    assert list(compressed(numpy.ones(3))) == [1, 1, 1]


def test_it_finds_the_bottom_of_a_mixed_bowl() -> None:
    assert min(run(bound(GaussianProcessSearch(), MIXED), bowl, 35)) < 0.01


def test_running_trials_are_not_suggested_again() -> None:
    searcher = bound(GaussianProcessSearch(), {"x": uniform(0, 1)})
    for number, x in enumerate([0.0, 0.2, 0.5, 0.8, 1.0]):
        tell(searcher, number, {"x": x}, (x - 0.4) ** 2)
    places = []
    for number in range(5, 9):
        config = searcher.suggest(f"t{number}")
        searcher.on_trial_add(f"t{number}", config)
        places.append(config["x"])
    assert min(abs(numpy.diff(sorted(places)))) > 1e-4


def test_the_model_sees_a_bounded_number_of_trials() -> None:
    searcher = bound(GaussianProcessSearch(most_trials=12, n_startup_trials=4), {"x": uniform(0, 1)})
    run(searcher, lambda config: float(config["x"]), 30)
    history = searcher.observations.history
    seen = searcher._surrogate._seen(history)
    assert len(seen.units) == 12
    assert seen.units[-8:].tolist() == history.units[22:].tolist()


def test_results_that_do_not_differ_are_no_obstacle() -> None:
    assert run(bound(GaussianProcessSearch(), {"x": uniform(0, 1)}), lambda _: 1.0, 8) == [1.0] * 8


def test_several_metrics_are_refused() -> None:
    with pytest.raises(ValueError, match="one metric, not loss, cost; use TPESearch"):
        GaussianProcessSearch().bind(SearchContext({"x": uniform(0, 1)}, ("loss", "cost"), ("min", "min"), 0, 9))
