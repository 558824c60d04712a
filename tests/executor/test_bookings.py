"""Reservations over nodes are settled once no node has anything of them, however nodes and their caller end."""

from __future__ import annotations

from executor.holdings import Holding
from executor.hosting.bookings import Bookings
from executor.hosting.messages import Free
from executor.hosting.questions import Questions
from executor.messages import Reservation
from executor.resources import Request, Resources

ONE = Resources.of(cpu=1)
PAIR = Holding(Reservation(7, Request((ONE, ONE), "SPREAD"), ("a", "b")), (None, None))


def booked() -> Bookings:
    bookings = Bookings()
    bookings.book(PAIR)
    return bookings


def test_room_that_was_released_is_settled_by_the_last_node_that_frees_it() -> None:
    bookings = booked()
    assert bookings.release(7) == ({"a": Free(7), "b": Free(7)}, None)
    assert bookings.release(7) == ({}, None), "each node is told once"
    assert [bookings.freed(node, 7) for node in ("a", "a", "b")] == [None, None, PAIR]
    assert bookings.holdings() == []


def test_a_lost_node_is_not_waited_for() -> None:
    bookings = booked()
    bookings.release(7)
    assert bookings.freed("a", 7) is None
    assert bookings.lose("b") == [PAIR]


def test_room_whose_nodes_are_all_lost_stays_booked_until_it_is_released() -> None:
    bookings = booked()
    assert [bookings.lose(node) for node in ("a", "b")] == [[], []]
    assert bookings.holdings() == [PAIR]
    assert not bookings.is_on("a")
    assert bookings.release(7) == ({}, PAIR)


def test_an_answer_that_comes_too_late_is_nobodys() -> None:
    questions: Questions[str] = Questions()
    early, late, hopeless = questions.open(), questions.open(), questions.open()
    assert questions.answer(early.number, "yes")
    assert questions.wait(early, 0) == "yes"
    assert questions.wait(late, 0) is None
    assert not questions.answer(late.number, "yes")
    questions.give_up()
    assert questions.wait(hopeless, 60) is None
