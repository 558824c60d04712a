"""`tune.simulate`: whole searches on recorded curves, in virtual time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import tune
from executor.messages import DeathCause
from executor.simulated import Fault
from schedulers import ASHAScheduler, AutoScheduler
from searchers import OptunaSearch, RandomSearch
from tests.tune.recorded import EPOCHS, table
from tune.functions import branin, counting_ones, currin, hartmann3, hartmann6


def simulate(*arguments: Any, **options: Any) -> Any:
    given = arguments or (table(),)
    return tune.simulate(*given, **{"metric": "accuracy", "mode": "max", **options})


def asha(kind: str = "stopping") -> ASHAScheduler:
    return ASHAScheduler(max_t=EPOCHS, reduction_factor=3, type=kind)


def configs(results: Any) -> list[int]:
    return [result.config["width"] - 8 for result in results]


def test_every_configuration_of_the_table_is_trained_once() -> None:
    results = simulate()
    assert sorted(configs(results)) == list(range(30))
    assert results.get_best_result().config["width"] == 37
    assert results.timeline.results == 30 * EPOCHS
    assert results.timeline.end_worker_seconds == pytest.approx(30 * EPOCHS)
    assert results.timeline.end_s == pytest.approx(8 * EPOCHS)  # 30 trials in eight waves of four


def test_without_a_space_the_order_depends_on_the_seed_and_on_nothing_else() -> None:
    plain = configs(simulate(seed=3))
    assert plain != sorted(plain)
    assert configs(simulate(table(), RandomSearch(), asha(), seed=3, workers=2)) == plain
    assert configs(simulate(scheduler=asha("promotion"), seed=3)) == plain
    assert configs(simulate(seed=4)) != plain


def test_the_same_arguments_give_the_same_results(tmp_path: Path) -> None:
    one, other = (
        simulate(
            table(),
            "optuna",
            asha("promotion"),
            num_samples=12,
            overheads=tune.Overheads(start_s=0.5, save_s=0.25, crash_rate=0.02),
            max_failures=2,
            seed=1,
        )
        for _ in range(2)
    )
    assert configs(one) == configs(other)
    assert one.timeline.dataframe().equals(other.timeline.dataframe())


def test_a_model_searches_the_table_and_runs_nothing_twice() -> None:
    results = simulate(table(), OptunaSearch(), num_samples=25)
    assert len(set(configs(results))) == 25


def test_a_suggestion_is_snapped_to_the_nearest_configuration_not_yet_used() -> None:
    points = [{"lr": 1e-4, "width": 8, "solver": "adam"}] * 2
    results = simulate(
        table(), RandomSearch(points_to_evaluate=points), num_samples=2, config=tune.Curves(table()).space
    )
    configs = tune.Curves(table()).configs
    # In the unit cube number n is n / 29 away in width and (7 n mod 30) / 29 in the logarithm of lr.
    distance = {n: (n**2 + (7 * n % 30) ** 2) / 29**2 + n % 2 for n in range(30)}
    first, second = sorted(distance, key=lambda n: distance[n])[:2]
    assert [result.config for result in results] == [configs[first], configs[second]]


def test_a_faster_worker_does_more() -> None:
    slow, fast = simulate(), simulate(speeds=[1, 1, 2, 4])
    assert fast.timeline.end_s < slow.timeline.end_s / 1.5


def test_overheads_cost_time_and_no_results() -> None:
    results = simulate(num_samples=4, overheads=tune.Overheads(start_s=2.0))
    assert results.timeline.end_s == pytest.approx(EPOCHS + 2)
    assert results.timeline.results == 4 * EPOCHS


def test_a_paused_trial_goes_on_from_its_checkpoint() -> None:
    results = simulate(scheduler=asha("promotion"))
    assert results.timeline.end_worker_seconds == pytest.approx(results.timeline.results)
    again = simulate(scheduler=asha("promotion"), checkpoints=False)
    assert again.timeline.end_worker_seconds > results.timeline.end_worker_seconds


def test_a_trial_that_crashes_is_tried_again_from_what_it_saved() -> None:
    often = tune.CheckpointConfig(checkpoint_frequency=3, num_to_keep=None)
    fault = [Fault("t0.1", at_emission=6, cause=DeathCause(exit_code=1))]
    results = simulate(num_samples=1, faults=fault, max_failures=1, checkpoint_config=often)
    assert results.num_errors == 0
    assert results[0].metrics["training_iteration"] == EPOCHS
    lost = simulate(num_samples=1, faults=fault)
    assert lost.num_errors == 1


def test_crashes_by_chance_end_trials() -> None:
    results = simulate(overheads=tune.Overheads(crash_rate=0.05))
    assert 3 < results.num_errors < 20
    survived = simulate(overheads=tune.Overheads(crash_rate=0.05), max_failures=-1)
    assert survived.num_errors == 0


def test_auto_finds_the_best_and_trains_few_to_the_end() -> None:
    results = simulate(scheduler=AutoScheduler(max_t=EPOCHS))
    assert results.get_best_result().config["width"] == 37
    assert results.timeline.results < 30 * EPOCHS / 2
    reasons = [result.reason for result in results]
    assert "reached max_t (training_iteration 9)" in reasons
    assert any(
        re.match(r"\d+\w\w of \d+ at rung 0 \(training_iteration 1\), \d+% chance", reason) for reason in reasons
    )


def test_auto_without_checkpoints_stops_trials_instead_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    results = simulate(scheduler="auto", checkpoints=False)
    assert "from now on trials stop at rungs instead of pausing" in caplog.text
    assert results.get_best_result(scope="all").config["width"] >= 35


def test_a_time_budget_is_virtual() -> None:
    results = simulate(time_budget_s=20)
    assert results.timeline.end_s == pytest.approx(20, abs=1.001)


def test_the_timeline_tells_when_a_value_was_reached_and_what_was_missed() -> None:
    timeline = simulate(num_samples=1, seed=0).timeline
    height = timeline.incumbents[-1] / (1 - 0.5**EPOCHS)
    assert timeline.worker_seconds == [pytest.approx(at) for at in range(1, EPOCHS + 1)]
    assert timeline.until(0.7 * height) == pytest.approx(2)
    assert timeline.until(2.0) is None
    assert timeline.incumbent(0.5) is None
    assert timeline.incumbent(2.5) == pytest.approx(0.75 * height)
    best = 29 / 30 * (1 - 0.5**EPOCHS)
    assert timeline.best == pytest.approx(best)
    # From 1 to 2 the incumbent was at a half, from 2 to 3 at three quarters.
    assert timeline.mean_regret(3) == pytest.approx(best - height * 0.625)
    assert list(timeline.dataframe().columns) == ["seconds", "worker_seconds", "incumbent", "trial", "regret"]


def test_the_experiment_is_kept_where_it_should_be(tmp_path: Path) -> None:
    results = simulate(num_samples=3, storage_path=tmp_path, name="kept")
    assert len(tune.ResultGrid(tmp_path / "kept")) == 3
    assert results.experiment_path == str(tmp_path / "kept")
    gone = Path(simulate(num_samples=3).experiment_path)
    assert not gone.exists()


def test_mistakes_are_named_together() -> None:
    with pytest.raises(tune.InvalidArgumentError) as caught:
        simulate(currin(9), workers=2, speeds=[1.0], overheads=tune.Overheads(crash_rate=2))
    told = str(caught.value)
    assert "speeds names 1 workers" in told
    assert "crash_rate" in told
    assert "num_samples is needed" in told


@pytest.mark.parametrize(
    ("function", "best"),
    [
        (branin, {"x": 9.42478, "y": 2.475}),
        (hartmann3(), {"x0": 0.114614, "x1": 0.555649, "x2": 0.852547}),
        (
            hartmann6(),
            dict(
                zip("x0 x1 x2 x3 x4 x5".split(), (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573), strict=True)
            ),
        ),
        (currin(), {"x": 13 / 60, "y": 0.0}),
        (counting_ones(2, 2), {"bit0": 1, "bit1": 1, "p0": 1.0, "p1": 1.0}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_functions_in_closed_form_have_their_optimum_where_the_papers_say(
    function: Any, best: dict[str, float]
) -> None:
    assert function.value(best, 1.0) == pytest.approx(function.optimum, abs=1e-5)


def test_functions_are_searched_as_tables_are() -> None:
    scheduler = ASHAScheduler(max_t=27, reduction_factor=3)
    results = tune.simulate(currin(27), "optuna", scheduler, metric="value", mode="max", num_samples=30)
    assert results.timeline.best == pytest.approx(13.7987, abs=1e-4)
    assert results.timeline.incumbents[-1] > 9
    assert results.timeline.results < 30 * 27


def test_functions_are_trainables_as_they_are(tmp_path: Path) -> None:
    results = tune.run(
        branin,
        config=branin.space,
        metric="value",
        mode="min",
        num_samples=2,
        storage_path=tmp_path,
        verbose=0,
        seed=1,
    )
    assert len(results) == 2
