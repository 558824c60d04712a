"""No world breaks an invariant: whole experiments in virtual time, in which all goes wrong that a seed says."""

from __future__ import annotations

import pytest

from tests.worlds.play import play
from tests.worlds.sweep import Sweep, sweep, sweep_in_parallel
from tests.worlds.world import Mishap, draw

SAMPLE = range(2_000)
ALL = range(100_000)


def complain_of(found: Sweep) -> None:
    print(found)
    if found.findings:
        pytest.fail("\n\n\n".join(map(str, found.findings)), pytrace=False)


@pytest.mark.fault("F1", "F2", "F3", "F4", "F5", "F8", "F12", "F13", "F15", "F16", "F28", "F29", "F30", "F31")
@pytest.mark.timeout(600)
def test_no_world_of_the_sample_breaks_an_invariant() -> None:
    complain_of(sweep(SAMPLE))


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_no_world_breaks_an_invariant() -> None:
    for found in sweep_in_parallel(ALL):
        if found.findings:
            break
    complain_of(found)


def test_all_that_may_go_wrong_does_in_the_sample() -> None:
    met = {move.mishap for seed in range(300) for move in draw(seed).moves}
    assert met == set(Mishap)


def test_a_world_comes_to_the_same_whenever_it_is_played() -> None:
    for seed in (3, 14, 159):
        one, other = play(draw(seed)), play(draw(seed))
        assert list(map(repr, one.told)) == list(map(repr, other.told))
        assert one.rows == other.rows
