"""What models learn from when trials end more than once."""

from __future__ import annotations

import numpy
from hypothesis import given
from hypothesis import strategies as st

from searchers.observations import Observations


def test_one_that_ends_again_stands_where_it_ended_last() -> None:
    observations = Observations(1, 1)
    for name, unit in (("t0", 0.1), ("t1", 0.2)):
        observations.add(name, numpy.array([unit]))
        observations.complete(name, [unit])
    observations.complete("t0", [0.05])  # it was paused, and went on
    assert observations.history.units.tolist() == [[0.2], [0.1]]
    assert observations.history.losses.tolist() == [[0.2], [0.05]]
    assert [one.tolist() for one in observations.first(2)[:2]] == [[[0.1], [0.2]], [[0.1], [0.2]]]


def test_one_that_failed_counts_once_it_was_added_again_and_ended_well() -> None:
    observations = Observations(1, 1)
    observations.add("t0", numpy.array([0.1]))
    observations.complete("t0", None)
    observations.complete("t0", [1.0])  # nobody added it again
    assert not len(observations)
    observations.add("t0", numpy.array([0.1]))
    assert observations.is_running("t0")
    observations.complete("t0", [1.0])
    assert observations.history.losses.tolist() == [[1.0]]


def test_one_that_fails_after_a_pause_stands_where_it_paused() -> None:
    observations = Observations(1, 1)
    observations.add("t0", numpy.array([0.1]))
    observations.complete("t0", [1.0])
    observations.complete("t0", None)
    assert observations.history.losses.tolist() == [[1.0]]


def test_how_far_a_trial_breaks_its_constraints_is_what_it_exceeds_of_all_of_them() -> None:
    observations = Observations(1, 1, 2)
    for name, excesses in (("t0", [0.5, -1.0]), ("t1", [0.5, 0.25]), ("t2", [-0.5, 0.0])):
        observations.add(name, numpy.array([0.1]))
        observations.complete(name, [1.0], excesses)
    assert observations.history.violations.tolist() == [0.5, 0.75, 0.0]
    observations.complete("t0", [1.0], [-0.5, -1.0])  # the loss is the same, but now it keeps them
    assert observations.history.violations.tolist() == [0.75, 0.0, 0.0]


@given(ends=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=40))
def test_what_was_among_the_first_ends_never_changes(ends: list[tuple[int, int]]) -> None:
    observations, seen = Observations(1, 1), []
    for number in range(5):
        observations.add(f"t{number}", numpy.array([number / 10]))
    for number, loss in ends:
        observations.complete(f"t{number}", [loss])
        seen.append((len(observations), observations.history.units.tolist(), observations.history.losses.tolist()))
    for count, units, losses in seen:
        assert [one.tolist() for one in observations.first(count)[:2]] == [units, losses]
    assert len(observations.history.losses) == len({number for number, _ in ends})
