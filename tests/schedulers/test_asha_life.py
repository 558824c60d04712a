"""ASHA under arbitrary histories: it keeps the paper's rule, comes to an end, and stands where it stood on resume."""

import math
from random import Random
from time import process_time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedulers import ASHAScheduler
from tests.schedulers.driver import Driver, Told, bound

SETTINGS = st.fixed_dictionaries(
    {
        "max_t": st.integers(1, 30),
        "reduction_factor": st.sampled_from([1.5, 2, 3, 4]),
        "stop_last_trials": st.just(True),
        "type": st.sampled_from(["stopping", "promotion"]),
    }
)


def play(settings: dict, count: int, slots: int, seed: int, **more) -> Driver:
    """One run; scores are few, so that ties happen, and some are NaN."""
    scheduler = bound(ASHAScheduler(**settings, **more), seed=seed)
    chance = Random(seed)

    def score(name: str, t: int) -> float:
        drawn = Random(f"{seed}/{name}/{t}").randint(0, 9)
        return math.nan if drawn == 9 else drawn / 10 + t / 100

    driver = Driver(scheduler, count, slots, score, chance)
    driver.run()
    return driver


@given(SETTINGS, st.integers(0, 40), st.integers(1, 6), st.integers(0, 10_000))
def test_every_run_ends_and_ends_every_trial(settings: dict, count: int, slots: int, seed: int) -> None:
    driver = play(settings, count, slots, seed)
    assert len(driver.ended) == count


@given(SETTINGS, st.integers(1, 40), st.integers(1, 6), st.integers(0, 10_000), st.integers(1, 2))
def test_told_again_up_to_any_point_it_decides_the_same_from_there(
    settings: dict, count: int, slots: int, seed: int, brackets: int
) -> None:
    settings = {**settings, "max_t": settings["max_t"] + 4}
    driver = play(settings, count, slots, seed, brackets=brackets)
    resumed_at = Random(seed).randrange(len(driver.history))
    again = bound(ASHAScheduler(**settings, brackets=brackets), seed=seed)
    for index, told in enumerate(driver.history):
        if index < resumed_at and told.hook == "choose_trial_to_run":
            continue  # a resumed scheduler learns what was chosen from the starts
        answer = getattr(again, told.hook)(*told.arguments)
        if index >= resumed_at:
            assert answer == told.answer


@given(SETTINGS, st.integers(1, 40), st.integers(1, 6), st.integers(0, 10_000))
def test_whoever_is_promoted_is_among_the_best_of_its_rung(settings: dict, count: int, slots: int, seed: int) -> None:
    settings = {**settings, "type": "promotion"}
    driver = play(settings, count, slots, seed)
    milestones = milestones_below_max_t(settings)
    for moment, name in driver.starts_of_paused:
        rungs = naive_rungs(driver.history[:moment], milestones)
        its_own = max(milestone for milestone in milestones if name in rungs[milestone])
        assert name in best(rungs[its_own], settings["reduction_factor"])


@given(SETTINGS, st.integers(1, 30), st.integers(1, 6), st.integers(0, 10_000))
def test_a_new_trial_starts_only_when_the_paper_promotes_nobody(
    settings: dict, count: int, slots: int, seed: int
) -> None:
    settings = {**settings, "type": "promotion"}
    driver = play(settings, count, slots, seed)
    milestones = milestones_below_max_t(settings)
    for moment, told in enumerate(driver.history):
        if told.hook == "choose_trial_to_run":
            rungs = naive_rungs(driver.history[:moment], milestones)
            expected = algorithm_2(rungs, set(told.arguments[0].paused), settings["reduction_factor"])
            assert (told.answer if told.answer in told.arguments[0].paused else None) == expected


def milestones_below_max_t(settings: dict) -> list[float]:
    milestones = [1.0]
    while milestones[-1] * settings["reduction_factor"] < settings["max_t"]:
        milestones.append(milestones[-1] * settings["reduction_factor"])
    return milestones


def naive_rungs(history: list[Told], milestones: list[float]) -> dict[float, dict[str, float]]:
    """Milestone -> trial -> score, in the order they came."""
    rungs: dict[float, dict[str, float]] = {milestone: {} for milestone in milestones}
    for told in history:
        if told.hook != "on_trial_result" or "accuracy" not in told.arguments[1]:
            continue
        trial, result = told.arguments
        reached = [milestone for milestone in milestones if milestone <= result["training_iteration"]]
        if any(trial.trial_id in rungs[milestone] for milestone in milestones if milestone >= reached[-1]):
            continue
        value = result["accuracy"]
        rungs[reached[-1]][trial.trial_id] = -math.inf if math.isnan(value) else value
    return rungs


def best(rung: dict[str, float], eta: float) -> list[str]:
    """top_k of the paper, with k = |rung| / eta rounded down; sorting keeps the order of those that are equal."""
    return sorted(rung, key=lambda name: -rung[name])[: int(len(rung) / eta)]


def algorithm_2(rungs: dict[float, dict[str, float]], paused: set[str], eta: float) -> str | None:
    """The paper's get_job, as it is written there; None stands for a new configuration at the lowest rung."""
    above: set[str] = set()
    for milestone in sorted(rungs, reverse=True):
        for name in best(rungs[milestone], eta):
            if name in paused and name not in above:
                return name
        above |= set(rungs[milestone])
    return None


@pytest.mark.long
@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_deciding_costs_the_same_at_a_hundred_thousand_trials(kind: str) -> None:
    # The bound is loose, ten times what it takes on a busy machine: a scan over all trials would take milliseconds.
    # benchmarks/scheduler_decisions.py measures.
    scheduler = bound(ASHAScheduler(max_t=81, reduction_factor=3, type=kind))
    paused: dict[str, SimpleNamespace] = {}
    chance = Random(0)

    def one(number: int) -> None:
        trial = SimpleNamespace(trial_id=f"t{number}", config={})
        scheduler.on_trial_add(trial)
        scheduler.on_trial_start(trial)
        scheduler.on_trial_result(trial, {"accuracy": chance.random(), "training_iteration": 1})
        paused[trial.trial_id] = trial
        chosen = scheduler.choose_trial_to_run(SimpleNamespace(waiting={}, paused=paused))
        if chosen:
            scheduler.on_trial_start(paused.pop(chosen))

    for number in range(100_000):
        one(number)
    before = process_time()
    for number in range(100_000, 101_000):
        one(number)
    assert (process_time() - before) / 1000 < 500e-6
