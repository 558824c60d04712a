"""Which of a trial's checkpoints may go."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.machine import retention
from tune.machine.events import CheckpointRef
from tune.machine.hoard import Hoard
from tune.machine.plan import Plan, Retention
from tune.machine.totals import Point, Totals
from tune.machine.trial import Trial


def trial_with(*scores: float) -> Trial:
    refs = [CheckpointRef(f"checkpoints/t0/{at}", at) for at in range(1, len(scores) + 1)]
    return Trial(
        0,
        "t0",
        {},
        checkpoints=refs,
        points={ref.path: Point(Totals(), score) for ref, score in zip(refs, scores, strict=True)},
    )


def kept(keep: int | None, *scores: float) -> list[int]:
    trial = trial_with(*scores)
    gone = retention.superfluous(Plan(retention=Retention(num_to_keep=keep)), trial)
    return [ref.iteration for ref in trial.checkpoints if ref not in gone]


@pytest.mark.parametrize(
    ("keep", "scores", "expected"),
    [
        (None, (1, 2, 3), [1, 2, 3]),
        (1, (3, 2, 1), [3]),
        (2, (3, 2, 1), [1, 3]),
        (2, (1, 2, 3), [2, 3]),
        (2, (2, 2, 1), [2, 3]),
        (3, (1, 3, 2, 0), [2, 3, 4]),
        (2, (-math.inf, 1, -math.inf), [2, 3]),
        (2, (-math.inf, -math.inf, -math.inf), [2, 3]),
        (5, (1, 2), [1, 2]),
    ],
)
def test_the_latest_and_the_best_are_kept(keep: int | None, scores: tuple[float, ...], expected: list[int]) -> None:
    assert kept(keep, *scores) == expected


@given(st.integers(1, 5), st.lists(st.floats(allow_nan=False), min_size=1, max_size=9))
def test_whatever_the_scores_the_latest_and_the_best_of_the_others_stay(keep: int, scores: list[float]) -> None:
    stay = kept(keep, *scores)
    assert len(stay) == min(keep, len(scores))
    assert stay[-1] == len(scores)
    worst_kept = min((scores[at - 1] for at in stay[:-1]), default=math.inf)
    assert all(score <= worst_kept for at, score in enumerate(scores[:-1], 1) if at not in stay) or keep == 1


@pytest.mark.parametrize(
    ("mode", "value", "merit"),
    [
        ("min", 2.0, -2.0),
        ("max", 2.0, 2.0),
        ("max", 3, 3),
        ("min", math.nan, -math.inf),
        ("max", math.inf, -math.inf),
        ("min", -math.inf, -math.inf),
        ("min", "low", -math.inf),
        ("min", None, -math.inf),
        ("max", 10**400, -math.inf),
    ],
)
def test_merit_grows_with_goodness_and_is_least_for_what_is_no_finite_number(mode, value, merit) -> None:
    assert retention.merit(Plan(metrics=("loss",), modes=(mode,)), {"loss": value}) == merit


def test_without_a_metric_all_are_alike() -> None:
    assert retention.merit(Plan(), {"loss": 1.0}) == -math.inf
    assert retention.score(Plan(), {"loss": 1.0}) == -math.inf


@pytest.mark.parametrize(("order", "score"), [("max", 0.9), ("min", -0.9)])
def test_checkpoints_may_be_kept_by_an_attribute_of_their_own(order: str, score: float) -> None:
    plan = Plan(("loss",), ("min",), retention=Retention(score_attribute="accuracy", score_order=order))
    assert retention.score(plan, {"loss": 1.0, "accuracy": 0.9}) == score
    assert retention.score(plan, {"loss": 1.0}) == -math.inf


def test_offers_withdrawn_take_no_room_and_those_that_stand_go_worst_first() -> None:
    hoard = Hoard(limit=0, bytes=1)
    refs = [CheckpointRef(f"checkpoints/t0/{number}-1", number) for number in range(1000)]
    for number, one in enumerate(refs):
        hoard.offer("t0", one, score=-number)
        if number % 100:
            hoard.withdraw("t0", one)
    assert len(hoard._offers) <= 2 * 10
    going = iter(hoard.next_to_go, None)
    assert [offer.checkpoint.iteration for offer in going] == list(range(900, -1, -100))
