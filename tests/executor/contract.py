"""What `TrialExecutor` promises, as tests. An implementation passes all of them, with no exceptions.

To bind one: a class that inherits from `ExecutorContract` and overrides `make_executor`, in a `test_*.py`.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest

from executor.errors import ExecutorClosedError, InfeasibleRequestError, ProgramNotPicklableError
from executor.interface import TrialExecutor
from executor.messages import Call, Died, Emitted, Event, Raised, Reservation, Returned
from executor.resources import Request, Resources
from tests.executor import programs
from tests.executor.conversation import DEADLINE_S, Conversation

TWO_CPUS = Resources.of(cpu=2)
FOUR_CPUS = Resources.of(cpu=4)


class Bound:
    """What every part of the contract uses."""

    @staticmethod
    def make_executor(*, cpus: float, gpus: float = 0, resources: Mapping[str, float] | None = None) -> TrialExecutor:
        """Open an executor of one node that has all this."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def shared(cls) -> Iterator[TrialExecutor]:
        """One executor of 4 cpus for many tests; each leaves it idle."""
        with cls.make_executor(cpus=4) as executor:
            yield executor

    @pytest.fixture
    def talk(self, shared: TrialExecutor) -> Iterator[Conversation]:
        """A conversation whose reservations are given back afterwards, and which has to fall silent then."""
        with Conversation(shared) as conversation:
            yield conversation


class CallContract(Bound):
    """Starting, emitting, answering, returning."""

    def test_emissions_are_numbered_from_one_and_then_the_value_is_returned(self, talk: Conversation) -> None:
        call = talk.start(programs.Echo(), ["a", "b"])
        first = talk.emission_of(call)
        talk.answer(first, 10)
        second = talk.emission_of(call)
        talk.answer(second, 20)
        assert [first, second] == [Emitted(call, 1, "a"), Emitted(call, 2, "b")]
        assert talk.next_of(call) == Returned(call, [10, 20])

    def test_a_program_that_emits_nothing_returns_its_value(self, talk: Conversation) -> None:
        call = talk.start(programs.Answer(), {"lr": 0.1})
        assert talk.next_of(call) == Returned(call, {"lr": 0.1})

    def test_a_program_waits_until_its_emission_is_answered(self, talk: Conversation) -> None:
        call = talk.start(programs.Echo(), [1, 2])
        emitted = talk.emission_of(call)
        talk.nothing_happens()
        talk.answer(emitted, "go on")
        assert talk.emission_of(call).payload == 2

    def test_a_program_that_only_tells_does_not_wait(self, talk: Conversation) -> None:
        call = talk.start(programs.Tell(), ["a", "b"])
        told = [talk.emission_of(call) for _ in range(2)]
        question = talk.emission_of(call)
        assert told == [Emitted(call, 1, "a", waits=False), Emitted(call, 2, "b", waits=False)]
        assert question == Emitted(call, 3, "question")
        talk.answer(question, "yes")
        assert [talk.emission_of(call).seq for _ in range(2)] == [4, 5]
        assert talk.next_of(call) == Returned(call, "yes")

    def test_an_answer_to_what_was_only_told_is_ignored(self, talk: Conversation) -> None:
        call = talk.start(programs.Tell(), ["a"])
        talk.answer(talk.emission_of(call), "taken for another")
        question = talk.emission_of(call)
        talk.nothing_happens()
        assert talk.returned_by_from(question, "yes") == "yes"

    def test_more_is_told_than_the_caller_has_taken(self, talk: Conversation) -> None:
        call = talk.start(programs.Tell(), [bytes(1000)] * 2000)
        assert talk.returned_by(call, "done") == "done"

    def test_a_program_that_tells_and_is_killed_has_one_ending(self, talk: Conversation) -> None:
        call = talk.start(programs.Tell(), ["a"])
        talk.emission_of(call)
        talk.executor.kill(call, "enough")
        while isinstance(event := talk.next_of(call), Emitted):
            pass
        assert isinstance(event, Died)
        assert event.cause.killed == "enough"

    def test_answers_given_together_reach_each_program(self, talk: Conversation) -> None:
        asked = [talk.emission_of(talk.start(programs.Echo(), [name])) for name in "abc"]
        with talk.executor.together():
            talk.answer(asked[0], 1)
            with pytest.raises(TypeError, match="lock"):
                talk.answer(asked[1], threading.Lock())
            talk.answer(asked[2], 3)
        assert [talk.next_of(asked[at].call_id) for at in (0, 2)] == [
            Returned(asked[0].call_id, [1]),
            Returned(asked[2].call_id, [3]),
        ]
        assert talk.returned_by_from(asked[1], 2) == [2]

    def test_each_answer_reaches_the_program_before_its_next_emission(self, talk: Conversation) -> None:
        call = talk.start(programs.Follow(0))
        for number in range(100):
            emitted = talk.emission_of(call)
            assert emitted.payload == number
            talk.answer(emitted, number + 1)
        assert talk.returned_by(call, "stop") == "stopped"

    def test_a_program_brings_its_own_attributes(self, talk: Conversation) -> None:
        assert talk.emission_of(talk.start(programs.Follow({"width": 3}))).payload == {"width": 3}

    def test_answering_an_emission_twice_answers_it_once(self, talk: Conversation) -> None:
        call = talk.start(programs.Echo(), [1, 2])
        emitted = talk.emission_of(call)
        talk.answer(emitted, "first")
        talk.answer(emitted, "second")
        last = talk.emission_of(call)
        talk.answer(emitted, "third")
        talk.nothing_happens()
        assert talk.returned_by_from(last, "last") == ["first", "last"]

    def test_an_answer_to_an_emission_that_is_still_to_come_is_ignored(self, talk: Conversation) -> None:
        call = talk.start(programs.Echo(), [1, 2])
        emitted = talk.emission_of(call)
        talk.executor.reply(call, emitted.seq + 1, "too early")
        talk.nothing_happens()
        assert talk.returned_by_from(emitted, "in time") == ["in time", "in time"]

    def test_an_answer_after_the_end_or_to_nobody_is_ignored(self, talk: Conversation) -> None:
        call = talk.start(programs.Echo(), [1])
        talk.returned_by(call)
        talk.executor.reply(call, 1, "late")
        talk.executor.reply(call, 2, "late")
        talk.executor.reply("nobody", 1, "lost")
        talk.nothing_happens()

    def test_two_calls_take_turns_as_they_are_answered(self, talk: Conversation) -> None:
        left, right = talk.start(programs.Follow("l")), talk.start(programs.Follow("r"))
        from_left, from_right = talk.emission_of(left), talk.emission_of(right)
        talk.answer(from_right, "r2")
        assert talk.emission_of(right).payload == "r2"
        talk.answer(from_left, "l2")
        assert talk.emission_of(left).payload == "l2"

    def test_one_waiting_call_does_not_hold_up_another(self, talk: Conversation) -> None:
        waiting, other = talk.start(programs.Follow(0)), talk.start(programs.Echo(), range(20))
        emitted = talk.emission_of(waiting)
        assert len(talk.returned_by(other)) == 20
        assert talk.returned_by_from(emitted, "stop") == "stopped"

    def test_many_calls_run_side_by_side(self, talk: Conversation) -> None:
        fifth = Request((Resources.of(cpu=0.2),))
        calls = [talk.start(programs.Follow(number), on=talk.reserve(fifth)) for number in range(20)]
        emissions = [talk.emission_of(call) for call in calls]
        assert [emitted.payload for emitted in emissions] == list(range(20))
        assert {talk.returned_by_from(emitted, "stop") for emitted in emissions} == {"stopped"}

    def test_different_programs_run_side_by_side(self, talk: Conversation) -> None:
        calls = [talk.start(programs.Answer(), 1), talk.start(programs.Echo(), [2]), talk.start(programs.Follow(3))]
        assert [talk.returned_by(call, "stop") for call in calls] == [1, ["stop"], "stopped"]

    @pytest.mark.parametrize("fresh", [True, False])
    def test_one_reservation_runs_call_after_call(self, talk: Conversation, fresh: bool) -> None:
        reservation = talk.reserve()
        for number in range(3):
            call = talk.start(programs.Echo(), [number], on=reservation, fresh=fresh)
            assert talk.returned_by(call, "ok") == ["ok"]
        talk.nothing_happens()

    def test_a_reservation_runs_another_program_after_the_first(self, talk: Conversation) -> None:
        reservation = talk.reserve()
        assert talk.returned_by(talk.start(programs.Echo(), [1], on=reservation, fresh=False)) == [None]
        assert talk.returned_by(talk.start(programs.Answer(), 2, on=reservation, fresh=False)) == 2

    def test_a_seed_decides_what_a_program_draws(self, talk: Conversation) -> None:
        drawn = {seed: self.draw(talk, seed) for seed in (1, 2, 2**40)}
        assert len({number for numbers in drawn.values() for number in numbers}) == 12
        assert self.draw(talk, 1) == drawn[1]

    def test_a_seed_decides_although_another_call_draws_in_between(self, talk: Conversation) -> None:
        alone = self.draw(talk, 7)
        calls = [talk.start(programs.Draw(), seed=seed) for seed in (7, 8)]
        first, other = [talk.emission_of(call) for call in calls]
        talk.answer(other)
        talk.emission_of(calls[1])
        talk.answer(first)
        assert [*first.payload, *talk.emission_of(calls[0]).payload] == alone

    def test_a_process_that_is_used_again_is_seeded_again(self, talk: Conversation) -> None:
        reservation = talk.reserve()
        again = {"on": reservation, "fresh": False}
        assert self.draw(talk, 3, **again) == self.draw(talk, 3, **again) == self.draw(talk, 3)

    def draw(self, talk: Conversation, seed: int, **options: Any) -> list[float]:
        reservation = options.pop("on", None) or talk.reserve()
        call = talk.start(programs.Draw(), seed=seed, on=reservation, **options)
        numbers = []
        while isinstance(event := talk.next_of(call), Emitted):
            numbers += event.payload
            talk.answer(event)
        if not options:
            talk.executor.release(reservation)
        return numbers


class EndingContract(Bound):
    """Raising, exiting, being killed or cancelled: exactly one ending, with its cause."""

    def test_an_exception_is_told_with_the_users_own_frames(self, talk: Conversation) -> None:
        error = self.raised(talk, programs.Fail(), "no such luck")
        assert (error.type_name, error.message, str(error)) == (
            "ValueError",
            "no such luck",
            "ValueError: no such luck",
        )
        files = [line for line in error.traceback.splitlines() if line.lstrip().startswith("File ")]
        assert files
        assert all("programs.py" in line for line in files), error.traceback
        assert "raise ValueError(argument)" in error.traceback

    def test_an_exception_is_told_with_its_file_line_and_function(self, talk: Conversation) -> None:
        error = self.raised(talk, programs.Fail(), "chained")
        line = programs.fail_with_a_cause.__code__.co_firstlineno + 4
        assert error.where == f"{programs.__file__}:{line} in fail_with_a_cause"

    def test_an_exception_is_told_with_its_cause(self, talk: Conversation) -> None:
        text = self.raised(talk, programs.Fail(), "chained").traceback
        assert text.index("KeyError: 'width'") < text.index("direct cause") < text.index("has no width")

    @pytest.mark.parametrize(
        ("kind", "type_name", "message"),
        [
            ("own", "OutOfLuckError", "luck ran out after 3"),
            ("base", "Stubborn", "told to stop"),
            ("unprintable", "UnprintableError", None),
        ],
    )
    def test_any_class_of_exception_is_told(
        self, talk: Conversation, kind: str, type_name: str, message: str | None
    ) -> None:
        error = self.raised(talk, programs.Fail(), kind)
        assert error.type_name == type_name
        assert message in (None, error.message)

    def test_a_program_that_fails_before_its_first_step_has_raised(self, talk: Conversation) -> None:
        assert self.raised(talk, programs.FailAtOnce()).type_name == "LookupError"

    def test_a_program_that_cannot_be_loaded_has_raised(self, talk: Conversation) -> None:
        error = self.raised(talk, programs.Unloadable())
        assert "this machine lacks what the program needs" in error.traceback

    @pytest.mark.parametrize("how", ["emit", "return"])
    def test_a_value_that_cannot_be_sent_is_an_error_of_the_program(self, talk: Conversation, how: str) -> None:
        assert self.raised(talk, programs.SendLock(), how).type_name == "TypeError"

    def test_an_argument_that_cannot_be_sent_is_an_error_of_the_program(self, talk: Conversation) -> None:
        assert self.raised(talk, programs.Answer(), threading.Lock()).type_name == "TypeError"

    def test_a_program_that_cannot_be_pickled_is_refused(self, talk: Conversation) -> None:
        with pytest.raises(ProgramNotPicklableError, match="lock"):
            talk.executor.prepare(programs.Lock())

    @pytest.mark.parametrize(("code", "exit_code"), [(3, 3), (0, 0), (None, 0), ("out of ideas", 1)])
    def test_leaving_by_sys_exit_is_a_death_with_its_exit_code(
        self, talk: Conversation, code: object, exit_code: int
    ) -> None:
        ending = talk.end_of(talk.start(programs.Exit(), code))
        assert isinstance(ending, Died)
        assert (ending.cause.exit_code, ending.cause.signal, ending.cause.killed) == (exit_code, None, None)
        assert f"code {exit_code}" in str(ending.cause)

    def test_a_killed_call_dies_of_the_reason_given(self, talk: Conversation) -> None:
        call = talk.start(programs.Follow(0))
        emitted = talk.emission_of(call)
        talk.executor.kill(call, "it used too much time")
        talk.answer(emitted, "stop")
        ending = talk.end_of(call)
        assert isinstance(ending, Died)
        assert ending.cause.killed == str(ending.cause) == "it used too much time"

    def test_a_call_can_be_killed_as_soon_as_it_is_started(self, talk: Conversation) -> None:
        call = talk.start(programs.Follow(0))
        talk.executor.kill(call, "changed my mind")
        while isinstance(event := talk.next_of(call), Emitted):
            pass  # it may have come that far
        assert isinstance(event, Died)
        assert event.cause.killed == "changed my mind"

    def test_killing_twice_kills_once(self, talk: Conversation) -> None:
        call = talk.start(programs.Follow(0))
        talk.emission_of(call)
        talk.executor.kill(call, "first")
        talk.executor.kill(call, "second")
        ending = talk.end_of(call)
        assert isinstance(ending, Died)
        assert ending.cause.killed == "first"
        talk.nothing_happens()

    def test_killing_or_cancelling_an_ended_or_unknown_call_does_nothing(self, talk: Conversation) -> None:
        call = talk.start(programs.Answer(), 1)
        talk.returned_by(call)
        for name in (call, "nobody"):
            talk.executor.kill(name, "too late")
            talk.executor.cancel(name)
        talk.nothing_happens()

    def test_cancelling_leaves_the_end_to_the_program(self, talk: Conversation) -> None:
        call = talk.start(programs.Follow(0))
        emitted = talk.emission_of(call)
        talk.executor.cancel(call)
        talk.executor.cancel(call)
        talk.nothing_happens()
        assert talk.returned_by_from(emitted, "stop") == "stopped"

    def test_a_program_that_tells_for_ever_waits_for_an_answer_once_cancelled(self, talk: Conversation) -> None:
        call = talk.start(programs.TellForever(), "on and on")
        assert not talk.emission_of(call).waits
        talk.executor.cancel(call)
        while not (emitted := talk.emission_of(call)).waits:
            pass  # told before it could know
        assert emitted.payload == "on and on"
        talk.nothing_happens()
        assert talk.returned_by_from(emitted, "stop") == "stop"

    @pytest.mark.parametrize("fresh", [True, False])
    @pytest.mark.parametrize("end", ["raise", "exit", "kill"])
    def test_a_reservation_outlives_the_bad_end_of_a_call(self, talk: Conversation, end: str, fresh: bool) -> None:
        reservation = talk.reserve()
        program = programs.Exit() if end == "exit" else programs.Fail()
        call = talk.start(program, "the first", on=reservation, fresh=fresh)
        emitted = talk.emission_of(call)
        if end == "kill":
            talk.executor.kill(call, "enough")
        talk.answer(emitted)
        assert isinstance(talk.next_of(call), Raised if end == "raise" else Died)
        again = talk.start(programs.Answer(), "the second", on=reservation, fresh=fresh)
        assert talk.returned_by(again) == "the second"

    def test_one_call_ends_badly_and_the_others_go_on(self, talk: Conversation) -> None:
        survivor = talk.start(programs.Follow(0))
        emitted = talk.emission_of(survivor)
        victims = [talk.start(programs.Exit(), 9), talk.start(programs.Fail(), "x"), talk.start(programs.Follow(0))]
        talk.executor.kill(victims[2], "enough")
        kinds = [type(talk.end_of(victim)) for victim in victims]
        assert kinds == [Died, Raised, Died]
        assert talk.returned_by_from(emitted, "stop") == "stopped"

    def raised(self, talk: Conversation, program: Any, argument: Any = None) -> Any:
        ending = talk.end_of(talk.start(program, argument))
        assert isinstance(ending, Raised), ending
        return ending.error


class ReservationContract(Bound):
    """Room held, refused and given back."""

    def test_the_nodes_say_what_there_is(self) -> None:
        with self.make_executor(cpus=3, gpus=2, resources={"licence": 1}) as executor:
            (node,) = executor.nodes()
            assert node.name
            assert (node.capacity["cpu"], node.capacity["gpu"], node.capacity["licence"]) == (3, 2, 1)

    def test_a_reservation_names_a_node_for_each_bundle(self, talk: Conversation) -> None:
        request = Request((Resources.of(cpu=1), Resources.of(cpu=2)))
        one, two = talk.reserve(request), talk.reserve()
        (node,) = talk.executor.nodes()
        assert (one.request, one.nodes, two.nodes) == (request, (node.name, node.name), (node.name,))
        assert one.reservation_id != two.reservation_id

    def test_what_does_not_fit_now_gets_none_until_room_is_freed(self, talk: Conversation) -> None:
        held = talk.reserve(Request((FOUR_CPUS,)))
        assert talk.executor.reserve(Request()) is None
        talk.executor.release(held)
        talk.room_freed()
        assert talk.reserve(Request((FOUR_CPUS,))).reservation_id != held.reservation_id

    def test_several_bundles_are_held_all_or_none(self, talk: Conversation) -> None:
        talk.reserve(Request((Resources.of(cpu=1),)))
        assert talk.executor.reserve(Request((TWO_CPUS, TWO_CPUS))) is None
        talk.reserve(Request((Resources.of(cpu=3),)))

    def test_fractions_add_up_exactly(self, talk: Conversation) -> None:
        tenth = Request((Resources.of(cpu=0.1),))
        for _ in range(40):
            talk.reserve(tenth)
        assert talk.executor.reserve(tenth) is None

    def test_each_kind_of_resource_counts_by_itself(self) -> None:
        has = {"licence": 2.0}
        with self.make_executor(cpus=4, gpus=1, resources=has) as executor, Conversation(executor) as talk:
            half = Request((Resources.of(cpu=1, gpu=0.5),))
            licence = Request((Resources.of(cpu=1, licence=1),))
            for request in (half, half, licence):
                talk.reserve(request)
            assert executor.reserve(half) is None
            talk.reserve(licence)
            assert executor.reserve(Request()) is None

    @pytest.mark.parametrize(
        ("request_", "words"),
        [
            (Request((Resources.of(cpu=5),)), ["cpu 5", "cpu 4", "1 cpu missing"]),
            (Request((Resources.of(cpu=1, unicorn=1),)), ["unicorn 1", "1 unicorn missing"]),
            (Request((Resources.of(cpu=3), Resources.of(cpu=2))), ["cpu 3", "cpu 2", "cpu 4"]),
            (Request((Resources.of(cpu=1),) * 2, "STRICT_SPREAD"), ["STRICT_SPREAD", "2 different nodes"]),
        ],
    )
    def test_what_can_never_fit_is_refused_and_told_why(
        self, talk: Conversation, request_: Request, words: list[str]
    ) -> None:
        with pytest.raises(InfeasibleRequestError) as caught:
            talk.executor.reserve(request_)
        assert [word for word in words if word not in str(caught.value)] == []
        talk.reserve(Request((FOUR_CPUS,)))

    def test_a_call_runs_on_several_bundles(self, talk: Conversation) -> None:
        assert talk.returned_by(talk.start(programs.Answer(), 1, on=talk.reserve(Request((TWO_CPUS,) * 2)))) == 1

    def test_a_call_starts_on_room_that_is_held_and_empty_or_not_at_all(self, talk: Conversation) -> None:
        prepared, busy, released = talk.executor.prepare(programs.Answer()), talk.reserve(), talk.reserve()
        running = talk.start(programs.Follow(0), on=busy)
        talk.executor.release(released)
        with pytest.raises(ValueError, match=running):
            talk.executor.start(prepared, busy, Call("second", None))
        with pytest.raises(ValueError, match="released"):
            talk.executor.start(prepared, released, Call("third", None))
        with pytest.raises(ValueError, match=running):
            talk.executor.start(prepared, talk.reserve(), Call(running, None))
        assert talk.returned_by(running, "stop") == "stopped"

    def test_releasing_kills_the_call_that_still_runs_there(self, talk: Conversation) -> None:
        reservation = talk.reserve(Request((FOUR_CPUS,)))
        call = talk.start(programs.Follow(0), on=reservation)
        emitted = talk.emission_of(call)
        talk.executor.release(reservation)
        talk.answer(emitted, "stop")
        assert isinstance(talk.end_of(call), Died)
        talk.room_freed()
        assert talk.returned_by(talk.start(programs.Answer(), 1, on=talk.reserve(Request((FOUR_CPUS,))))) == 1

    def test_releasing_twice_frees_once(self, talk: Conversation) -> None:
        held, other = talk.reserve(Request((TWO_CPUS,))), talk.reserve(Request((TWO_CPUS,)))
        talk.executor.release(held)
        talk.executor.release(held)
        talk.room_freed()
        talk.nothing_happens()
        talk.executor.release(held)
        talk.reserve(Request((TWO_CPUS,)))
        assert talk.executor.reserve(Request()) is None
        talk.executor.release(other)
        talk.room_freed()

    def test_room_goes_round_many_times(self, talk: Conversation) -> None:
        for number in range(20):
            reservation = talk.reserve(Request((FOUR_CPUS,)))
            assert talk.returned_by(talk.start(programs.Answer(), number, on=reservation)) == number
            talk.executor.release(reservation)
            talk.room_freed()


class GangContract(Bound):
    """Calls that run in every bundle of their reservation, and are one call all the same."""

    def gang(self, talk: Conversation, size: int = 2) -> Reservation:
        return talk.reserve(Request((Resources.of(cpu=1),) * size, gang=True))

    def start(self, talk: Conversation, *script: Sequence[str], on: Reservation | None = None, **options: Any) -> str:
        return talk.start(programs.Scripted(), script, on=on or self.gang(talk, len(script)), **options)

    def test_every_bundle_runs_the_program_and_rank_0_is_the_call(self, talk: Conversation) -> None:
        call = self.start(talk, ["emit", "emit"], [], [])
        for answer in ("a", "b"):
            emitted = talk.emission_of(call)
            assert emitted.payload == (0, 3)
            talk.answer(emitted, answer)
        assert talk.next_of(call) == Returned(call, ["a", "b"])
        talk.nothing_happens()

    def test_a_call_in_one_bundle_of_several_is_no_gang(self, talk: Conversation) -> None:
        call = talk.start(programs.Scripted(), [["emit"]], on=talk.reserve(Request((Resources.of(cpu=1),) * 2)))
        assert talk.emission_of(call).payload == (0, 1)

    def test_a_gang_of_one_ends_as_a_call_alone(self, talk: Conversation) -> None:
        assert talk.returned_by(self.start(talk, ["emit"]), "x") == ["x"]
        raised = talk.end_of(self.start(talk, ["raise"]))
        assert isinstance(raised, Raised)
        assert str(raised.error) == "ValueError: rank 0 of 1 has raised"

    def test_a_gang_has_ended_when_all_have(self, talk: Conversation, tmp_path: Path) -> None:
        call = self.start(talk, ["emit"], [f"wait {tmp_path / 'go'}"], grace_s=DEADLINE_S / 2)
        talk.answer(talk.emission_of(call), "early")
        talk.nothing_happens()
        (tmp_path / "go").touch()
        assert talk.next_of(call) == Returned(call, ["early"])

    def test_who_goes_on_after_rank_0_has_returned_is_ended(self, talk: Conversation) -> None:
        call = self.start(talk, ["emit"], ["for ever"], ["for ever"], grace_s=0.1)
        assert talk.returned_by(call, "value") == ["value"]
        talk.nothing_happens()

    def test_others_may_return_long_before_rank_0(self, talk: Conversation) -> None:
        call = self.start(talk, ["emit", "emit"], [])
        emitted = talk.emission_of(call)
        talk.nothing_happens()
        assert talk.returned_by_from(emitted, 1) == [1, 1]

    def test_a_rank_that_exits_ends_all(self, talk: Conversation) -> None:
        call = self.start(talk, ["emit", "emit"], ["exit 7"], ["for ever"])
        ending = talk.end_of(call)
        assert isinstance(ending, Died)
        assert (ending.cause.rank, ending.cause.exit_code, ending.cause.killed) == (1, 7, None)
        assert str(ending.cause) == "rank 1: the process exited with code 7 before the function returned"
        talk.nothing_happens()

    @pytest.mark.parametrize("rank", [0, 2])
    def test_a_rank_that_raises_ends_all_and_is_named(self, talk: Conversation, rank: int) -> None:
        script = [["for ever"] if other else ["emit", "emit", "emit"] for other in range(3)]
        script[rank] = ["raise"]
        ending = talk.end_of(self.start(talk, *script))
        assert isinstance(ending, Raised)
        assert (ending.error.rank, ending.error.type_name) == (rank, "ValueError")
        assert str(ending.error) == f"rank {rank}: ValueError: rank {rank} of 3 has raised"
        assert ending.error.traceback.startswith(f"In rank {rank} of 3:\nTraceback")
        assert "programs.py" in ending.error.where
        talk.nothing_happens()

    def test_only_rank_0_can_emit(self, talk: Conversation) -> None:
        ending = talk.end_of(self.start(talk, ["emit", "emit"], ["emit"]))
        assert isinstance(ending, Raised)
        assert str(ending.error) == "rank 1: RuntimeError: rank 1 of 2 cannot emit: in a gang only rank 0 does"

    def test_killing_a_gang_kills_all(self, talk: Conversation) -> None:
        call = self.start(talk, ["emit"], ["for ever"])
        emitted = talk.emission_of(call)
        talk.executor.kill(call, "enough")
        talk.executor.kill(call, "more than enough")
        talk.answer(emitted)
        ending = talk.end_of(call)
        assert isinstance(ending, Died)
        assert ending.cause.killed == str(ending.cause) == "enough"
        talk.nothing_happens()

    def test_a_gang_can_be_killed_after_rank_0_has_returned(self, talk: Conversation) -> None:
        call = self.start(talk, ["emit"], ["for ever"], grace_s=DEADLINE_S)
        talk.answer(talk.emission_of(call))
        talk.nothing_happens()
        talk.executor.kill(call, "it takes too long")
        ending = talk.next_of(call)
        assert isinstance(ending, Died)
        assert ending.cause.killed == "it takes too long"

    def test_once_the_caller_has_asked_for_the_end_only_that_of_rank_0_counts(
        self, talk: Conversation, tmp_path: Path
    ) -> None:
        call = self.start(talk, ["emit"], [f"wait {tmp_path / 'go'}", "raise"])
        emitted = talk.emission_of(call)
        talk.executor.cancel(call)
        (tmp_path / "go").touch()
        talk.nothing_happens()
        assert talk.returned_by_from(emitted, "told to leave") == ["told to leave"]

    def test_all_ranks_draw_alike(self, talk: Conversation) -> None:
        first = talk.emission_of(talk.start(programs.Draw(), seed=9))
        talk.returned_by(talk.start(programs.CheckDraw(), first.payload, seed=9, on=self.gang(talk, 3)))

    def test_a_reservation_runs_gang_after_gang(self, talk: Conversation) -> None:
        reservation = self.gang(talk)
        for script in ([["emit"], []], [["emit"], ["raise"]], [["emit"], []]):
            call = self.start(talk, *script, on=reservation, fresh=False)
            assert isinstance(talk.end_of(call, 1), Raised if script[1] else Returned)

    def test_a_gang_holds_its_reservation_until_all_have_ended(self, talk: Conversation) -> None:
        reservation = self.gang(talk)
        call = self.start(talk, ["emit"], ["for ever"], on=reservation, grace_s=DEADLINE_S)
        talk.answer(talk.emission_of(call))
        talk.nothing_happens()
        prepared = talk.executor.prepare(programs.Answer())
        for on, name in ((reservation, "second"), (talk.reserve(), call)):
            with pytest.raises(ValueError, match=call):
                talk.executor.start(prepared, on, Call(name, None))
        talk.executor.release(reservation)
        assert isinstance(talk.next_of(call), Died)
        talk.room_freed()
        talk.reserve(Request((Resources.of(cpu=3),)))

    def test_one_gang_fails_and_another_goes_on(self, talk: Conversation) -> None:
        survivor, victim = self.start(talk, ["emit"], []), self.start(talk, ["emit", "emit"], ["raise"])
        emitted = talk.emission_of(survivor)
        assert isinstance(talk.end_of(victim), Raised)
        assert talk.returned_by_from(emitted, 1) == [1]


class TimeContract(Bound):
    """Clocks, deadlines and waking."""

    def test_the_clock_goes_forward_and_the_wall_clock_with_it(self, talk: Conversation) -> None:
        before, wall_before = talk.executor.clock(), talk.executor.wall_clock()
        talk.nothing_happens()
        passed, wall_passed = talk.executor.clock() - before, talk.executor.wall_clock() - wall_before
        assert passed > 0
        assert wall_before > 1_500_000_000
        assert wall_passed == pytest.approx(passed, abs=0.5)

    def test_waiting_ends_when_the_time_has_come(self, talk: Conversation) -> None:
        until = talk.executor.clock() + 0.05
        while talk.executor.clock() < until:
            assert talk.executor.events(until) == []
        assert talk.executor.clock() < until + DEADLINE_S

    def test_a_time_that_is_over_is_not_waited_for(self, talk: Conversation) -> None:
        before = talk.executor.clock()
        assert (
            talk.executor.events(before) == talk.executor.events(before - 10) == talk.executor.events(-math.inf) == []
        )
        assert talk.executor.clock() < before + DEADLINE_S

    def test_what_has_happened_is_found_without_waiting(self, talk: Conversation) -> None:
        call = talk.start(programs.Answer(), 1)
        give_up_at = time.monotonic() + DEADLINE_S
        while not (events := talk.events(talk.executor.clock())):
            assert time.monotonic() < give_up_at
        assert events == [Returned(call, 1)]

    def test_waiting_without_limit_ends_with_the_first_event(self, talk: Conversation) -> None:
        call = talk.start(programs.Answer(), 1)
        events: list[Event] = []
        while not events:
            events = talk.events(None)
        assert events == [Returned(call, 1)]

    def test_a_call_wakes_the_wait_that_follows(self, talk: Conversation) -> None:
        waker = threading.Thread(target=talk.executor.wake)
        waker.start()
        waker.join()
        before = talk.executor.clock()
        assert talk.executor.events(before + DEADLINE_S) == []
        assert talk.executor.clock() < before + DEADLINE_S

    @pytest.mark.parametrize("by_signal", [False, True])
    def test_a_wait_is_woken_by_another_thread_or_a_signal(self, talk: Conversation, by_signal: bool) -> None:
        before = signal.signal(signal.SIGUSR1, lambda *_: talk.executor.wake())
        wake = (lambda: os.kill(os.getpid(), signal.SIGUSR1)) if by_signal else talk.executor.wake
        waker = threading.Timer(0.05, wake)
        waker.start()
        started_at = time.monotonic()
        assert talk.executor.events(talk.executor.clock() + 2 * DEADLINE_S) == []
        assert time.monotonic() - started_at < DEADLINE_S
        waker.join()
        talk.executor.events(talk.executor.clock())  # in virtual time the wait was over before the waker came
        signal.signal(signal.SIGUSR1, before)

    def test_other_threads_may_start_answer_and_release(self, talk: Conversation) -> None:
        reservation = self.in_a_thread(talk.reserve)
        call = self.in_a_thread(lambda: talk.start(programs.Echo(), [1], on=reservation))
        emitted = talk.emission_of(call)
        self.in_a_thread(lambda: talk.answer(emitted, "from elsewhere"))
        assert talk.next_of(call) == Returned(call, ["from elsewhere"])
        self.in_a_thread(lambda: talk.executor.release(reservation))
        talk.room_freed()

    def in_a_thread(self, act: Callable[[], Any]) -> Any:
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(act()))
        thread.start()
        thread.join()
        return results[0]


class PayloadContract(Bound):
    """Whatever Python values travel, in both directions."""

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "snö ☃ \ud800",
            b"\x00\xff",
            (1, [2.5, {"deep": {"deeper": [None, True]}}], {3}, 2**100),
            {("tuple", 1): "key", 2: math.inf},
            programs.Follow,
            Resources.of(cpu=0.5, memory=2**30),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_values_arrive_as_they_were(self, talk: Conversation, value: Any) -> None:
        call = talk.start(programs.Describe(), value)
        inside, back = talk.emission_of(call), None
        assert inside.payload == (type(value).__name__, repr(value)[:200])
        talk.answer(inside)
        back = talk.emission_of(call)
        assert back.payload == value
        assert talk.returned_by(talk.start(programs.Echo(), [0]), value) == [value]

    @pytest.mark.parametrize("dtype", ["float32", "int64", "U3", "M8[s]"])
    def test_arrays_arrive_as_they_were(self, talk: Conversation, dtype: str) -> None:
        array = numpy.array([[1, 2, 3], [4, 5, 6]]).astype(dtype)[:, ::2]
        (back,) = talk.returned_by(talk.start(programs.Echo(), [0]), array)
        assert back.dtype == array.dtype
        assert numpy.array_equal(back, array)

    def test_arrays_that_arrive_can_be_written_to(self, talk: Conversation) -> None:
        call = talk.start(programs.Double(), numpy.ones(3))
        first = talk.emission_of(call)
        first.payload[0] = 100
        talk.answer(first, first.payload)
        assert talk.emission_of(call).payload.tolist() == [200, 4, 4]

    def test_what_was_sent_may_be_changed_at_once(self, talk: Conversation) -> None:
        array = numpy.ones(3_000_000)
        call = talk.start(programs.Double(), array)
        array[:] = 7
        first = talk.emission_of(call)
        assert set(first.payload) == {2}
        array[:] = 3
        talk.answer(first, array)
        array[:] = 7
        assert set(talk.emission_of(call).payload) == {6}

    def test_a_call_can_be_killed_while_a_large_answer_is_on_its_way(self, talk: Conversation) -> None:
        reservation = talk.reserve()
        call = talk.start(programs.Follow(0), on=reservation, fresh=False)
        talk.answer(talk.emission_of(call), b"y" * 10_000_000)
        talk.executor.kill(call, "enough")
        while isinstance(event := talk.next_of(call), Emitted):
            pass  # the answer may have been quicker
        assert isinstance(event, Died)
        assert talk.returned_by(talk.start(programs.Answer(), 1, on=reservation, fresh=False)) == 1

    def test_an_answer_that_cannot_be_sent_is_the_callers_error(self, talk: Conversation) -> None:
        emitted = talk.emission_of(talk.start(programs.Follow(0)))
        with pytest.raises(TypeError, match="lock"):
            talk.answer(emitted, threading.Lock())
        assert talk.returned_by_from(emitted, "stop") == "stopped"

    def test_ten_megabytes_travel_both_ways(self, talk: Conversation) -> None:
        size = 10_000_000
        call = talk.start(programs.Blow(), size)
        up = talk.emission_of(call)
        assert (up.payload.nbytes, int(up.payload[-1])) == (size, (size - 1) % 256)
        talk.answer(up, b"y" * size)
        echoed = talk.emission_of(call)
        assert echoed.payload == (size, ord("y"))
        talk.answer(echoed)
        assert talk.next_of(call) == Returned(call, b"x" * size)

    def test_ten_megabytes_travel_as_an_argument(self, talk: Conversation) -> None:
        argument = numpy.ones(1_250_000)
        assert talk.returned_by(talk.start(programs.Answer(), argument)).sum() == 1_250_000


class ClosingContract(Bound):
    """The end of the executor itself."""

    @pytest.mark.timeout(60)
    def test_closing_ends_what_runs_and_may_be_done_again(self) -> None:
        executor = self.make_executor(cpus=4)
        talk = Conversation(executor)
        talk.emission_of(talk.start(programs.Follow(0)))
        talk.start(programs.Echo(), [1])
        talk.reserve()
        executor.close()
        executor.close()

    def test_a_closed_executor_refuses_work(self) -> None:
        with self.make_executor(cpus=1) as executor:
            reservation = executor.reserve(Request())
            assert reservation is not None
            prepared = executor.prepare(programs.Answer())
        for use in (
            lambda: executor.prepare(programs.Answer()),
            lambda: executor.reserve(Request()),
            lambda: executor.start(prepared, reservation, Call("late", None)),
            lambda: executor.events(0.0),
        ):
            with pytest.raises(ExecutorClosedError):
                use()

    def test_calls_that_ended_with_the_executor_can_still_be_let_go(self) -> None:
        executor = self.make_executor(cpus=1)
        talk = Conversation(executor)
        reservation = talk.reserve()
        call = talk.start(programs.Follow(0), on=reservation)
        talk.emission_of(call)
        executor.close()
        executor.reply(call, 1, "stop")
        executor.kill(call, "too late")
        executor.cancel(call)
        executor.release(reservation)
        executor.wake()

    def test_an_executor_that_did_nothing_closes(self) -> None:
        self.make_executor(cpus=1).close()

    def test_two_executors_live_side_by_side(self) -> None:
        with self.make_executor(cpus=1) as one, self.make_executor(cpus=1) as two:
            first, second = Conversation(one), Conversation(two)
            calls = first.start(programs.Follow("in one")), second.start(programs.Follow("in two"))
            assert first.emission_of(calls[0]).payload == "in one"
            one.close()
            assert second.emission_of(calls[1]).payload == "in two"


class ExecutorContract(
    CallContract, EndingContract, ReservationContract, GangContract, TimeContract, PayloadContract, ClosingContract
):
    """All of it."""
