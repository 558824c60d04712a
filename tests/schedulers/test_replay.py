"""A recorded schedule of configurations is followed, ours and Ray's."""

from __future__ import annotations

import json

import pytest

from schedulers import Continue, Exploit, PopulationBasedTrainingReplay
from tests.schedulers.driver import StubTrial, bound, report

STEPS = [(0, {"lr": 1}), (4, {"lr": 2}), (6, {"lr": 3})]


def test_the_configuration_changes_at_the_recorded_iterations() -> None:
    scheduler = bound(PopulationBasedTrainingReplay(STEPS))
    assert scheduler.complete_config("t0", {"lr": 9, "other": 0}) == {"lr": 1, "other": 0}
    trial = StubTrial("t0", {"lr": 1, "other": 0})
    scheduler.on_trial_add(trial)
    answers = {t: report(scheduler, trial, t, 0.5) for t in range(1, 9)}
    changed = {t: answer.config for t, answer in answers.items() if isinstance(answer, Exploit)}
    assert changed == {4: {"lr": 2, "other": 0}, 6: {"lr": 3, "other": 0}}
    assert answers[4] == Exploit("t0", {"lr": 2, "other": 0}, "as recorded at iteration 4")
    assert answers[5] == Continue()


def test_until_the_next_step_trials_report_freely() -> None:
    scheduler = bound(PopulationBasedTrainingReplay(STEPS))
    trial = StubTrial("t0")
    scheduler.on_trial_add(trial)
    assert scheduler.free_until(trial, 0) == 4
    report(scheduler, trial, 4, 0.5)
    assert scheduler.free_until(trial, 4) == 6
    report(scheduler, trial, 6, 0.5)
    assert scheduler.free_until(trial, 6) > 10**9


def test_of_rays_lines_the_chain_that_led_to_the_last_is_taken() -> None:
    lines = [
        json.dumps(["0", "7", 2, 2, {"lr": 0}, {"lr": 0.5}]),  # overwritten by the next: 0 copied 1
        json.dumps(["1", "2", 4, 5, {"lr": 1}, {"lr": 2}]),
        json.dumps(["0", "1", 8, 9, {"lr": 2}, {"lr": 3}]),
    ]
    assert PopulationBasedTrainingReplay(lines)._steps == [(0, {"lr": 1}), (5, {"lr": 2}), (9, {"lr": 3})]


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ([], "empty"),
        ([3], "3 is no pair"),
        ([(4, {}), (2, {})], "2 is no iteration from 4 on"),
        (["[1, 2]"], "no line of a pbt_policy file"),
    ],
)
def test_what_is_no_policy_is_shown(policy: list, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PopulationBasedTrainingReplay(policy)
