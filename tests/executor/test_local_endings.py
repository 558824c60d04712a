"""How calls in real processes end, and what they leave in their logs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.local import LocalExecutor
from executor.messages import Call, Died, Emitted, Event, Raised, Reservation
from executor.resources import Request
from tests.executor import local_programs as programs
from tests.executor.conversation import DEADLINE_S, Conversation
from tests.executor.local_processes import gone_afterwards
from tests.executor.local_programs import Run


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(cpus=4, log_cap_bytes=100_000) as executor:
        yield executor


@pytest.fixture
def talk(executor: LocalExecutor) -> Iterator[Conversation]:
    with Conversation(executor) as talk:
        yield talk


def died(talk: Conversation, call: str, answer: object = None) -> Died:
    ending = talk.end_of(call, answer)
    assert isinstance(ending, Died), ending
    return ending


@pytest.mark.parametrize(
    ("how", "exit_code", "name"),
    [("segfault", None, "SIGSEGV"), ("_exit", 3, None), ("terminate", None, "SIGTERM"), ("abandon", None, "SIGKILL")],
)
def test_a_death_is_named(
    talk: Conversation, tmp_path: Path, how: str, exit_code: int | None, name: str | None
) -> None:
    call = talk.start(Run(programs.end_as_told), log_path=str(tmp_path / "log"))
    cause = died(talk, call, how).cause
    assert (cause.exit_code, cause.signal, cause.killed) == (exit_code, name, None)
    if how == "segfault":
        assert "end_as_told" in cause.log_tail, "faulthandler's stack belongs into the log"


def test_a_kill_from_outside_is_named(talk: Conversation) -> None:
    call = talk.start(Run(programs.end_as_told))
    os.kill(talk.emission_of(call).payload, signal.SIGKILL)
    assert died(talk, call).cause.signal == "SIGKILL"


def test_a_death_brings_the_last_lines_of_the_log(talk: Conversation, tmp_path: Path) -> None:
    log = tmp_path / "not" / "there" / "yet.log"
    cause = died(talk, talk.start(Run(programs.say), list("abc") * 10, log_path=str(log))).cause
    assert cause.exit_code == 4
    assert cause.log_tail == "\n".join((list("abc") * 10)[-20:])
    assert log.read_text().split() == list("abc") * 10


def test_an_exception_brings_the_last_lines_of_the_log(talk: Conversation, tmp_path: Path) -> None:
    def speak_and_raise(channel: object, argument: object) -> None:
        print("so far so good")
        raise ValueError("no longer")

    call = talk.start(Run(speak_and_raise), log_path=str(tmp_path / "log"))
    ending = talk.end_of(call)
    assert isinstance(ending, Raised)
    assert ending.error.log_tail == "so far so good"
    assert ending.error.where.endswith("in speak_and_raise")


def test_a_silent_call_leaves_no_log(executor: LocalExecutor, tmp_path: Path) -> None:
    with Conversation(executor) as talk:
        for fresh in (True, False, False):
            call = talk.start(Run(programs.say_and_return), "", fresh=fresh, log_path=str(tmp_path / "silent"))
            talk.returned_by(call)
        call = talk.start(Run(programs.say_and_return), "words", log_path=str(tmp_path / "spoken"))
        talk.returned_by(call)
    assert [path.name for path in tmp_path.iterdir()] == ["spoken"]


def test_each_call_of_a_kept_process_has_its_own_log(executor: LocalExecutor, tmp_path: Path) -> None:
    with Conversation(executor) as talk:
        reservation = talk.reserve()
        for name in ("first", "", "second"):
            log = str(tmp_path / (name or "silent"))
            call = talk.start(Run(programs.say_and_return), name, on=reservation, fresh=False, log_path=log)
            talk.returned_by(call)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"first": "first", "second": "second"}


def test_a_log_that_another_process_still_uses_is_kept(executor: LocalExecutor, tmp_path: Path) -> None:
    log = tmp_path / "of both"
    with Conversation(executor) as talk:
        waiting = talk.start(Run(programs.end_as_told), log_path=str(log))
        emitted = talk.emission_of(waiting)
        reservation = talk.reserve()
        silent = talk.start(Run(programs.say_and_return), "", on=reservation, log_path=str(log))
        talk.returned_by(silent)
        executor.release(reservation)
        talk.room_freed()
        assert log.exists()
        assert talk.returned_by_from(emitted, "done") == "done"
    assert not log.exists()


@pytest.mark.fault("F32")
def test_a_flood_of_output_is_cut_and_its_end_kept(executor: LocalExecutor, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Conversation(executor) as talk:
        call = talk.start(Run(programs.flood), 1_000_000, log_path=str(log))
        emitted = talk.emission_of(call)
        until = executor.clock() + DEADLINE_S
        while log.stat().st_size > 100_000:
            assert executor.clock() < until
            assert executor.events(until) == []
        text = log.read_text()
        assert text.startswith("[... earlier output was dropped")
        assert text.endswith("x\nthe end\n")
        talk.returned_by_from(emitted, None)


def test_exit_functions_run_after_the_value_is_told(talk: Conversation, tmp_path: Path) -> None:
    reservation = talk.reserve()
    path = tmp_path / "from an exit function"
    talk.returned_by(talk.start(Run(programs.write_at_exit), str(path), on=reservation))
    talk.executor.release(reservation)
    talk.room_freed()
    assert path.read_text() == "written"


def test_a_crash_after_returning_takes_nothing_back(talk: Conversation) -> None:
    assert talk.returned_by(talk.start(Run(programs.crash_at_exit))) == "returned"


def test_a_hanging_exit_is_ended(talk: Conversation) -> None:
    pid = talk.returned_by(talk.start(Run(programs.hang_at_exit)))
    with gone_afterwards(pid, within_s=DEADLINE_S):
        pass


def test_only_the_worker_itself_can_emit(talk: Conversation) -> None:
    assert talk.returned_by(talk.start(Run(programs.emit_from_a_fork))) == 7


def test_what_cannot_be_emitted_is_an_error_at_the_emitting_line(talk: Conversation) -> None:
    ending = talk.end_of(talk.start(Run(programs.emit_a_lock)))
    assert isinstance(ending, Raised)
    line = programs.emit_a_lock.__code__.co_firstlineno + 1
    assert ending.error.where == f"{programs.__file__}:{line} in emit_a_lock"
    assert "`guard`: a _thread.lock cannot be sent" in ending.error.message


def test_a_cancellation_is_seen_by_its_own_call_only(talk: Conversation) -> None:
    reservation = talk.reserve()
    seen = []
    for cancel in (True, False):
        call = talk.start(Run(programs.see_cancellation), on=reservation, fresh=False)
        emitted = talk.emission_of(call)
        if cancel:
            talk.executor.cancel(call)
        seen.append(talk.returned_by_from(emitted, None))
    assert seen == [(False, True), (False, False)]


def test_a_cancellation_that_a_call_never_looked_for_is_not_seen_by_the_next(talk: Conversation) -> None:
    reservation = talk.reserve()
    for look in (False, True):
        call = talk.start(Run(programs.see_cancellation_if_told), on=reservation, fresh=False)
        emitted = talk.emission_of(call)
        if not look:
            talk.executor.cancel(call)
        assert talk.returned_by_from(emitted, look) is False


def emit_interrupted(talk: Conversation, pipe: Path, *, again: bool, on: Reservation) -> str:
    """A call whose first emission was interrupted and answered only then; what it sent since is still unread."""
    os.mkfifo(pipe)
    call = talk.start(Run(programs.emit_interrupted), (str(pipe), again), on=on, fresh=False)
    emitted = talk.emission_of(call)
    os.kill(emitted.payload, signal.SIGUSR2)
    assert pipe.read_text() == "interrupted"
    talk.answer(emitted, "too late")
    return call


def test_the_answer_to_an_interrupted_emission_is_not_taken_for_the_next_ones(
    talk: Conversation, tmp_path: Path
) -> None:
    call = emit_interrupted(talk, tmp_path / "pipe", again=True, on=talk.reserve())
    emitted = talk.emission_of(call)
    assert (emitted.seq, emitted.payload) == (2, "again")
    assert talk.returned_by_from(emitted, "to the second") == "to the second"


def test_the_answer_to_an_interrupted_emission_does_not_harm_the_next_call(talk: Conversation, tmp_path: Path) -> None:
    reservation = talk.reserve()
    call = emit_interrupted(talk, tmp_path / "pipe", again=False, on=reservation)
    assert talk.returned_by(call) == "interrupted"
    again = talk.start(Run(programs.emit_interrupted), ("no pipe", False), on=reservation, fresh=False)
    assert talk.returned_by(again, "its own") == "its own"


def test_an_argument_that_cannot_be_sent_has_raised(talk: Conversation) -> None:
    unsendable = talk.end_of(talk.start(Run(programs.say_and_return), {"width": (number for number in [1])}))
    assert isinstance(unsendable, Raised)
    assert "`width`: a generator cannot be sent" in unsendable.error.message


def test_a_killed_call_says_nothing_more_although_it_had(executor: LocalExecutor) -> None:
    reservation = executor.reserve(Request())
    assert reservation is not None
    prepared = executor.prepare(Run(programs.end_as_told))
    for number in range(20):
        call = Call(f"raced-{number}", None)
        executor.start(prepared, reservation, call)
        events: list[Event] = []
        while not any(isinstance(event, Emitted) for event in events):
            events += executor.events(executor.clock() + DEADLINE_S)
        executor.reply(call.call_id, 1, "returned")
        executor.kill(call.call_id, "at the same time")
        while not any(isinstance(event, Died) for event in events):
            events += executor.events(executor.clock() + DEADLINE_S)
        assert [type(event) for event in events] == [Emitted, Died]
    executor.release(reservation)
