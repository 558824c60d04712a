"""What the head decides, by events: who is lost when, whose room is whose, and that nothing is held twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.cluster import wire
from executor.cluster.members import next_life
from executor.cluster.membership import Lease, Terms
from executor.cluster.names import NodeNames
from executor.cluster.protos import cluster as pb
from executor.cluster.sendings import Noted, Sending, ToAgent, ToDriver
from executor.cluster.state import HeadState, RefusedError
from executor.holdings import Holding
from executor.resources import Request, Resources

ONE = Request((Resources.of(cpu=1),))
TERMS = Terms(beat_s=1, lease_s=10, grace_s=2, driver_grace_s=60)


def a_head(epoch: int = 1, now: float = 0.0) -> HeadState:
    return HeadState("c", epoch, TERMS, now)


def agent(host: str, incarnation: str, cpus: float = 2, gpu: float = 0, **more: object) -> pb.AgentHello:
    capacity = wire.resources(Resources.of(cpu=cpus, gpu=gpu))
    return pb.AgentHello(host=host, incarnation=incarnation, capacity=capacity, **more)


def granted(sendings: Iterable[Sending]) -> Holding | None:
    (answer,) = (sending.message.answered for sending in sendings if isinstance(sending, ToDriver))
    return wire.holding_of(answer.holding) if answer.HasField("holding") else None


def messages(sendings: Iterable[Sending]) -> list[pb.ToAgent | pb.ToDriver]:
    return [sending.message for sending in sendings if not isinstance(sending, Noted)]


def kinds(sendings: Iterable[Sending]) -> list[str | None]:
    return [message.WhichOneof("what") for message in messages(sendings)]


def test_a_lease_counts_from_when_the_last_answered_beat_was_sent() -> None:
    lease = Lease(10, now=0)
    lease.sent(1, 3)
    lease.sent(2, 5)
    assert lease.ends_at() == 10
    lease.answered(1)
    assert lease.ends_at() == 13
    lease.answered(2)
    lease.answered(1)
    assert lease.ends_at() == 15


def test_where_no_head_runs_nobody_can_have_been_given_our_calls() -> None:
    lease = Lease(10, now=0)
    lease.refused(8)
    assert lease.ends_at() == 18


def test_an_agent_has_ended_its_calls_before_the_head_gives_them_to_others() -> None:
    lease, head = Lease(TERMS.lease_s, now=0), a_head()
    name, _ = head.agent_came(agent("a", "i"), now=0)
    lease.sent(1, 4.0)
    head.agent_spoke(name, 4.5)  # heard, but the answer is lost
    lost_at = next(now for now in range(100) if head.tick(float(now)) is not None and name not in head.agents)
    assert lease.ends_at() < lost_at


def test_a_silent_node_is_lost_and_its_drivers_are_told_why() -> None:
    head = a_head()
    head.driver_came(pb.DriverHello(driver="d"), 0)
    head.agent_came(agent("a", "i"), 0)
    told = []
    for second in range(1, 14):
        head.driver_spoke("d", second)
        told += head.tick(second)
    (lost,) = [message.lost for message in messages(told) if message.WhichOneof("what") == "lost"]
    assert (lost.name, lost.why) == ("a", "it was silent for 12 s")
    assert head.holdings.nodes() == ()


def test_what_happens_is_noted_and_waiting_for_room_is_not() -> None:
    head = a_head()
    head.agent_came(agent("a", "i", cpus=1), 0)
    for driver in ("d", "e"):
        head.driver_came(pb.DriverHello(driver=driver), 0)
    assert granted(head.asked("d", 1, ONE, 0)) is not None
    assert granted(head.asked("e", 2, ONE, 0)) is None
    told: list[Sending] = []
    for second in range(1, 62):
        if second <= 40:
            head.agent_spoke("a", second)
        head.driver_spoke("d", second)
        for sending in head.tick(second):
            told.append(sending)
            if kinds([sending]) == ["freed"]:
                head.driver_spoke("e", second)
                head.asked("e", 3, ONE, second)
    assert kinds(told).count("freed") > 5
    assert [one.text for one in told if isinstance(one, Noted)] == ["node a is gone: it was silent for 12 s"]


def test_when_the_head_itself_stood_still_nobody_is_lost_for_it() -> None:
    head = a_head()
    head.agent_came(agent("a", "i"), 0)
    head.tick(1)
    head.tick(1000)
    assert "a" in head.agents


def test_of_a_thousand_nodes_those_are_lost_that_fall_silent_and_no_others() -> None:
    head = a_head()
    head.driver_came(pb.DriverHello(driver="d"), 0)
    names = [head.agent_came(agent(f"host{number}", f"i{number}"), 0)[0] for number in range(1000)]
    held = [granted(head.asked("d", number, ONE, 0)) for number in range(2000)]
    assert None not in held
    silent = set(names[::7])
    lost: dict[str, int] = {}
    for second in range(1, 41):
        for name in names:
            if name not in silent:
                head.agent_spoke(name, second)
        head.driver_spoke("d", second)
        for message in messages(head.tick(second)):
            lost[message.lost.name] = second
    assert set(lost) == silent
    assert set(lost.values()) == {13}
    for holding in held:
        assert holding is not None
        head.given_back("d", holding.reservation.reservation_id, 41)
    assert head.holdings.free() == {name: Resources.of(cpu=2) for name in names if name not in silent}


def test_a_machine_that_comes_again_is_another_node() -> None:
    head = a_head()
    assert head.agent_came(agent("a", "first"), 0)[0] == "a"
    name, _ = head.agent_came(agent("a", "second", succeeds="first"), 1)
    assert (name, list(head.agents)) == ("a-2", ["a-2"])
    assert head.agent_came(agent("a", "second", name="a-2"), 2)[0] == "a-2", "after a broken connection it is the same"
    with pytest.raises(RefusedError, match="given up"):
        head.agent_came(agent("a", "first", name="a"), 3)


def test_a_node_is_lost_at_once_when_its_machine_says_that_its_agent_died() -> None:
    head = a_head()
    head.driver_came(pb.DriverHello(driver="d"), 0)
    head.agent_came(agent("a", "first"), 0)
    head.agent_came(agent("b", "other"), 0)
    assert kinds(head.agent_died("first", 1)) == ["lost"]
    assert list(head.agents) == ["b"]
    assert kinds(head.agent_died("first", 2)) == kinds(head.agent_died("", 2)) == []


def test_an_agent_that_went_on_as_another_is_known_by_the_process_that_died() -> None:
    head = a_head()
    again = next_life("first")
    head.agent_came(agent("a", "first"), 0)
    head.agent_came(agent("a", again, succeeds="first"), 1)
    head.agent_came(agent("a", next_life(again), succeeds=again), 2)
    assert list(head.agents) == ["a-3"]
    head.agent_died("first", 3)
    assert not head.agents


def test_an_agent_of_another_cluster_or_of_a_newer_head_is_refused() -> None:
    with pytest.raises(RefusedError, match="belongs to"):
        a_head().agent_came(agent("a", "i", cluster="other"), 0)
    with pytest.raises(RefusedError, match="older"):
        a_head(epoch=2).agent_came(agent("a", "i", highest_epoch=3), 0)


def test_the_room_of_a_driver_that_left_is_free_once_its_nodes_have_ended_its_calls() -> None:
    head = a_head()
    head.agent_came(agent("a", "i", cpus=1), 0)
    for driver in ("d", "e"):
        head.driver_came(pb.DriverHello(driver=driver), 0)
    assert granted(head.asked("d", 1, ONE, 0)) is not None
    assert granted(head.asked("e", 1, ONE, 0)) is None
    ends = head.driver_leaves("d", "done")
    assert [(type(end), kinds([end])) for end in ends] == [(Noted, []), (ToAgent, ["end"])]
    assert granted(head.asked("e", 2, ONE, 0)) is None
    assert kinds(head.session_ended("a", "d")) == ["freed"]
    assert granted(head.asked("e", 3, ONE, 0)) is not None


def test_a_driver_that_is_silent_for_its_grace_is_taken_for_gone() -> None:
    head = a_head()
    head.driver_came(pb.DriverHello(driver="d"), 0)
    for second in range(1, 62):
        head.tick(second)
    assert "d" not in head.drivers


def test_all_who_have_room_on_a_node_are_told_that_it_is_back_also_those_that_it_has_not_heard_of_yet() -> None:
    head = a_head()
    hello = agent("a", "i", cpus=2, name="a", cluster="c")
    head.agent_came(agent("a", "i", cpus=2), 0)
    for driver in ("d", "e", "f"):
        head.driver_came(pb.DriverHello(driver=driver), 0)
    for driver in ("d", "e"):
        assert granted(head.asked(driver, 1, ONE, 0)) is not None
    hello.drivers.append("e")
    _, told = head.agent_came(hello, 1)
    assert kinds(told) == ["back", "back"]
    assert [one.driver for one in told if isinstance(one, ToDriver)] == ["d", "e"]


def test_a_driver_whose_calls_were_ended_is_not_taken_in_again() -> None:
    head = a_head()
    head.agent_came(agent("a", "i", cpus=1), 0)
    for driver in ("d", "e"):
        head.driver_came(pb.DriverHello(driver=driver), 0)
    held = granted(head.asked("d", 1, ONE, 0))
    assert held is not None
    again = pb.DriverHello(driver="d", holdings=[wire.holding(held)], nodes=["a"])
    head.driver_leaves("d", "it was silent for too long")
    with pytest.raises(RefusedError, match="its calls were ended"):
        head.driver_came(again, 1)
    head.session_ended("a", "d")
    assert granted(head.asked("e", 1, ONE, 2)) is not None
    with pytest.raises(RefusedError, match="its calls were ended"):
        head.driver_came(again, 3)


def test_a_driver_of_which_a_node_still_has_calls_is_taken_in_however_late_it_comes_to_a_new_head() -> None:
    before = a_head()
    before.agent_came(agent("a", "i", cpus=1), 0)
    before.driver_came(pb.DriverHello(driver="d"), 0)
    held = granted(before.asked("d", 1, ONE, 0))
    assert held is not None
    head = a_head(epoch=2)
    head.agent_came(agent("a", "i", cpus=1, name="a", drivers=["d"], cluster="c"), 11)
    hello = pb.DriverHello(driver="d", holdings=[wire.holding(held)], nodes=["a"], peers=["e"])
    assert kinds(head.driver_came(hello, 61)) == ["welcome", "back"]


def test_a_new_head_gives_nothing_away_until_it_knows_what_is_held() -> None:
    before = a_head()
    before.agent_came(agent("a", "i", cpus=1), 0)
    before.driver_came(pb.DriverHello(driver="d"), 0)
    held = granted(before.asked("d", 1, ONE, 0))
    assert held is not None
    head = a_head(epoch=2)
    head.driver_came(pb.DriverHello(driver="e"), 0)
    assert granted(head.asked("e", 1, ONE, 0)) is None, "no node is there, and yet it is not said to be for ever"
    assert head.agent_came(agent("a", "i", cpus=1, name="a", drivers=["d"], cluster="c"), 1)[0] == "a"
    assert granted(head.asked("e", 2, ONE, 1)) is None, "somebody holds something there"
    head.driver_came(pb.DriverHello(driver="d", holdings=[wire.holding(held)], nodes=["a"]), 2)
    assert granted(head.asked("e", 3, ONE, 2)) is None
    head.given_back("d", held.reservation.reservation_id, 3)
    assert granted(head.asked("e", 4, ONE, 3)) is not None


def test_a_node_that_only_drivers_remember_is_awaited_and_then_lost() -> None:
    head = a_head(epoch=2)
    head.driver_came(pb.DriverHello(driver="d", nodes=["gone"]), 0)
    told = []
    for second in range(1, 14):
        head.driver_spoke("d", second)
        told += head.tick(second)
    assert "lost" in kinds(told)


def test_room_that_a_driver_does_not_know_to_have_is_free_when_it_comes_back() -> None:
    head = a_head()
    head.agent_came(agent("a", "i", cpus=2), 0)
    head.driver_came(pb.DriverHello(driver="d"), 0)
    known = granted(head.asked("d", 1, ONE, 0))
    assert known is not None
    head.asked("d", 2, ONE, 0)  # and the answer is lost with the connection
    head.driver_came(pb.DriverHello(driver="d", holdings=[wire.holding(known)], nodes=["a"]), 1)
    assert granted(head.asked("d", 3, ONE, 1)) is not None
    assert granted(head.asked("d", 4, ONE, 1)) is None


def test_nothing_is_given_on_a_node_that_is_drained() -> None:
    head = a_head()
    head.agent_came(agent("a", "i"), 0)
    head.agent_came(agent("b", "j"), 0)
    head.driver_came(pb.DriverHello(driver="d"), 0)
    assert kinds(head.drain("a", 60, 0)) == ["drain", "draining"]
    held = [granted(head.asked("d", number, ONE, 0)) for number in range(2)]
    assert [one and one.reservation.nodes for one in held] == [("b",), ("b",)]
    assert granted(head.asked("d", 3, ONE, 0)) is None


def drained_under(driver: str, *, deadline_s: float) -> tuple[HeadState, Holding]:
    """A head whose only node is drained while a driver holds room there."""
    head = a_head()
    head.agent_came(agent("a", "i"), 0)
    head.driver_came(pb.DriverHello(driver=driver), 0)
    held = granted(head.asked(driver, 1, ONE, 0))
    assert held is not None
    head.drain("a", deadline_s, 0)
    return head, held


def test_a_drained_node_is_empty_once_the_last_driver_has_given_its_room_back() -> None:
    head, held = drained_under("d", deadline_s=0)
    assert (head.reservations_on("a"), head.is_empty("a")) == (1, False)
    head.given_back("d", held.reservation.reservation_id, 1)
    assert (head.reservations_on("a"), head.is_empty("a")) == (0, True)


def test_what_runs_on_a_drained_node_at_its_deadline_is_ended_and_only_then() -> None:
    head, _ = drained_under("d", deadline_s=8)
    head.agent_spoke("a", 7)
    assert kinds(head.tick(7.9)) == []
    assert kinds(head.tick(8)) == ["end", "lost"]
    assert kinds(head.tick(9)) == []
    assert "a" in head.agents


def test_a_node_without_a_deadline_is_drained_for_as_long_as_it_takes() -> None:
    head, _ = drained_under("d", deadline_s=0)
    for second in range(50):
        head.agent_spoke("a", second)
        head.driver_spoke("d", second)
        assert kinds(head.tick(second)) == []


def test_a_driver_that_was_away_is_told_what_is_drained_when_it_comes_back() -> None:
    head, held = drained_under("d", deadline_s=0)
    hello = pb.DriverHello(driver="d", holdings=[wire.holding(held)], nodes=["a"])
    welcome = head.driver_came(hello, 1)[0].message.welcome
    assert ([one.name for one in welcome.draining], list(welcome.nodes)) == (["a"], [])


def test_a_driver_that_was_away_is_told_that_a_node_has_ended_its_calls_and_keeps_the_others() -> None:
    head, held = drained_under("d", deadline_s=8)
    head.agent_spoke("a", 7)
    head.tick(8)
    head.session_ended("a", "d")
    hello = pb.DriverHello(driver="d", holdings=[wire.holding(held)], nodes=["a"])
    welcome = head.driver_came(hello, 9)[0].message.welcome
    assert [one.name for one in welcome.lost] == ["a"]
    assert "drained" in welcome.lost[0].why


def test_a_driver_keeps_the_nodes_that_it_speaks_to_and_has_no_room_on_yet() -> None:
    head = a_head()
    head.agent_came(agent("a", "i"), 0)
    head.driver_came(pb.DriverHello(driver="d"), 0)
    welcome = head.driver_came(pb.DriverHello(driver="d", nodes=["a"]), 1)[0].message.welcome
    assert (list(welcome.lost), [one.name for one in welcome.nodes]) == ([], ["a"])


def test_a_head_that_starts_again_goes_on_draining() -> None:
    head = a_head(epoch=2)
    head.driver_came(pb.DriverHello(driver="d"), 0)
    told = head.agent_came(agent("a", "i", name="a", drain=pb.Drain(deadline_s=5)), 0)[1]
    assert "joined" not in kinds(told)
    assert granted(head.asked("d", 1, ONE, 0)) is None
    assert head.agents["a"].ends_calls_at == 5


def test_a_controller_that_is_started_again_ends_what_is_left_of_the_process_before_it() -> None:
    head = a_head()
    head.agent_came(agent("a", "i", cpus=1), 0)
    for driver in ("before@e", "beside@f", "attached"):
        head.driver_came(pb.DriverHello(driver=driver), 0)
    assert granted(head.asked("before@e", 1, ONE, 0)) is not None
    sendings = head.driver_came(pb.DriverHello(driver="after@e"), 1)
    assert [one.end.driver for one in messages(sendings) if one.WhichOneof("what") == "end"] == ["before@e"]
    head.session_ended("a", "before@e")
    assert granted(head.asked("after@e", 1, ONE, 1)) is not None
    assert sorted(head.drivers) == ["after@e", "attached", "beside@f"]


@pytest.mark.parametrize("agent_first", [True, False])
def test_so_it_does_when_the_head_was_started_again_too(agent_first: bool) -> None:
    head = a_head(epoch=2)
    comes = [
        lambda: head.agent_came(agent("a", "i", cpus=1, name="a", drivers=["before@e"]), 0)[1],
        lambda: head.driver_came(pb.DriverHello(driver="after@e"), 0),
    ]
    told = [sending for come in (comes if agent_first else reversed(comes)) for sending in come()]
    assert [one.end.driver for one in messages(told) if one.WhichOneof("what") == "end"] == ["before@e"]
    assert granted(head.asked("after@e", 1, ONE, 1)) is None, "what is left has not ended yet"
    head.session_ended("a", "before@e")
    assert granted(head.asked("after@e", 2, ONE, 1)) is not None


def test_who_wrote_to_a_driver_is_told_when_it_comes_back_and_when_it_is_no_more() -> None:
    head = a_head()
    for driver in ("d", "e"):
        head.driver_came(pb.DriverHello(driver=driver), 0)
    head.wrote("d", "e")
    assert kinds(head.tick(1)) == []
    back = [one for one in head.driver_came(pb.DriverHello(driver="e"), 2) if isinstance(one, ToDriver)]
    assert [(one.driver, one.message.driver_back.driver) for one in back[1:]] == [("d", "e")]
    (left,) = [one for one in head.driver_leaves("e", "it has left") if isinstance(one, ToDriver)]
    assert (left.driver, left.message.driver_left.driver) == ("d", "e")
    assert kinds(head.tick(3)) == []
    head.wrote("d", "e")
    assert kinds(head.tick(4)) == ["driver_left"]


def test_who_comes_back_after_it_was_given_up_is_told_first_that_those_it_wrote_to_are_gone() -> None:
    head = a_head()
    for driver in ("d", "e"):
        head.driver_came(pb.DriverHello(driver=driver), 0)
    head.wrote("d", "e")
    head.driver_leaves("d", "it was silent for too long")
    assert kinds(head.driver_came(pb.DriverHello(driver="d", peers=["e"]), 1)) == ["driver_left", "welcome"]
    assert kinds(head.driver_leaves("e", "it has left")) == []


def test_a_new_head_says_that_a_driver_is_no_more_only_once_it_could_have_come_back() -> None:
    head = a_head(epoch=2)
    head.driver_came(pb.DriverHello(driver="d", peers=["e", "f"]), 0)
    assert kinds(head.tick(1)) == []
    assert kinds(head.driver_came(pb.DriverHello(driver="e"), 2)) == ["welcome", "driver_back"]
    for second in range(3, 62):
        for driver in ("d", "e"):
            head.driver_spoke(driver, second)
        told = head.tick(second)
        assert [one.driver_left.driver for one in messages(told)] == (["f"] if second == 60 else [])
    head.wrote("d", "e")
    assert "driver_left" in kinds(head.driver_leaves("e", "it has left"))


def test_a_node_that_stopped_in_good_order_has_its_name_again_once_nobody_knows_it_as_lost() -> None:
    head = a_head()
    head.driver_came(pb.DriverHello(driver="d"), 0)
    head.agent_came(agent("a", "first"), 0)
    head.agent_leaves("a", 1)
    assert head.agent_came(agent("a", "second"), 2)[0] == "a-2", "d was told that a is lost"
    head.driver_leaves("d", "it is done")
    head.agent_leaves("a-2", 3)
    assert [head.agent_came(agent("a", life), 4)[0] for life in ("third", "fourth")] == ["a", "a-2"]
    assert head.agent_came(agent("a", "fifth"), 5)[0] == "a-3"


def test_a_node_that_was_lost_does_not_have_its_name_again() -> None:
    head = a_head()
    head.agent_came(agent("a", "first"), 0)
    head.lose("a", "silent", 1)
    assert head.agent_came(agent("a", "second"), 2)[0] == "a-2"


def test_the_next_head_gives_names_again_that_nobody_knows_any_more() -> None:
    head = a_head()
    head.agent_came(agent("a", "first"), 0)
    head.agent_came(agent("b", "other"), 0)
    head.agent_leaves("a", 1)
    head.driver_came(pb.DriverHello(driver="d"), 1)
    head.agent_leaves("b", 2)
    names = NodeNames(head.names.counts, head.names.free(head.drivers))
    following = HeadState("c", 2, TERMS, 3, names)
    assert [following.agent_came(agent(host, "again"), 3)[0] for host in "ab"] == ["a", "b-2"], "d knows that b is lost"


@pytest.mark.fault("F27")
def test_a_gpu_that_is_lost_is_not_given_again_until_it_is_there_and_others_are() -> None:
    head, one = a_head(), Request((Resources.of(gpu=1),))
    head.driver_came(pb.DriverHello(driver="d"), 0)
    for name in ("a", "b"):
        head.agent_came(agent(name, name, gpus=["0", "1"], gpu=2), 0)
    first = granted(head.asked("d", 1, one, 0))
    assert first is not None
    (node,) = first.reservation.nodes
    head.gpus_lost(node, ["0", "1"], 1)
    assert head.holdings.free()[node]["gpu"] == 0
    others = [granted(head.asked("d", number, one, 1)) for number in (2, 3)]
    assert [node in other.reservation.nodes for other in others if other] == [False, False]
    head.given_back("d", first.reservation.reservation_id, 2)
    assert granted(head.asked("d", 4, one, 2)) is None, "what comes back of it is not given either"
    assert kinds(head.gpus_lost(node, ["1"], 3)) == ["freed"]
    again = granted(head.asked("d", 5, one, 3))
    assert again is not None
    assert (again.reservation.nodes, again.gpus) == ((node,), ((("0", 10_000),),))
    head.gpus_lost(node, [], 4)
    for holding in [again, *others]:
        assert holding is not None
        head.given_back("d", holding.reservation.reservation_id, 5)
    assert head.holdings.free() == {name: Resources.of(cpu=2, gpu=2) for name in ("a", "b")}


@pytest.mark.fault("F27")
def test_a_new_head_takes_back_who_holds_a_gpu_that_is_lost_meanwhile() -> None:
    head, one = a_head(), Request((Resources.of(gpu=1),))
    head.driver_came(pb.DriverHello(driver="d"), 0)
    head.agent_came(agent("a", "i", gpus=["0"], gpu=1), 0)
    held = granted(head.asked("d", 1, one, 0))
    assert held is not None
    following = a_head(epoch=2)
    following.agent_came(agent("a", "i", name="a", drivers=["d"], gpus=["0"], gpu=1), 1)
    following.gpus_lost("a", ["0"], 1)
    following.driver_came(pb.DriverHello(driver="d", holdings=[wire.holding(held)], nodes=["a"]), 2)
    following.given_back("d", held.reservation.reservation_id, 3)
    assert granted(following.asked("d", 2, one, 3)) is None
    following.gpus_lost("a", [], 4)
    assert granted(following.asked("d", 3, one, 4)) is not None


@pytest.mark.fault("F40")
def test_a_thousand_nodes_that_come_back_at_once_keep_their_names_and_what_they_hold() -> None:
    names = [f"n{number}" for number in range(1_000)]
    before = a_head()
    before.driver_came(pb.DriverHello(driver="d"), 0)
    for name in names:
        before.agent_came(agent(name, name, cpus=1), 0)
    held = [granted(before.asked("d", number, ONE, 0)) for number in range(1, 1_001)]
    holdings = [wire.holding(one) for one in held if one is not None]
    after = a_head(epoch=2, now=100)
    comes: list[Callable[[], object]] = [
        lambda: after.driver_came(pb.DriverHello(driver="d", holdings=holdings, nodes=names), 100),
        *(partial(after.agent_came, agent(name, name, 1, name=name, drivers=["d"]), 100) for name in names),
    ]
    random.Random(0).shuffle(comes)
    for come in comes:
        come()
    assert (len(holdings), sorted(after.agents)) == (1_000, sorted(names))
    assert after.tick(101) == []
    after.driver_came(pb.DriverHello(driver="other"), 101)
    assert granted(after.asked("other", 1, ONE, 101)) is None, "all of it is held"
    after.given_back("d", holdings[0].reservation_id, 101)
    assert granted(after.asked("other", 2, ONE, 101)) is not None


class Crowd:
    """Nodes and drivers that come, go, take and give back by chance; knows itself who holds what."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.head = a_head()
        self.held: dict[str, dict[int, Holding]] = {}
        self._steps = 0

    def step(self) -> None:
        self._steps += 1
        actions = [self.node_comes, self.node_is_lost, self.driver_comes, self.driver_leaves, self.gives_back]
        self.chance.choice([*actions, self.takes, self.takes, self.takes])()

    def node_comes(self) -> None:
        hello = agent(self.chance.choice("abc"), f"i{self._steps}", cpus=self.chance.randrange(1, 4))
        self.head.agent_came(hello, self._steps)

    def node_is_lost(self) -> None:
        if self.head.agents:
            self.head.lose(self.chance.choice(list(self.head.agents)), "chance", self._steps)

    def driver_comes(self) -> None:
        name = f"d{self._steps}"
        self.head.driver_came(pb.DriverHello(driver=name, priority=self.chance.randrange(2)), self._steps)
        self.held[name] = {}

    def driver_leaves(self) -> None:
        if self.held:
            self.leave(self.chance.choice(list(self.held)))

    def leave(self, driver: str) -> None:
        del self.held[driver]
        for sending in self.head.driver_leaves(driver, "chance"):
            if isinstance(sending, ToAgent):
                self.head.session_ended(sending.name, driver)

    def gives_back(self) -> None:
        holders = [driver for driver, holdings in self.held.items() if holdings]
        if holders:
            driver = self.chance.choice(holders)
            reservation = self.chance.choice(list(self.held[driver]))
            del self.held[driver][reservation]
            self.head.given_back(driver, reservation, self._steps)

    def takes(self) -> None:
        if self.held:
            driver = self.chance.choice(list(self.held))
            bundles = (Resources.of(cpu=self.chance.randrange(1, 3)),) * self.chance.randrange(1, 3)
            holding = granted(self.head.asked(driver, self._steps, Request(bundles), self._steps))
            if holding is not None:
                self.held[driver][holding.reservation.reservation_id] = holding

    def check(self) -> None:
        used: dict[str, Resources] = {}
        for holding in (one for holdings in self.held.values() for one in holdings.values()):
            reservation = holding.reservation
            for bundle, node in zip(reservation.request.bundles, reservation.nodes, strict=True):
                used[node] = used.get(node, Resources()) + bundle
        free = self.head.holdings.free()
        for node in self.head.holdings.nodes():
            assert used.get(node.name, Resources()) + free[node.name] == node.capacity


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_room_is_never_held_twice_and_all_of_it_comes_back(chance: random.Random) -> None:
    crowd = Crowd(chance)
    for _ in range(chance.randrange(80)):
        crowd.step()
        crowd.check()
    for driver in list(crowd.held):
        crowd.leave(driver)
    crowd.check()
