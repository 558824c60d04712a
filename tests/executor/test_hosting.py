"""Calls on several nodes: programs are sent once, output comes back, a lost node ends its calls and no others."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from executor.holdings import Holding
from executor.hosting.executor import RemoteExecutor
from executor.hosting.messages import Order, Prepare
from executor.interface import Channel
from executor.messages import DeathCause, Died, Emitted, Raised, Returned
from executor.resources import Node, Request, Resources
from tests.executor import programs
from tests.executor.conversation import DEADLINE_S, Conversation
from tests.executor.local_programs import Run
from tests.executor.near_fleet import NearFleet

ONE = Resources.of(cpu=1)
APART = Request((ONE, ONE), "STRICT_SPREAD", gang=True)


class WatchedFleet(NearFleet):
    """Remembers what was sent where."""

    def __init__(self) -> None:
        super().__init__([Node(name, Resources.of({"cpu": 2, name: 1})) for name in ("a", "b")])
        self.sent: list[tuple[str, Order]] = []

    def carry(self, node: str, order: Order) -> None:
        self.sent.append((node, order))
        super().carry(node, order)


@pytest.fixture
def fleet() -> WatchedFleet:
    return WatchedFleet()


@pytest.fixture
def talk(fleet: WatchedFleet) -> Iterator[Conversation]:
    with RemoteExecutor(fleet) as executor, Conversation(executor) as conversation:
        yield conversation


@pytest.mark.fault("F27")
def test_what_fails_on_a_gpu_that_is_lost_has_died_of_that_and_nothing_else_has() -> None:
    gone = {"1": "GPU is lost"}
    fleet = NearFleet(
        [Node("a", Resources.of(cpu=4, gpu=3))],
        {"a": ["0", "1", "2"]},
        lost=lambda gpus: {name: gone[name] for name in gpus if name in gone},
    )
    with RemoteExecutor(fleet) as executor, Conversation(executor) as talk:
        fine, two, none = (talk.reserve(Request((Resources.of(cpu=1, gpu=gpus),))) for gpus in (1, 2, 0))
        died = talk.end_of(talk.start(programs.Exit(), 3, on=two))
        assert isinstance(died, Died)
        assert str(died.cause) == f"gpu 1 of {socket.gethostname()} is lost: GPU is lost"
        raised = talk.end_of(talk.start(programs.Fail(), on=two))
        assert isinstance(raised, Died)
        assert (raised.cause.exit_code, raised.cause.lost) == (None, died.cause.lost)
        assert talk.returned_by(talk.start(programs.Answer(), 3, on=two)) == 3
        for room in (fine, none):
            assert isinstance(talk.end_of(talk.start(programs.Fail(), on=room)), Raised)


@pytest.mark.fault("F27")
def test_a_driver_that_does_not_answer_is_asked_for_all_that_fail_together() -> None:
    asked: list[list[str]] = []

    def lost(gpus: Sequence[str]) -> dict[str, str]:
        asked.append(list(gpus))
        return dict.fromkeys(gpus, "it did not answer")

    fleet = NearFleet([Node("a", Resources.of(cpu=4, gpu=4))], {"a": ["0", "1", "2", "3"]}, lost=lost)
    with RemoteExecutor(fleet) as executor, Conversation(executor) as talk:
        rooms = [talk.reserve(Request((Resources.of(cpu=1, gpu=1),))) for _ in range(4)]
        standing = [talk.emission_of(talk.start(programs.Fail(), on=room)) for room in rooms]
        for one in standing:
            talk.answer(one)
        assert all(isinstance(talk.next_of(one.call_id), Died) for one in standing)
    assert asked[0] == ["0", "1", "2", "3"]
    assert len(asked) < len(standing)


@pytest.mark.fault("F27")
def test_while_a_driver_of_gpus_does_not_answer_all_else_is_told() -> None:
    may_answer = threading.Event()

    def lost(gpus: Sequence[str]) -> dict[str, str]:
        assert may_answer.wait(DEADLINE_S)
        return dict.fromkeys(gpus, "it answered late")

    fleet = NearFleet([Node("a", Resources.of(cpu=2, gpu=1))], {"a": ["0"]}, lost=lost)
    with RemoteExecutor(fleet) as executor, Conversation(executor) as talk:
        room, other = (talk.reserve(Request((Resources.of(cpu=1, gpu=gpus),))) for gpus in (1, 0))
        failing = talk.emission_of(talk.start(programs.Fail(), on=room))
        talk.answer(failing)
        for number in range(3):
            assert talk.returned_by(talk.start(programs.Answer(), number, on=other)) == number
        may_answer.set()
        died = talk.next_of(failing.call_id)
        assert isinstance(died, Died)
        assert "gpu 0 of" in died.cause.lost


class BrokenFleet(NearFleet):
    """An engine whose placing goes wrong once."""

    broken = True

    def place(self, holding: Holding) -> Holding | None:
        if self.broken:
            self.broken = False
            raise ConnectionError("the engine is away")
        return holding


def test_room_that_could_not_be_placed_for_a_mistake_is_free_again() -> None:
    with RemoteExecutor(BrokenFleet([Node("a", ONE)])) as executor:
        with pytest.raises(ConnectionError):
            executor.reserve(Request((ONE,)))
        assert executor.reserve(Request((ONE,))) is not None


def waiting_on(talk: Conversation, node: str) -> Emitted:
    """What a call on `node` has emitted, and waits for."""
    reservation = talk.reserve(Request((Resources.of({"cpu": 1, node: 1}),)))
    return talk.emission_of(talk.start(programs.Echo(), ["waiting"], on=reservation))


def meet(channel: Channel, _: object) -> str:
    """Who the other is, as rank 0 is told over the meeting point."""
    import socket

    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    if channel.rank.number == 0:
        with socket.create_server(place) as server:
            channel.emit("listening")
            return server.accept()[0].recv(100).decode()
    while True:
        try:
            with socket.create_connection(place) as connection:
                connection.sendall(f"rank {channel.rank.number} of {channel.rank.size}".encode())
                return ""
        except ConnectionRefusedError:
            continue


def stay(channel: Channel, _: object) -> None:
    """Rank 0 says that it is there; all wait for ever."""
    if channel.rank.number == 0:
        channel.emit("here")
    signal.pause()


def test_a_lost_node_ends_its_calls_and_no_others(talk: Conversation, fleet: WatchedFleet) -> None:
    lost, kept = waiting_on(talk, "b"), waiting_on(talk, "a")
    fleet.cut("b")
    cause = DeathCause(lost="node b was lost: its cable was pulled")
    assert talk.next_of(lost.call_id) == Died(lost.call_id, cause)
    assert [node.name for node in talk.executor.nodes()] == ["a"]
    assert talk.returned_by_from(kept, "go on") == ["go on"]


def test_what_is_started_on_a_lost_node_dies_at_once(talk: Conversation, fleet: WatchedFleet) -> None:
    reservations = [talk.reserve(Request((Resources.of(cpu=2),))) for _ in range(2)]
    (there,) = (one for one in reservations if one.nodes == ("b",))
    fleet.cut("b")
    ending = talk.next_of(talk.start(programs.Answer(), on=there))
    assert isinstance(ending, Died)
    assert "b was lost" in ending.cause.lost


def test_the_room_on_a_lost_node_is_gone(talk: Conversation, fleet: WatchedFleet) -> None:
    fleet.cut("b")
    assert talk.executor.reserve(Request((Resources.of(cpu=2),))) is not None
    assert talk.executor.reserve(Request()) is None


def test_the_workers_of_a_gang_meet_across_nodes(talk: Conversation) -> None:
    reservation = talk.reserve(APART)
    call = talk.start(Run(meet), on=reservation)
    assert set(reservation.nodes) == {"a", "b"}
    assert talk.returned_by(call) == "rank 1 of 2"


@pytest.mark.parametrize("lost_rank", [0, 1])
def test_a_gang_ends_with_the_node_of_one_of_its_workers(
    talk: Conversation, fleet: WatchedFleet, lost_rank: int
) -> None:
    reservation = talk.reserve(APART)
    call = talk.start(Run(stay), on=reservation)
    talk.emission_of(call)
    fleet.cut(reservation.nodes[lost_rank])
    ending = talk.next_of(call)
    assert isinstance(ending, Died)
    assert (ending.cause.rank, "was lost" in ending.cause.lost) == (lost_rank, True)


def test_a_program_is_sent_to_a_node_once(talk: Conversation, fleet: WatchedFleet) -> None:
    prepared = talk.executor.prepare(programs.Answer())
    again = talk.executor.prepare(programs.Answer())
    calls = [talk.start_prepared(one, number) for number, one in enumerate([prepared, again, prepared])]
    assert [talk.returned_by(call) for call in calls] == [0, 1, 2]
    assert sorted(node for node, order in fleet.sent if isinstance(order, Prepare)) == ["a", "b"]


def test_what_is_printed_there_is_in_the_log_here_by_the_time_the_call_ends(talk: Conversation, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "call.log"
    call = talk.start(Run(lambda *_: print("first\n" + "x" * 100_000 + "\nlast")), log_path=str(log))
    assert talk.next_of(call) == Returned(call, None)
    lines = log.read_text().splitlines()
    assert (lines[0], len(lines[1]), lines[2]) == ("first", 100_000, "last")


def test_what_is_printed_there_without_a_log_is_printed_here(
    talk: Conversation, capfd: pytest.CaptureFixture[str]
) -> None:
    call = talk.start(Run(lambda *_: print("over here")))
    assert talk.next_of(call) == Returned(call, None)
    assert "over here" in capfd.readouterr().out


def test_calls_whose_processes_are_gone_leave_nothing_behind_here(talk: Conversation) -> None:
    reservation = talk.reserve()
    for number in range(3):
        talk.returned_by(talk.start(Run(lambda *_: print("some words")), number, on=reservation))
    talk.executor.release(reservation)
    talk.room_freed()
    assert (len(talk.executor._logs), talk.executor._members, talk.executor._calls) == (0, {}, {})


def test_a_running_call_on_another_node_says_where_it_stands(talk: Conversation) -> None:
    emitted = waiting_on(talk, "b")
    assert "steps" in talk.executor.stacks(emitted.call_id) or "run" in talk.executor.stacks(emitted.call_id)
    assert "is not running" in talk.executor.stacks("nobody")
