"""Room that is asked for of a head which takes its time: nobody stands still for it, and none is kept without need."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import executor
from executor.errors import InfeasibleRequestError, TaskCancelledError
from executor.messages import Reservation
from executor.resources import Node, Request, Resources
from tests.executor.library.events import DEADLINE_S, holds
from tests.executor.library.two_nodes import Resident, where
from tests.executor.near_fleet import NearFleet


class SlowFleet(NearFleet):
    """Two nodes of one cpu each, whose books answer when a test lets them."""

    def __init__(self) -> None:
        super().__init__([Node(name, Resources.of(cpu=1)) for name in "ab"])
        self.may_answer = threading.Event()
        self.may_tell = threading.Event()
        self.may_tell.set()
        self.asked = threading.Event()
        self.last: Reservation | None = None
        self.wrong = ""

    def reserve(self, request: Request, avoid: Collection[str] = ()) -> Reservation | None:
        if self.wrong:
            raise ConnectionError(self.wrong)
        self.last = super().reserve(request, avoid)
        self.asked.set()
        self.may_answer.wait()
        return self.last

    def free(self) -> Resources:
        self.asked.set()
        self.may_tell.wait()
        return super().free()


@pytest.fixture
def fleet() -> Iterator[SlowFleet]:
    """The library open on such nodes, and their books silent."""
    found = SlowFleet()
    executor.init(found, log_to_driver=False)
    yield found
    found.may_answer.set()
    found.may_tell.set()
    executor.shutdown()


def test_all_goes_on_while_the_head_is_silent(fleet: SlowFleet) -> None:
    fleet.may_answer.set()
    resident = Resident.remote()
    assert executor.get(resident.pid.remote()) != os.getpid()
    fleet.may_answer.clear()
    fleet.asked.clear()
    ref = where.remote()
    assert fleet.asked.wait(20)
    assert executor.get(resident.pid.remote()) == executor.get(resident.pid.remote())
    assert executor.wait([ref], timeout=0) == ([], [ref])
    fleet.may_answer.set()
    assert executor.get(ref) in ("a", "b")


def test_all_goes_on_while_the_head_does_not_say_what_is_free(fleet: SlowFleet) -> None:
    fleet.may_answer.set()
    resident = Resident.remote()
    assert executor.get(resident.pid.remote()) != os.getpid()
    fleet.may_tell.clear()
    fleet.asked.clear()
    with ThreadPoolExecutor(1) as aside:
        told = aside.submit(executor.available_resources)
        try:
            assert fleet.asked.wait(20)
            assert executor.get(resident.pid.remote(), timeout=DEADLINE_S) != os.getpid()
        finally:
            fleet.may_tell.set()
        assert told.result(DEADLINE_S) == {"CPU": 2.0}


def test_who_waits_is_told_of_books_that_cannot_be_read_and_they_are_asked_again(fleet: SlowFleet) -> None:
    fleet.may_answer.set()
    fleet.wrong = "the engine is away"
    with pytest.raises(InfeasibleRequestError, match="the engine is away"):
        executor.get(where.remote(), timeout=DEADLINE_S)
    fleet.wrong = ""
    assert executor.get(where.remote(), timeout=DEADLINE_S) in ("a", "b")


def test_room_that_nobody_needs_any_more_when_it_comes_is_given_back(fleet: SlowFleet) -> None:
    ref = where.remote()
    assert fleet.asked.wait(20)
    executor.cancel(ref)
    with pytest.raises(TaskCancelledError):
        executor.get(ref)
    fleet.may_answer.set()
    holds(lambda: executor.available_resources() == {"CPU": 2.0}, "all is free")


def test_what_waits_in_a_group_that_no_node_can_hold_any_more_is_told_so(fleet: SlowFleet) -> None:
    fleet.may_answer.set()
    blocker = Resident.options(num_cpus=1).remote()
    lost = {"a": "b", "b": "a"}[executor.get(blocker.node.remote())]
    group = executor.placement_group([{"CPU": 1}] * 2, "STRICT_SPREAD")
    resident = Resident.options(num_cpus=1, placement_group=group).remote()
    refs = [group.ready(), where.options(placement_group=group).remote(), resident.node.remote()]
    assert executor.wait(refs, timeout=0) == ([], refs)
    fleet.cut(lost)
    for ref in refs:
        with pytest.raises(InfeasibleRequestError, match="STRICT_SPREAD asks for 2 different nodes"):
            executor.get(ref, timeout=DEADLINE_S)


def test_room_on_a_node_that_is_lost_before_it_comes_is_asked_for_again(fleet: SlowFleet) -> None:
    ref = where.remote()
    assert fleet.asked.wait(20)
    assert fleet.last is not None
    (lost,) = fleet.last.nodes
    fleet.cut(lost)
    fleet.may_answer.set()
    assert executor.get(ref) == {"a": "b", "b": "a"}[lost]
