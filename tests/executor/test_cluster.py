"""A cluster while its parts fail: what is running goes on or is ended, and nothing is told twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import pytest

from executor.cluster.agent import Agent, Machine
from executor.cluster.fleet import ClusterFleet, Identity
from executor.cluster.line import CHANNEL_OPTIONS, over_grpc
from executor.cluster.membership import Terms
from executor.cluster.protos import cluster as pb
from executor.cluster.versions import versions_here
from executor.errors import ClusterError, InfeasibleRequestError
from executor.hosting.executor import RemoteExecutor
from executor.messages import Died, RoomAdded
from executor.resources import Request, Resources
from tests.executor import programs
from tests.executor.cable import Cable
from tests.executor.cluster_rig import Rig
from tests.executor.conversation import DEADLINE_S, Conversation
from tests.executor.library.events import holds
from tests.executor.local_processes import gone_afterwards
from tests.executor.local_programs import Run, end_as_told

SHORT = Terms(beat_s=0.5, lease_s=3.0, grace_s=0.6, driver_grace_s=3.0)
"""So short that a busy machine may be taken for a silent one: only for tests that wait for that."""

with_short_leases = pytest.mark.parametrize("rig", [SHORT], indirect=True)


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(getattr(request, "param", None))
    try:
        yield rig
    finally:
        rig.close()


@pytest.fixture
def talk(rig: Rig) -> Iterator[Conversation]:
    with rig.connect() as executor, Conversation(executor) as conversation:
        yield conversation


def joined(talk: Conversation, *names: str) -> None:
    """Wait until there are exactly these nodes."""
    until = talk.executor.clock() + DEADLINE_S
    while {node.name for node in talk.executor.nodes()} != set(names):
        assert talk.executor.clock() < until, f"the nodes are {talk.executor.nodes()}, not {names}"
        talk.executor.events(talk.executor.clock() + 0.05)


@pytest.fixture
def cable(rig: Rig, talk: Conversation) -> Iterator[Cable]:
    """The way between the head and the agent of node ``far``, which has joined."""
    cable = Cable(rig.port)
    agent = Agent(
        over_grpc(lambda: grpc.insecure_channel(f"127.0.0.1:{cable.port}", options=CHANNEL_OPTIONS)),
        Machine(Resources.of(cpu=1), host="far"),
        "first",
    )
    joined(talk, "far")
    yield cable
    agent.close()
    cable.close()


def reserved(talk: Conversation, request: Request | None = None) -> object:
    """Room, as soon as there is some."""
    until = talk.executor.clock() + DEADLINE_S
    while (found := talk.executor.reserve(request or Request())) is None:
        assert talk.executor.clock() < until, "there was never room"
        talk.executor.events(talk.executor.clock() + 0.05)
    talk._reservations.append(found)
    return found


def test_who_was_given_some_room_is_told_when_there_is_what_it_still_waits_for(rig: Rig, talk: Conversation) -> None:
    rig.join("a", {"cpu": 4})
    joined(talk, "a")
    all_of_it = Request((Resources.of(cpu=4),))
    with rig.connect() as other:
        held = other.reserve(Request((Resources.of(cpu=2),)))
        assert held is not None
        assert talk.executor.reserve(all_of_it) is None
        little = talk.executor.reserve(Request((Resources.of(cpu=1),)))
        assert little is not None
        assert talk.executor.reserve(all_of_it) is None
        while talk.executor.events(talk.executor.clock() + 0.05):
            pass
        other.release(held)
        until = talk.executor.clock() + DEADLINE_S
        assert RoomAdded() in talk.executor.events(until)
        talk.executor.release(little)


def test_calls_go_on_while_the_head_is_started_again(rig: Rig, talk: Conversation) -> None:
    rig.join("a", {"cpu": 2})
    joined(talk, "a")
    call = talk.start(programs.Echo(), ["before", "while", "after"])
    first = talk.emission_of(call)
    rig.stop_head()
    talk.answer(first, 1)
    rig.start_head()
    second = talk.emission_of(call)
    talk.answer(second, 2)
    assert talk.returned_by_from(talk.emission_of(call), 3) == [1, 2, 3]
    assert [node.name for node in talk.executor.nodes()] == ["a"]


def test_a_head_that_was_started_again_knows_what_is_held(rig: Rig, talk: Conversation) -> None:
    rig.join("a", {"cpu": 2})
    joined(talk, "a")
    held = [talk.reserve(), talk.reserve()]
    rig.stop_head()
    rig.start_head()
    joined(talk, "a")
    with rig.connect() as other:
        assert other.reserve(Request()) is None
        talk.executor.release(held[0])
        talk.room_freed()
        until = other.clock() + DEADLINE_S
        while other.reserve(Request()) is None:
            assert other.clock() < until
            other.events(other.clock() + 0.05)


def test_a_driver_whose_calls_a_node_has_ended_meanwhile_is_told_so_by_it(rig: Rig, talk: Conversation) -> None:
    agent = rig.join("a", {"cpu": 1})
    joined(talk, "a")
    call = talk.start(Run(end_as_told))
    talk.emission_of(call)
    rig.stop_head()
    (driver,) = agent._served
    agent._end(driver, "its driver was silent for 60 s")
    holds(lambda: not agent._served, "it has ended the calls")
    rig.start_head()
    died = talk.next_of(call)
    assert isinstance(died, Died)
    assert "silent for too long, and node a has ended its calls" in died.cause.lost
    with pytest.raises(ClusterError, match="node a has ended its calls"):
        talk.executor.reserve(Request())
    with rig.connect() as other, Conversation(other) as theirs:
        assert theirs.returned_by(theirs.start(programs.Answer(), 1, on=reserved(theirs))) == 1


@with_short_leases
def test_an_agent_that_stood_still_for_too_long_ends_its_calls_before_it_says_anything(
    rig: Rig, talk: Conversation
) -> None:
    agent = rig.join("a", {"cpu": 1})
    joined(talk, "a")
    call = talk.start(Run(end_as_told))
    pid = talk.emission_of(call).payload
    with gone_afterwards(pid), agent._lock:  # its beats wait for this lock, as they do for a machine that sleeps
        ending = talk.next_of(call)
    assert isinstance(ending, Died)
    joined(talk, "a-2")


@with_short_leases
def test_an_agent_that_is_cut_off_ends_its_calls_and_comes_back_as_another(talk: Conversation, cable: Cable) -> None:
    call = talk.start(Run(end_as_told))
    pid = talk.emission_of(call).payload
    with gone_afterwards(pid):
        cable.quiet()
        ending = talk.next_of(call)
        assert isinstance(ending, Died)
        assert "silent" in ending.cause.lost
    cable.heal()
    joined(talk, "far-2")
    assert talk.returned_by(talk.start(programs.Answer(), 5, on=reserved(talk))) == 5


@with_short_leases
@pytest.mark.parametrize("direction", ["up", "down"])
def test_an_agent_that_is_cut_off_one_way_is_lost_too(talk: Conversation, cable: Cable, direction: str) -> None:
    call = talk.start(Run(end_as_told))
    pid = talk.emission_of(call).payload
    with gone_afterwards(pid):
        cable.quiet(direction)
        assert isinstance(talk.next_of(call), Died)
    cable.heal()
    joined(talk, "far-2")


def test_calls_go_on_over_connections_that_break_all_the_time(talk: Conversation, cable: Cable) -> None:
    call = talk.start(programs.Follow(0))
    for number in range(12):
        emitted = talk.emission_of(call)
        assert emitted.payload == number
        cable.cut()
        talk.answer(emitted, number + 1)
    assert talk.returned_by(call, "stop") == "stopped"


@with_short_leases
def test_a_driver_that_is_gone_without_a_word_loses_its_calls_and_its_room(rig: Rig, talk: Conversation) -> None:
    rig.join("a", {"cpu": 1})
    joined(talk, "a")
    cable = Cable(rig.port)
    gone = RemoteExecutor(
        ClusterFleet(lambda: grpc.insecure_channel(f"127.0.0.1:{cable.port}", options=CHANNEL_OPTIONS))
    )
    theirs = Conversation(gone)
    pid = theirs.emission_of(theirs.start(Run(end_as_told))).payload
    with gone_afterwards(pid):
        cable.quiet()
        assert talk.returned_by(talk.start(programs.Answer(), 1, on=reserved(talk))) == 1
    gone.close()
    cable.close()


def test_a_node_that_joins_later_is_waited_for(rig: Rig) -> None:
    with rig.connect(patience_s=60) as executor, Conversation(executor) as talk:
        assert executor.reserve(Request((Resources.of(cpu=8),))) is None
        rig.join("large", {"cpu": 8})
        reservation = reserved(talk, Request((Resources.of(cpu=8),)))
        assert talk.returned_by(talk.start(programs.Answer(), 2, on=reservation)) == 2


@pytest.mark.fault("F27")
def test_a_gpu_that_an_agent_misses_is_not_given_also_by_the_next_head_until_it_is_there_again(
    rig: Rig, talk: Conversation
) -> None:
    agent, one = rig.join("a", {"cpu": 2, "gpu": 1}), Request((Resources.of(gpu=1),))
    joined(talk, "a")
    agent.miss({"0": "it needs a reset"})
    free_gpus(talk, 0)
    assert talk.executor.reserve(one) is None
    rig.stop_head()
    rig.start_head()
    reserved(talk)
    free_gpus(talk, 0)
    agent.miss({})
    free_gpus(talk, 1)
    reserved(talk, one)


def free_gpus(talk: Conversation, count: int) -> None:
    """Wait until so many gpus are free, as the head says."""
    fleet, until = talk.executor._fleet, talk.executor.clock() + DEADLINE_S
    while fleet.free()["gpu"] != count:
        assert talk.executor.clock() < until
        talk.executor.events(talk.executor.clock() + 0.05)


def test_what_no_node_can_hold_is_refused_once_patience_ends(rig: Rig, talk: Conversation) -> None:
    rig.join("a", {"cpu": 1})
    joined(talk, "a")
    with pytest.raises(InfeasibleRequestError, match="8"):
        talk.executor.reserve(Request((Resources.of(cpu=8),)))


def test_each_request_has_a_patience_of_its_own(rig: Rig) -> None:
    large, larger, small = (Request((Resources.of(cpu=cpus),)) for cpus in (8, 9, 1))
    with rig.connect(patience_s=0.3) as executor, Conversation(executor) as talk:
        rig.join("a", {"cpu": 1})
        joined(talk, "a")

        def ask_until_refused() -> None:
            until = time.monotonic() + DEADLINE_S
            while time.monotonic() < until:
                assert executor.reserve(large) is None
                if (room := executor.reserve(small)) is not None:
                    executor.release(room)

        with pytest.raises(InfeasibleRequestError, match="8"):
            ask_until_refused()
        assert executor.reserve(larger) is None, "it has waited for nothing yet"


@pytest.fixture
def pair(rig: Rig, request: pytest.FixtureRequest) -> Iterator[list[Conversation]]:
    """The conversations of two experiments, with these priorities."""
    with ExitStack() as stack:
        pair = []
        for priority in request.param:
            executor = stack.enter_context(rig.connect(identity=Identity(f"of priority {priority}", priority)))
            pair.append(stack.enter_context(Conversation(executor)))
        rig.join("a", {"cpu": 4})
        for talk in pair:
            joined(talk, "a")
        yield pair


@pytest.mark.parametrize("pair", [(0, 0)], indirect=True)
def test_experiments_share_room_equally(pair: list[Conversation]) -> None:
    greedy, modest = pair
    held = [greedy.reserve() for _ in range(4)]
    for turn in range(2):
        assert modest.executor.reserve(Request()) is None
        greedy.executor.release(held[turn])
        greedy.room_freed()
        assert greedy.executor.reserve(Request()) is None, "the one that has less comes first"
        reserved(modest)


@pytest.mark.parametrize("pair", [(0, 1)], indirect=True)
def test_a_higher_priority_comes_first(pair: list[Conversation]) -> None:
    low, high = pair
    held = [low.reserve(), *(high.reserve() for _ in range(3))]
    assert high.executor.reserve(Request()) is None
    low.executor.release(held[0])
    low.room_freed()
    assert low.executor.reserve(Request()) is None
    reserved(high)


def test_large_arguments_and_values_arrive(rig: Rig, talk: Conversation) -> None:
    rig.join("a", {"cpu": 1})
    joined(talk, "a")
    payload = b"x" * 30_000_000
    unchanged = talk.returned_by(talk.start(programs.Answer(), payload)) == payload
    assert unchanged


def test_who_is_refused_for_good_is_told_so_instead_of_waiting_for_room(rig: Rig, talk: Conversation) -> None:
    rig.join("a", {"cpu": 1})
    joined(talk, "a")
    call = talk.start(programs.Echo(), ["waiting"])
    talk.emission_of(call)
    rig.dismiss("the cluster was stopped")
    assert isinstance(talk.next_of(call), Died)
    with pytest.raises(ClusterError, match="was stopped"):
        talk.executor.reserve(Request())


def test_nobody_is_there() -> None:
    with pytest.raises(ClusterError, match="did not answer"):
        ClusterFleet(lambda: grpc.insecure_channel("127.0.0.1:9", options=CHANNEL_OPTIONS), within_s=0.5)


OTHERS = {
    "protocol": versions_here().protocol + 1,
    "python": "3.99",
    "audition": "99.1",
    "cloudpickle": "99.0",
}


@pytest.mark.fault("F24")
@pytest.mark.parametrize("differs", OTHERS)
@pytest.mark.parametrize("who", ["driver", "node"])
def test_who_runs_other_versions_than_the_head_is_refused_for_good_and_told_both(
    rig: Rig, who: str, differs: str
) -> None:
    theirs = versions_here()
    theirs = pb.Versions(**{name: getattr(theirs, name) for name in OTHERS} | {differs: OTHERS[differs]})
    if who == "driver":
        said = pb.DriverSays(messages=[pb.FromDriver(hello=pb.DriverHello(driver="d", versions=theirs))])
        method, hears = "Drive", pb.DriverHears
    else:
        hello = pb.AgentHello(host="h", incarnation="i", versions=theirs)
        said = pb.AgentSays(messages=[pb.FromAgent(hello=hello)])
        method, hears = "Serve", pb.AgentHears
    with rig.dial() as channel:
        call = channel.stream_stream(
            f"/audition.cluster.v1.Cluster/{method}", type(said).SerializeToString, hears.FromString
        )
        refused = next(call(iter([said]), timeout=DEADLINE_S)).messages[0].refused
    assert refused.for_good
    assert f" {getattr(versions_here(), differs)} here, {OTHERS[differs]} there" in refused.why
