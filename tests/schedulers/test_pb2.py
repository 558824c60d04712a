"""PB2: what it learns, what it proposes, and that it does so again."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from schedulers import PB2, Exploit
from schedulers.bounds import Bounds
from schedulers.time_varying import MOST, Bandit, Observed, best_point, fitted, unlikelihood
from searchers.space import lograndint, loguniform, qrandint, uniform
from tests.schedulers.driver import Driver, StubTrial, bound, report

START = np.log([0.3, 0.1, 0.02])


def pb2(**more: Any) -> Any:
    arguments = {"time_attr": "training_iteration", "perturbation_interval": 1, "hyperparam_bounds": {"lr": [0.0, 1.0]}}
    return bound(PB2(**{**arguments, **more}), total_trials=4)


def played(scheduler: Any) -> list[Exploit]:
    """Four trials that learn the faster the nearer lr is to 0.7."""
    members = {f"t{at}": StubTrial(f"t{at}", {"lr": (0.1, 0.4, 0.6, 0.9)[at]}) for at in range(4)}
    scores = dict.fromkeys(members, 0.0)
    for member in members.values():
        scheduler.on_trial_add(member)
        scheduler.on_trial_start(member)
    exploits = []
    for t in range(1, 16):
        for name, member in list(members.items()):
            scores[name] += 1 - abs(member.config["lr"] - 0.7)
            answer = report(scheduler, member, t, scores[name])
            if isinstance(answer, Exploit):
                exploits.append(answer)
                members[name], scores[name] = StubTrial(name, answer.config), scores[answer.donor]
                scheduler.on_trial_start(members[name])
    return exploits


def test_it_finds_where_the_metric_improves_fastest() -> None:
    exploits = played(pb2())
    assert len(exploits) >= 3
    assert abs(exploits[-1].config["lr"] - 0.7) < 0.2


def test_what_a_copy_gains_is_counted_from_what_it_copied() -> None:
    scheduler = pb2()
    leader, copy = StubTrial("t0", {"lr": 0.5}), StubTrial("t1", {"lr": 0.1})
    for member in (leader, copy):
        scheduler.on_trial_add(member)
        scheduler.on_trial_start(member)
    report(scheduler, leader, 1, 0.9)
    exploit = report(scheduler, copy, 1, 0.5)
    copy = StubTrial("t1", exploit.config)
    scheduler.on_trial_start(copy)
    report(scheduler, copy, 2, 1.0)
    learned = scheduler._bandit.observed
    assert learned.y.tolist() == pytest.approx([0.1])
    assert learned.x[0].tolist() == [exploit.config["lr"]]


def test_told_the_same_history_it_proposes_the_same() -> None:
    assert played(pb2()) == played(pb2())


def test_of_many_that_try_something_those_that_started_last_count() -> None:
    def proposed(first: float, count: int) -> Any:
        scheduler = pb2()
        members = [StubTrial(f"t{at}", {"lr": first if at == 0 else at / count}) for at in range(count)]
        for member in members:
            scheduler.on_trial_add(member)
            scheduler.on_trial_start(member)
        for t in (1, 2, 3, 4):
            answers = [report(scheduler, member, t, t * at) for at, member in enumerate(reversed(members[-4:]))]
        return [each.config["lr"] for each in answers if isinstance(each, Exploit)]

    assert proposed(0.1, 210) == proposed(0.9, 210)
    assert proposed(0.1, 5) != proposed(0.9, 5)


def test_it_drives_a_population_through_accidents() -> None:
    driver = Driver(pb2(require_attrs=False), 4, 2, lambda name, t: t + int(name[1:]), Random(0), length=8)
    driver.run(5_000)
    assert len(driver.ended) == 4


def test_the_upper_confidence_bound_goes_where_it_is_high_and_not_where_others_are() -> None:
    x = np.linspace(0, 1, 9)[:, None]
    observed = Observed(np.ones(9), x, -((x[:, 0] - 0.7) ** 2) * 8)
    parameters = fitted(observed, START)
    alone = best_point(observed, parameters, np.empty((0, 1)), 1.0, 0.2, np.random.default_rng(0))
    assert abs(alone[0] - 0.7) < 0.15
    curious = best_point(observed, parameters, np.empty((0, 1)), 30.0, 50.0, np.random.default_rng(0))
    beside = best_point(observed, parameters, np.tile(curious, (20, 1)), 30.0, 50.0, np.random.default_rng(0))
    assert abs(beside[0] - curious[0]) > 0.05


def test_the_gradient_of_the_likelihood_is_right() -> None:
    generator = np.random.default_rng(0)
    x, t, y = generator.random((12, 2)), np.arange(12) / 3, generator.standard_normal(12)
    squares, gaps = ((x[:, None] - x[None]) ** 2).sum(-1), np.abs(t[:, None] - t[None])
    for parameters in np.log([[0.3, 0.1, 0.02], [1.0, 0.01, 0.3]]):
        _, gradient = unlikelihood(parameters, squares, gaps, y)
        numeric = approx_fprime(parameters, lambda each: unlikelihood(each, squares, gaps, y)[0], 1e-7)
        assert gradient == pytest.approx(numeric, rel=1e-3, abs=1e-5)


def test_a_bandit_keeps_the_latest_and_forgets_what_no_longer_holds() -> None:
    bandit, generator = Bandit(), np.random.default_rng(0)
    for at in range(2 * MOST):
        x, best = generator.random(1), 0.2 if at < MOST else 0.8
        bandit.see(at / 8, x, -float(abs(x[0] - best)))
    assert abs(bandit.best_point(np.empty((0, 1)), 2 * MOST / 8, 0.2, generator)[0] - 0.8) < 0.05


@pytest.mark.parametrize("given", [[0.5, 2.0], [1, 64], loguniform(1e-4, 0.1), lograndint(1, 100), qrandint(4, 64, 4)])
def test_a_range_goes_to_the_unit_interval_and_back(given: Any) -> None:
    one = Bounds(given)
    for value in (one.low, one.high):
        assert one.value(one.unit(value)) == pytest.approx(value)
    for unit in (0.0, 0.3, 1.0):
        found = one.value(unit)
        assert one.low <= found <= one.high
        assert isinstance(found, type(one.low))


def test_first_configurations_are_completed_within_the_bounds_also_nested() -> None:
    scheduler = pb2(hyperparam_bounds={"lr": uniform(0, 1), "inner": {"width": [8, 64]}})
    config = scheduler.complete_config("t0", {"other": 1})
    assert 8 <= config["inner"]["width"] <= 64
    assert config["other"] == 1


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(ValueError, match="PB2: ") as caught:
        PB2(perturbation_interval=0, hyperparam_bounds={"lr": [1, 0], "x": {"y": "z"}})
    for words in ("perturbation_interval is 0", "['lr'] is [1, 0]", "['x']['y'] is 'z'"):
        assert words in str(caught.value)
    with pytest.raises(ValueError, match="hyperparam_bounds is empty"):
        PB2()
