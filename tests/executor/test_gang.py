"""What becomes of a gang when its workers end, told as events and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from executor.gang import Gangs, log_of, ranks_of
from executor.messages import (
    Call,
    DeathCause,
    Died,
    Emitted,
    Event,
    Raised,
    Rank,
    RemoteError,
    Reservation,
    Returned,
    RoomFreed,
)
from executor.resources import Request

RANKS = [Rank(number, 3) for number in range(3)]
ERROR = RemoteError("EOFError", "", "Traceback of a loss\n", log_tail="its last words")
KILLED = DeathCause(signal="SIGKILL")


class Story:
    """A gang of three whose workers end as they are told to; `orders` are what the executor had to do to them."""

    def __init__(self, grace_s: float = 5.0) -> None:
        self.orders: list[tuple[str, int]] = []
        self._gangs = Gangs(
            lambda member, _: self.orders.append(("kill", self._members.index(member))),
            lambda member: self.orders.append(("cancel", self._members.index(member))),
            hearing_s=0.2,
        )
        self._members = self._gangs.open(Call("call", None, grace_s=grace_s), RANKS)
        self.gangs = self._gangs

    def happens(self, now: float, *endings: tuple[int, Returned | Raised | Died]) -> Sequence[Event]:
        """What is told of these ends, by rank."""
        return self._gangs.sift([replace(one, call_id=self._members[rank]) for rank, one in endings], now)


def returned(value: object = None) -> Returned:
    return Returned("", value)


def raised(error: RemoteError = ERROR) -> Raised:
    return Raised("", error)


def died(cause: DeathCause = KILLED) -> Died:
    return Died("", cause)


def ended_by_us() -> Died:
    return Died("", DeathCause(signal="SIGKILL", killed="another rank had ended"))


def test_a_death_ends_the_others_at_once() -> None:
    story = Story()
    assert story.happens(1.0, (1, died())) == []
    assert story.orders == [("kill", 0), ("kill", 2)]
    assert story.happens(1.1, (0, ended_by_us())) == []
    assert story.happens(1.2, (2, ended_by_us())) == [Died("call", replace(KILLED, rank=1))]
    assert len(story.gangs) == 0


def test_a_rank_whose_node_cannot_run_it_says_why_the_gang_ended() -> None:
    story, unfit = Story(), DeathCause(killed="node b: No module named 'torch'")
    assert story.happens(1.0, (1, died(unfit))) == []
    assert story.orders == [("kill", 0), ("kill", 2)]
    (ending,) = story.happens(1.1, (0, ended_by_us()), (2, raised()))
    assert ending == Died("call", replace(unfit, rank=1))
    assert str(ending.cause) == "rank 1: node b: No module named 'torch'"


def test_after_an_exception_the_others_are_listened_to_for_a_moment() -> None:
    story = Story()
    assert story.happens(1.0, (2, raised())) == []
    assert story.gangs.until() == 1.2
    assert story.happens(1.1) == []
    assert story.orders == []
    assert story.happens(1.2) == []
    assert story.orders == [("kill", 0), ("kill", 1)]
    assert story.gangs.until() is None
    (ending,) = story.happens(1.3, (0, ended_by_us()), (1, ended_by_us()))
    assert ending == Raised("call", replace(ERROR, rank=2, traceback="In rank 2 of 3:\nTraceback of a loss\n"))


def test_who_died_is_named_before_who_raised_for_it() -> None:
    story = Story()
    story.happens(1.0, (0, raised()))
    story.happens(1.1, (1, died()))
    assert story.orders == [("kill", 2)]
    assert story.happens(1.2, (2, ended_by_us())) == [Died("call", replace(KILLED, rank=1))]


def test_those_that_raised_together_are_all_shown() -> None:
    story = Story()
    other = RemoteError("ValueError", "a bad day", "Traceback of a cause\n")
    (ending,) = story.happens(1.0, (0, raised()), (1, raised(other)), (2, returned()))
    assert isinstance(ending, Raised)
    assert ending.error.traceback == "In rank 0 of 3:\nTraceback of a loss\n\nIn rank 1 of 3:\nTraceback of a cause\n"
    assert ending.error.log_tail == "its last words"


def test_a_mistake_of_all_is_shown_once() -> None:
    (ending,) = Story().happens(1.0, (1, raised()), (0, raised()), (2, raised(replace(ERROR, traceback="Another\n"))))
    assert isinstance(ending, Raised)
    assert ending.error.traceback == "In ranks 1, 0 of 3:\nTraceback of a loss\n\nIn rank 2 of 3:\nAnother\n"


def test_when_rank_0_returns_the_others_are_cancelled_and_ended_after_the_grace() -> None:
    story = Story(grace_s=3.0)
    assert story.happens(1.0, (0, returned("value"))) == []
    assert story.orders == [("cancel", 1), ("cancel", 2)]
    assert story.happens(2.0, (2, returned("ignored"))) == []
    assert story.gangs.until() == 4.0
    assert story.happens(4.0) == []
    assert story.orders[2:] == [("kill", 1)]
    assert story.happens(4.1, (1, ended_by_us())) == [Returned("call", "value")]


def test_who_fails_after_rank_0_has_returned_fails_the_call() -> None:
    story = Story()
    story.happens(1.0, (0, returned("value")), (1, returned()))
    (ending,) = story.happens(2.0, (2, died()))
    assert ending == Died("call", replace(KILLED, rank=2))


@pytest.mark.parametrize("end", [raised(), died()])
def test_once_asked_to_end_the_others_may_fail(end: Raised | Died) -> None:
    story = Story()
    story.gangs.ask("call")
    assert story.happens(1.0, (1, end)) == []
    assert story.gangs.until() is None
    assert story.orders == []
    story.happens(2.0, (0, returned("value")))
    assert story.happens(2.1, (2, end)) == [Returned("call", "value")]


def test_once_asked_to_end_rank_0_may_fail_for_all() -> None:
    story = Story()
    story.gangs.ask("call")
    story.happens(1.0, (0, raised()))
    story.happens(1.2)
    assert story.orders == [("kill", 1), ("kill", 2)]
    (ending,) = story.happens(1.3, (1, ended_by_us()), (2, ended_by_us()))
    assert isinstance(ending, Raised)
    assert ending.error.rank == 0


def test_what_is_of_no_gang_passes() -> None:
    story = Story()
    others = [Emitted("call", 1, "x"), Returned("another", 1), RoomFreed(), Died("a third", KILLED)]
    assert story.gangs.sift(others, 1.0) == others


@pytest.mark.parametrize(
    ("nodes", "local"),
    [(("a",), [(0, 1)]), (("a", "b", "a"), [(0, 2), (0, 1), (1, 2)])],
)
def test_ranks_count_on_each_node_by_themselves(nodes: tuple[str, ...], local: list[tuple[int, int]]) -> None:
    request = Request(Request().bundles * len(nodes), gang=True)
    ranks = ranks_of(Reservation(1, request, nodes))
    assert [rank.number for rank in ranks] == list(range(len(nodes)))
    assert [(rank.local_number, rank.local_size) for rank in ranks] == local
    assert ranks_of(Reservation(1, replace(request, gang=False), nodes)) == (Rank(),)


def test_each_rank_prints_into_a_log_of_its_own() -> None:
    assert [log_of("logs/t0.log", rank) for rank in RANKS[:2]] == ["logs/t0.log", "logs/t0.rank1.log"]
    assert log_of(None, RANKS[1]) is None
