"""Drivers write to each other through the head: in order, each once, whatever breaks; and are told of who is gone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from executor.cluster.fleet import ClusterFleet, Identity
from executor.cluster.mail import ClusterMail
from executor.cluster.membership import Terms
from executor.cluster.protos import cluster as pb
from executor.errors import ClusterError
from executor.hosting.fleet import Arrival, DriverGone, Mail, Written
from tests.executor.cluster_rig import Rig
from tests.executor.conversation import DEADLINE_S

TERMS = Terms(beat_s=0.2, lease_s=1.0, grace_s=0.2)


class Correspondent:
    """A driver, and the letters that it gets."""

    def __init__(self, rig: Rig, controller: str = "") -> None:
        self.fleet = ClusterFleet(rig.dial, Identity(controller=controller))
        self.arrived: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self.fleet.open(lambda arrivals: [self.arrived.put(one) for one in arrivals])

    @property
    def mail(self) -> Mail:
        assert self.fleet.mail is not None
        return self.fleet.mail

    def next(self) -> Written | DriverGone:
        while not isinstance(found := self.arrived.get(timeout=DEADLINE_S), Written | DriverGone):
            pass
        return found


@pytest.fixture
def rig() -> Iterator[Rig]:
    found = Rig(TERMS)
    yield found
    found.close()


@pytest.fixture
def two(rig: Rig) -> Iterator[tuple[Correspondent, Correspondent]]:
    """A controller, and a driver that may write to it."""
    there, here = Correspondent(rig, "post"), Correspondent(rig)
    yield there, here
    there.fleet.close()
    here.fleet.close()


def test_a_driver_finds_a_controller_and_has_its_answers(two: tuple[Correspondent, Correspondent]) -> None:
    there, here = two
    assert here.mail.find("nobody", 5) is None
    found = here.mail.have("post", 5)
    here.mail.write(found, b"question")
    asked = there.next()
    assert isinstance(asked, Written)
    assert asked.content == b"question"
    large = bytes(5 * 2**20)  # more than one message of the head's takes
    there.mail.write(asked.driver, large)
    assert here.next() == Written(found, large)


def test_a_controller_that_is_over_and_cannot_be_started_is_waited_for_only_so_long() -> None:
    def ask(call: str, *_: Any) -> pb.StatusReply:
        if call == "Submit":
            raise ClusterError("the disk is full")
        return pb.StatusReply(controllers=[pb.ControllerStatus(name="post", state="failed")])

    mail = ClusterMail("d", lambda _: None, ask, threading.RLock(), owner="me", reads_all=False)
    assert mail.find("post", 0) is None
    with pytest.raises(ClusterError, match="the disk is full"):
        mail.have("post", 0)


def test_a_controller_that_is_to_be_there_and_is_not_is_waited_for() -> None:
    def ask(*_: Any) -> pb.StatusReply:
        return pb.StatusReply(controllers=[pb.ControllerStatus(name="post", state="running")])

    mail = ClusterMail("d", lambda _: None, ask, threading.RLock(), owner="me", reads_all=False)
    with pytest.raises(ClusterError, match="'post' did not begin beside the head within 0 s"):
        mail.find("post", 0)


def test_letters_are_read_once_and_in_order_across_a_restart_of_the_head(
    rig: Rig, two: tuple[Correspondent, Correspondent]
) -> None:
    there, here = two
    found = here.mail.have("post", 5)
    for number in range(300):
        if number == 100:
            rig.stop_head()
        if number == 200:
            rig.start_head()
        here.mail.write(found, str(number).encode())
    letters = [there.next() for _ in range(300)]
    assert [one.content for one in letters if isinstance(one, Written)] == [str(n).encode() for n in range(300)]
    there.mail.write(letters[0].driver, b"answer")
    assert here.next() == Written(found, b"answer")


def test_who_wrote_to_a_driver_that_has_left_is_told(two: tuple[Correspondent, Correspondent]) -> None:
    there, here = two
    found = here.mail.have("post", 5)
    here.mail.write(found, b"question")
    there.next()
    there.fleet.close()
    assert here.next() == DriverGone(found)
    here.mail.write(found, b"another")
    assert here.next() == DriverGone(found)


def test_a_driver_reads_nothing_of_those_that_it_has_not_written_to(rig: Rig) -> None:
    here, stranger, friend = Correspondent(rig), Correspondent(rig), Correspondent(rig, "post")
    friends = here.mail.have("post", 5)
    here.mail.write(friends, b"question")
    asked = friend.next()
    stranger.mail.write(asked.driver, b"open me")
    stranger.mail.write(friends, b"are you done?")
    friend.next()  # so what the stranger wrote before has been passed on too
    friend.mail.write(asked.driver, b"answer")
    assert here.next() == Written(friends, b"answer")
    for one in (here, stranger, friend):
        one.fleet.close()


def test_who_comes_back_after_it_was_given_up_begins_anew(rig: Rig, two: tuple[Correspondent, Correspondent]) -> None:
    there, here = two
    found = here.mail.have("post", 5)
    here.mail.write(found, b"question")
    asked = there.next()
    there.mail.write(asked.driver, b"answer")
    assert here.next() == Written(found, b"answer")
    rig.give_up(asked.driver)
    assert there.next() == DriverGone(asked.driver)
    assert here.next() == DriverGone(found)
    here.mail.write(found, b"another")
    assert there.next() == Written(asked.driver, b"another")


def test_of_whom_the_head_refuses_for_good_all_that_he_writes_to_are_gone(
    rig: Rig, two: tuple[Correspondent, Correspondent]
) -> None:
    there, here = two
    found = here.mail.have("post", 5)
    here.mail.write(found, b"question")
    there.next()
    rig.dismiss("it was silent for too long")
    assert here.next() == DriverGone(found)
    here.mail.write(found, b"another")
    assert here.next() == DriverGone(found)
    for ask in (here.mail.find, here.mail.have):
        with pytest.raises(ClusterError, match="refuses us: it was silent for too long"):
            ask("post", 5)


def test_who_was_wrongly_taken_for_gone_is_written_to_anew(two: tuple[Correspondent, Correspondent]) -> None:
    there, here = two
    found = here.mail.have("post", 5)
    for content in (b"one", b"two"):
        here.mail.write(found, content)
        there.next()
    here.fleet._part(found)
    assert here.next() == DriverGone(found)
    here.mail.write(found, b"three")
    asked = there.next()
    assert isinstance(asked, Written)
    assert asked.content == b"three"
    there.mail.write(asked.driver, b"answer")
    assert here.next() == Written(found, b"answer")
