"""Which requests need not be asked for again, by events."""

from __future__ import annotations

from executor.cluster.noroom import NoRoom
from executor.resources import Request, Resources

ONE, TWO = (Request((Resources.of(cpu=cpus),)) for cpus in (1, 2))


def test_what_was_refused_is_asked_for_again_once_there_may_be_more_room() -> None:
    known = NoRoom()
    known.refuse(ONE, (), known.changes, now=0)
    assert known.is_refused(ONE, (), now=0.4)
    known.change()
    assert not known.is_refused(ONE, (), now=0.4)


def test_a_refusal_that_was_overtaken_by_a_change_says_nothing() -> None:
    known = NoRoom()
    asked_after = known.changes
    known.change()
    known.refuse(ONE, (), asked_after, now=0)
    assert not known.is_refused(ONE, (), now=0)


def test_other_requests_and_other_nodes_are_asked_for() -> None:
    known = NoRoom()
    known.refuse(ONE, ("a", "b"), known.changes, now=0)
    assert known.is_refused(ONE, ["b", "a"], now=0)
    assert not known.is_refused(ONE, ("a",), now=0)
    assert not known.is_refused(TWO, ("a", "b"), now=0)


def test_after_half_a_second_it_is_asked_for_again_in_any_case() -> None:
    known = NoRoom()
    known.refuse(ONE, (), known.changes, now=0)
    assert not known.is_refused(ONE, (), now=0.5)
