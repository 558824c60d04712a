"""What only virtual time promises: the order of events, scripted deaths, and no waiting for what cannot come."""

from __future__ import annotations

import math
import random
from collections.abc import Generator
from typing import Any

import numpy
import pytest

from executor.errors import DeadlockError
from executor.interface import Program, Step
from executor.messages import (
    Call,
    DeathCause,
    Died,
    Emitted,
    Event,
    Raised,
    Rank,
    Reservation,
    Returned,
    RoomAdded,
    RoomFreed,
)
from executor.resources import Node, Request, Resources
from executor.simulated import Fault, SimulatedExecutor
from tests.executor.programs import TellForever

Steps = Generator[Step, Any, Any]
FOREVER = math.inf


class Walk(Program):
    """Emits the numbers of its steps, each of which takes as long as the argument says, and returns the answers."""

    def __init__(self) -> None:
        self.closed = 0

    def steps(self, argument: Any) -> Steps:
        answers = []
        try:
            for number, seconds in enumerate(argument):
                answer = yield Step(number, seconds)
                answers.append(answer)
        finally:
            self.closed += 1
        return answers


def started(
    executor: SimulatedExecutor, call_id: str, argument: Any, program: Program | None = None, **options: Any
) -> Reservation:
    reservation = executor.reserve(Request())
    assert reservation is not None
    executor.start(executor.prepare(program or Walk()), reservation, Call(call_id, argument, **options))
    return reservation


def played(executor: SimulatedExecutor, until: float = 1000.0) -> list[tuple[float, Event]]:
    """All that happens until then, each with its time; every emission is answered with the time."""
    happened: list[tuple[float, Event]] = []
    while events := executor.events(until):
        for event in events:
            happened.append((executor.clock(), event))
            if isinstance(event, Emitted):
                executor.reply(event.call_id, event.seq, executor.clock())
    return happened


def test_a_step_takes_its_seconds_and_ends_come_at_once() -> None:
    executor = SimulatedExecutor()
    started(executor, "a", [1.5, 2])
    assert played(executor) == [
        (1.5, Emitted("a", 1, 0)),
        (3.5, Emitted("a", 2, 1)),
        (3.5, Returned("a", [1.5, 3.5])),
    ]
    assert executor.clock() == 1000


def test_the_first_emission_after_a_cancellation_waits_also_when_it_was_under_way() -> None:
    executor = SimulatedExecutor()
    started(executor, "a", "x", TellForever())
    assert executor.events(None) == [Emitted("a", 1, "x", waits=False)]
    executor.events(1.5)
    executor.cancel("a")
    assert executor.events(None) == [Emitted("a", 2, "x", waits=True)]
    executor.reply("a", 2, "stop")
    assert executor.events(None) == [Returned("a", "stop")]
    assert executor.clock() == 2


def test_steps_are_quicker_on_a_quicker_node() -> None:
    nodes = [Node("quick", Resources.of(cpu=1)), Node("slow", Resources.of(cpu=1, gpu=1))]
    executor = SimulatedExecutor(nodes, speeds={"quick": 4.0})
    for name in ("first", "second"):
        started(executor, name, [2])
    assert [(time, event.call_id) for time, event in played(executor) if isinstance(event, Emitted)] == [
        (0.5, "first"),
        (2, "second"),
    ]


def test_things_of_one_moment_come_together_in_the_order_they_were_begun() -> None:
    executor = SimulatedExecutor()
    for name in "cab":
        started(executor, name, [1])
    assert executor.events(None) == [Emitted("c", 1, 0), Emitted("a", 1, 0), Emitted("b", 1, 0)]


def test_time_stops_at_the_limit_given_and_goes_on_from_there() -> None:
    executor = SimulatedExecutor()
    started(executor, "a", [10])
    assert executor.events(4) == []
    assert executor.clock() == 4
    assert executor.events(2) == []
    assert executor.clock() == 4
    assert executor.events(10) == [Emitted("a", 1, 0)]
    assert executor.wall_clock() - executor.clock() == SimulatedExecutor().wall_clock()


def test_an_answer_that_comes_late_delays_only_its_own_call() -> None:
    executor = SimulatedExecutor()
    started(executor, "waits", [1, 1])
    started(executor, "goes on", [1, 1])
    assert len(executor.events(None)) == 2
    executor.reply("goes on", 1, None)
    assert executor.events(None) == [Emitted("goes on", 2, 1)]
    executor.reply("waits", 1, None)
    assert executor.events(None) == [Emitted("waits", 2, 1)]
    assert executor.clock() == 3


def test_the_same_script_gives_the_same_events() -> None:
    def script() -> list[tuple[float, Event]]:
        executor = SimulatedExecutor(faults=[Fault("call-3", after_s=2.2)])
        for number in range(4):
            started(executor, f"call-{number}", [(number + 1) * 0.7, 0.1, 1])
        return played(executor)

    assert script() == script()


@pytest.mark.parametrize("waiting", [True, False])
def test_a_killed_call_is_closed_and_its_coming_events_are_gone(waiting: bool) -> None:
    executor, program = SimulatedExecutor(), Walk()
    started(executor, "a", [1, 1], program)
    if waiting:
        executor.events(None)
    executor.kill("a", "enough")
    assert program.closed == 1
    assert played(executor) == [(float(waiting), Died("a", DeathCause(killed="enough")))]


def test_room_is_free_at_once_and_told_after_the_death_that_freed_it() -> None:
    executor = SimulatedExecutor()
    reservations = [started(executor, name, [5]) for name in "abcd"]
    assert executor.reserve(Request()) is None
    executor.release(reservations[1])
    assert executor.reserve(Request()) is not None
    assert executor.events(0) == [Died("b", DeathCause(killed="its reservation was released")), RoomFreed()]


def test_values_are_the_callers_own_objects_unless_pickle_is_asked_for() -> None:
    class Keep(Program):
        def steps(self, argument: Any) -> Steps:
            assert (yield Step(argument)) is argument
            return argument

    value = [object()]
    executor = SimulatedExecutor()
    started(executor, "a", value, Keep())
    (emitted,) = executor.events(None)
    assert isinstance(emitted, Emitted)
    assert emitted.payload is value
    executor.reply("a", 1, value)
    (returned,) = executor.events(None)
    assert isinstance(returned, Returned)
    assert returned.value is value


def test_with_pickle_nobody_shares_what_changes() -> None:
    executor, program, seconds = SimulatedExecutor(check_pickle=True), Walk(), [1.0, 1.0]
    started(executor, "a", seconds, program)
    seconds.clear()
    executor.events(None)
    answer = {"lr": 0.1}
    executor.reply("a", 1, answer)
    answer["lr"] = 1.0
    executor.events(None)
    executor.reply("a", 2, None)
    assert executor.events(None) == [Returned("a", [{"lr": 0.1}, None])]
    assert program.closed == 0


class Gamble(Program):
    """Emits what it draws before and after an answer."""

    def steps(self, argument: Any) -> Steps:
        yield Step((random.random(), numpy.random.random()))
        yield Step((random.random(), numpy.random.random()))


def test_with_random_state_of_its_own_a_call_neither_sees_nor_disturbs_other_draws() -> None:
    def drawn(executor: SimulatedExecutor) -> list[Any]:
        started(executor, "a", None, Gamble(), seed=5)
        return [event.payload for _, event in played(executor) if isinstance(event, Emitted)]

    random.seed(1)
    numpy.random.seed(1)
    expected = random.random(), numpy.random.random()
    random.seed(1)
    numpy.random.seed(1)
    first = drawn(SimulatedExecutor(isolate_random=True))
    assert (random.random(), numpy.random.random()) == expected
    assert drawn(SimulatedExecutor(isolate_random=True)) == first


CAUSE = DeathCause(exit_code=137)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("a", at_emission=1, cause=CAUSE), [(1, Died("a", CAUSE))]),
        (Fault("a", at_emission=2), [(1, Emitted("a", 1, 0)), (3, Died("a", DeathCause(signal="SIGKILL")))]),
        (Fault("a", after_s=0.5, cause=CAUSE), [(0.5, Died("a", CAUSE))]),
        (Fault("a", after_s=2.5, cause=CAUSE), [(1, Emitted("a", 1, 0)), (2.5, Died("a", CAUSE))]),
        (
            Fault("a", at_emission=3),
            [(1, Emitted("a", 1, 0)), (3, Emitted("a", 2, 1)), (3, Returned("a", [1.0, 3.0]))],
        ),
        (
            Fault("a", after_s=4),
            [(1, Emitted("a", 1, 0)), (3, Emitted("a", 2, 1)), (3, Returned("a", [1.0, 3.0]))],
        ),
    ],
)
def test_a_fault_is_a_death_at_its_moment(fault: Fault, expected: list[tuple[float, Event]]) -> None:
    executor = SimulatedExecutor(faults=[fault, Fault("somebody else", at_emission=1)])
    started(executor, "a", [1, 2])
    assert played(executor) == expected


def test_a_fault_strikes_while_an_answer_is_awaited() -> None:
    executor = SimulatedExecutor(faults=[Fault("a", after_s=7)])
    reservation = started(executor, "a", [1, 1])
    executor.events(None)
    assert executor.events(None) == [Died("a", DeathCause(signal="SIGKILL"))]
    executor.reply("a", 1, None)
    executor.start(executor.prepare(Walk()), reservation, Call("b", []))
    assert executor.events(None) == [Returned("b", [])]


def test_the_first_of_several_faults_counts() -> None:
    executor = SimulatedExecutor(faults=[Fault("a", at_emission=1), Fault("a", after_s=0.5, cause=CAUSE)])
    started(executor, "a", [1])
    assert played(executor) == [(0.5, Died("a", CAUSE))]


def test_a_fault_has_one_moment() -> None:
    for moments in ({}, {"at_emission": 1, "after_s": 1.0}):
        with pytest.raises(ValueError, match="either at_emission or after_s"):
            Fault("a", **moments)  # type: ignore[arg-type]


class Apart(Program):
    """Rank 0 emits after as many seconds as the argument's first number says; the others only take their own."""

    def steps(self, argument: Any) -> Steps:
        raise AssertionError("an executor runs steps_of")

    def steps_of(self, rank: Rank, argument: Any) -> Steps:
        yield Step(None if rank.number else "rank 0", argument[rank.number])
        return rank.number


def in_gang(executor: SimulatedExecutor, seconds: list[float], **options: Any) -> list[tuple[float, Event]]:
    """All that is told of a gang, each with its time."""
    reservation = executor.reserve(Request(Request().bundles * len(seconds), "SPREAD", gang=True))
    assert reservation is not None
    executor.start(executor.prepare(Apart()), reservation, Call("a", seconds, **options))
    told: list[tuple[float, Event]] = []
    while executor.clock() < 100:
        for event in executor.events(100):
            told.append((executor.clock(), event))
            if isinstance(event, Emitted):
                executor.reply(event.call_id, event.seq, None)
    return told


@pytest.mark.parametrize(
    ("seconds", "ends_at"), [([2, 1], 2), ([2, 8], 4), ([2, 10], 5), ([2, 12], 5), ([2, FOREVER], 5)]
)
def test_workers_of_a_gang_take_their_own_time_on_their_own_nodes(seconds: list[float], ends_at: float) -> None:
    nodes = [Node("slow", Resources.of(cpu=1)), Node("quick", Resources.of(cpu=1))]
    executor = SimulatedExecutor(nodes, speeds={"quick": 2.0})
    told = in_gang(executor, seconds, grace_s=3.0)
    assert told == [(2, Emitted("a", 1, "rank 0")), (ends_at, Returned("a", 0))]


def test_a_strike_ends_a_call_now_and_who_has_ended_is_spared() -> None:
    executor = SimulatedExecutor()
    started(executor, "a", [1, 1])
    executor.events(None)
    executor.strike("a", CAUSE)
    executor.strike("nobody", CAUSE)
    assert played(executor) == [(1, Died("a", CAUSE))]
    executor.strike("a", CAUSE)
    assert played(executor) == []


def two_nodes() -> SimulatedExecutor:
    return SimulatedExecutor([Node("here", Resources.of(cpu=1)), Node("there", Resources.of(cpu=1))])


def test_with_a_node_all_that_runs_there_is_lost_and_its_room_until_it_is_back() -> None:
    executor = two_nodes()
    rooms = [started(executor, name, [5]) for name in ("a", "b")]
    executor.lose("there")
    assert executor.events(None) == [Died("b", DeathCause(lost="node there is gone"))]
    executor.release(rooms[1])
    assert executor.reserve(Request()) is None
    executor.regain("there")
    assert executor.reserve(Request()).nodes == ("there",)
    assert executor.reserve(Request()) is None  # what was released while the node was gone came back with it, once


def test_a_call_on_a_node_that_is_gone_meanwhile_dies_as_it_starts() -> None:
    executor = two_nodes()
    room = executor.reserve(Request())
    executor.lose("here")
    executor.regain("here")
    executor.start(executor.prepare(Walk()), room, Call("a", [5]))
    assert RoomAdded() in (happened := executor.events(None))
    assert Died("a", DeathCause(lost="its node was gone before it started")) in happened


def test_only_a_node_that_is_there_is_lost_and_only_one_that_was_lost_comes_back() -> None:
    executor = two_nodes()
    with pytest.raises(ValueError, match="there is no node 'nowhere' to lose; there are here, there"):
        executor.lose("nowhere")
    with pytest.raises(ValueError, match="no node 'here' was lost"):
        executor.regain("here")


@pytest.mark.parametrize("fault", [Fault("a", after_s=1.5, rank=1), Fault("a", at_emission=1, rank=1)])
def test_a_fault_may_strike_any_worker_of_a_gang(fault: Fault) -> None:
    (death,) = in_gang(SimulatedExecutor(faults=[fault]), [2, 1.5, 9])
    assert death == (1.5, Died("a", DeathCause(signal="SIGKILL", rank=1)))


def test_a_gang_of_which_none_goes_on_is_a_deadlock() -> None:
    executor = SimulatedExecutor()
    reservation = executor.reserve(Request(Request().bundles * 2, gang=True))
    assert reservation is not None
    executor.start(executor.prepare(Apart()), reservation, Call("a", [1, FOREVER]))
    assert executor.events(None) == [Emitted("a", 1, "rank 0")]
    with pytest.raises(DeadlockError, match="the first is 'a'"):
        executor.events(None)


def test_waiting_for_nothing_is_a_deadlock() -> None:
    with pytest.raises(DeadlockError, match="no running call"):
        SimulatedExecutor().events(None)


def test_a_deadlock_names_who_waits() -> None:
    executor = SimulatedExecutor()
    started(executor, "a", [1, 1])
    executor.events(None)
    with pytest.raises(DeadlockError, match="1 calls wait for an answer, the first is 'a' at its emission 1"):
        executor.events(None)
    executor.reply("a", 1, None)
    assert executor.events(None) == [Emitted("a", 2, 1)]


def test_a_step_of_infinite_seconds_hangs_until_it_is_killed() -> None:
    executor = SimulatedExecutor()
    started(executor, "a", [FOREVER])
    assert executor.events(1e9) == []
    with pytest.raises(DeadlockError):
        executor.events(None)
    executor.kill("a", "it hung")
    assert executor.events(None) == [Died("a", DeathCause(killed="it hung"))]


def test_a_wake_is_kept_until_the_next_wait_and_stops_time_once() -> None:
    executor = SimulatedExecutor()
    started(executor, "a", [1])
    executor.wake()
    executor.wake()
    assert executor.events(None) == []
    assert executor.clock() == 0
    assert executor.events(None) == [Emitted("a", 1, 0)]


def test_a_wake_holds_back_nothing_that_is_due() -> None:
    executor = SimulatedExecutor()
    started(executor, "a", [])
    executor.wake()
    assert executor.events(None) == [Returned("a", [])]


@pytest.mark.parametrize("step", [Step(0, -1.0), Step(0, math.nan), "no step"])
def test_what_is_no_step_is_an_error_of_the_program(step: Any) -> None:
    class Wrong(Program):
        def steps(self, argument: Any) -> Steps:
            yield step

    executor = SimulatedExecutor()
    started(executor, "a", None, Wrong())
    (event,) = executor.events(None)
    assert isinstance(event, Raised)


def test_an_interrupt_is_the_persons_who_runs_the_simulation() -> None:
    class Interrupted(Program):
        def steps(self, argument: Any) -> Steps:
            yield Step(0)
            raise KeyboardInterrupt

    executor = SimulatedExecutor()
    started(executor, "a", None, Interrupted())
    executor.events(None)
    with pytest.raises(KeyboardInterrupt):
        executor.reply("a", 1, None)


def test_a_program_that_fails_while_it_is_closed_is_dead_all_the_same() -> None:
    class Clings(Program):
        def steps(self, argument: Any) -> Steps:
            try:
                yield Step(0)
            finally:
                raise ValueError("not yet")

    executor = SimulatedExecutor()
    started(executor, "a", None, Clings())
    executor.kill("a", "enough")
    assert executor.events(None) == [Died("a", DeathCause(killed="enough"))]


@pytest.mark.parametrize("speeds", [{"sim": 0}, {"sim": math.inf}, {"elsewhere": 1}])
def test_speeds_that_make_no_sense_are_refused(speeds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(speeds))):
        SimulatedExecutor(speeds=speeds)


def test_a_thousand_nodes_run_ten_thousand_calls_at_once() -> None:
    executor = SimulatedExecutor([Node(f"node-{number}", Resources.of(cpu=10)) for number in range(1000)])
    for number in range(10_000):
        started(executor, f"call-{number}", [1.0, number % 7])
    assert executor.reserve(Request()) is None
    assert sum(isinstance(event, Returned) for _, event in played(executor)) == 10_000
