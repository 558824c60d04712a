"""What is said in a session arrives whole, once and in order, whatever the connection loses."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.cluster.protos import cluster as pb
from executor.cluster.session import Session, Stretch
from executor.cluster.sessions import Sessions
from executor.cluster.talks import Talks
from executor.hosting.messages import Cancel, Free


class Connection:
    """Carries stretches both ways in order; when it breaks, what is on the way is lost."""

    def __init__(self) -> None:
        self.ends = (Session("s", piece_bytes=100, window_bytes=500), Session("s", piece_bytes=100, window_bytes=500))
        self.way: tuple[list[Stretch], list[Stretch]] = ([], [])
        self.heard: tuple[list[bytes], list[bytes]] = ([], [])

    def send(self, end: int, items: list[bytes]) -> None:
        self._put(end, self.ends[end].send(items))

    def deliver(self, end: int) -> None:
        """The next stretch arrives at `end`, which answers as it may."""
        if self.way[end]:
            stretch = self.way[end].pop(0)
            self.heard[end].extend(self.ends[end].take(stretch))
            self._put(end, self.ends[end].flow() or self.ends[end].acknowledgement())

    def break_and_mend(self) -> None:
        for end in (0, 1):
            self.way[end].clear()
        for end in (0, 1):
            self._put(end, self.ends[end].again())

    def settle(self) -> None:
        while self.way[0] or self.way[1]:
            for end in (0, 1):
                self.deliver(end)

    def _put(self, end: int, stretch: Stretch | None) -> None:
        if stretch is not None:
            self.way[1 - end].append(stretch)


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False))
def test_nothing_is_lost_or_told_twice_over_connections_that_break(chance: random.Random) -> None:
    connection = Connection()
    sent: tuple[list[bytes], list[bytes]] = ([], [])
    for number in range(chance.randrange(60)):
        end = chance.randrange(2)
        match chance.randrange(4):
            case 0 | 1:
                items = [b"%d" % number * chance.choice([1, 10, 700]) for _ in range(chance.randrange(3))]
                sent[end].extend(items)
                connection.send(end, items)
            case 2:
                connection.deliver(end)
            case _:
                connection.break_and_mend()
    connection.break_and_mend()
    connection.settle()
    assert (connection.heard[1], connection.heard[0]) == sent


def test_what_is_acknowledged_is_kept_no_longer() -> None:
    connection = Connection()
    for _ in range(200):
        connection.send(0, [b"x" * 100])
    connection.settle()
    if (last := connection.ends[1].acknowledgement(now=True)) is not None:
        connection.ends[0].take(last)
    assert connection.ends[0].kept_bytes == 0


def test_a_large_item_leaves_room_for_others_on_the_way() -> None:
    session = Session("s")
    stretch = session.send([bytes(100 * 2**20)])
    assert stretch is not None
    assert sum(map(len, stretch.items)) < 10 * 2**20
    assert session.flow() is None, "more only once something has arrived"


def test_an_end_that_has_missed_something_waits_until_it_is_said_again() -> None:
    session = Session("s")
    assert session.take(Stretch(3, 0, (b"\0third",))) == []
    assert session.take(Stretch(1, 0, (b"\0first", b"\0second", b"\0third"))) == [b"first", b"second", b"third"]
    assert session.take(Stretch(2, 0, (b"\0second", b"\0third", b"\0fourth"))) == [b"fourth"]


def test_what_is_said_together_goes_out_as_one_parcel_to_each_node() -> None:
    posted: list[pb.Parcel] = []
    talks = Talks("driver", posted.append)
    with talks.together():
        for node, call in (("a", "t0.1"), ("b", "t1.1"), ("a", "t2.1")):
            talks.send(node, Cancel(call))
        assert not posted
    talks.send("a", Cancel("t3.1"))
    told = [(parcel.node, parcel.first, len(parcel.items)) for parcel in posted]
    assert told == [("a", 1, 2), ("b", 1, 1), ("a", 3, 1)]


def test_a_session_is_over_that_its_node_has_known_and_knows_no_more() -> None:
    posted: list[pb.Parcel] = []
    talks = Talks("d", posted.append)
    talks.send("a", Free(1))
    over = pb.Parcel(driver="d", node="a", session=posted[0].session, over=True)
    assert not talks.is_over(over), "the node may not have heard yet that it begins"
    talks.hear(pb.Parcel(driver="d", node="a", session=posted[0].session, first=1, seen=1))
    assert talks.is_over(over)
    assert not talks.is_over(pb.Parcel(driver="d", node="a", session="another", over=True))
    talks.sessions.end("a")
    assert not talks.is_over(over)


def test_what_is_still_said_in_a_session_that_has_ended_is_not_heard() -> None:
    names: list[str] = []
    sessions = Sessions(lambda _, name, __: names.append(name))
    sessions.send("node", [b"order"])
    assert sessions.take("node", names[-1], Stretch(1, 1, (b"\0report",))) == [b"report"]
    assert sessions.end("node")
    assert sessions.take("node", names[-1], Stretch(2, 1, (b"\0late",))) == []
    sessions.send("node", [b"order"])
    assert names[0] != names[-1]
    assert sessions.take("node", names[0], Stretch(2, 1, (b"\0late",))) == []
    assert sessions.take("node", names[-1], Stretch(1, 1, (b"\0report",))) == [b"report"]


@pytest.mark.parametrize("may_begin", [False, True])
def test_a_peer_begins_a_session_where_it_may_and_only_by_what_comes_first(may_begin: bool) -> None:
    sessions = Sessions(lambda *_: None, may_begin=may_begin)
    for name in ("one", "anew"):
        assert sessions.take("peer", name, Stretch(2, 0, (b"\0second",))) == []
        heard = sessions.take("peer", name, Stretch(1, 0, (b"\0first", b"\0second")))
        assert heard == ([b"first", b"second"] if may_begin else [])
    assert sessions.peers() == (["peer"] if may_begin else [])
