"""What a call finds around it in its process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executor.local import LocalExecutor
from executor.messages import Reservation
from executor.resources import Request, Resources
from tests.executor import local_programs as programs
from tests.executor.conversation import DEADLINE_S, Conversation
from tests.executor.local_programs import Run

DRAW = Run(programs.draw, ("numpy.random",))
THREADS = Run(programs.threads, ("numpy",))


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(cpus=8, gpus=2) as executor:
        yield executor


@pytest.fixture
def talk(executor: LocalExecutor) -> Iterator[Conversation]:
    with Conversation(executor) as talk:
        yield talk


def reserve(talk: Conversation, **amounts: float) -> Reservation:
    return talk.reserve(Request((Resources.of(amounts),)))


def test_children_of_one_fork_server_draw_by_their_seeds(talk: Conversation) -> None:
    calls = [talk.start(DRAW, seed=seed) for seed in (1, 2, 1)]
    one, two, again = [talk.returned_by(call) for call in calls]
    assert one == again
    assert len({*one, *two}) == 4


@pytest.mark.parametrize("fresh", [True, False])
def test_numpy_is_seeded_also_when_it_is_imported_late(talk: Conversation, fresh: bool) -> None:
    late, reservation = Run(programs.was_numpy_loaded_and_draw), talk.reserve()
    options: dict[str, Any] = {"seed": 5, "fresh": fresh, "on": reservation}
    first, second = [talk.returned_by(talk.start(late, **options)) for _ in range(2)]
    assert (first[0], second[0]) == (False, not fresh)
    assert first[1] == second[1] == talk.returned_by(talk.start(DRAW, seed=5))[1]


def test_each_call_has_the_threads_of_its_cpus(talk: Conversation) -> None:
    for cpus, count in ((1, 1), (2, 2), (0.5, 1)):
        counts, variable, _ = talk.returned_by(talk.start(THREADS, on=reserve(talk, cpu=cpus)))
        assert (counts, variable) == ({count}, str(count))


def test_the_users_own_thread_count_wins(talk: Conversation) -> None:
    call = talk.start(THREADS, on=reserve(talk, cpu=1), environment={"OMP_NUM_THREADS": "2"})
    assert talk.returned_by(call)[:2] == ({2}, "2")


def test_each_call_sees_the_gpus_of_its_reservation(talk: Conversation) -> None:
    asked: list[dict[str, float]] = [{"gpu": 0.5}, {"gpu": 0.5}, {"gpu": 1}, {"cpu": 1}]
    calls = [talk.start(THREADS, on=reserve(talk, **amounts)) for amounts in asked]
    assert [talk.returned_by(call)[2] for call in calls] == ["0", "0", "1", ""]


def test_a_gpu_in_pieces_is_not_a_whole_one(talk: Conversation) -> None:
    halves = [reserve(talk, gpu=amount) for amount in (0.6, 0.6)]
    assert talk.executor.reserve(Request((Resources.of(gpu=0.8),))) is None
    talk.executor.release(halves[0])
    talk.room_freed()
    assert talk.returned_by(talk.start(THREADS, on=reserve(talk, gpu=1)))[2] == "0"


def test_what_one_call_adds_to_the_environment_does_not_reach_the_next(
    executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT", "the driver's")
    with Conversation(executor) as talk:
        reservation = talk.reserve()
        seen = []
        for environment in ({"KEPT": "the call's", "ADDED": "yes"}, {}):
            options: dict[str, Any] = {"on": reservation, "fresh": False, "environment": environment}
            call = talk.start(Run(programs.environment), ["KEPT", "ADDED"], **options)
            seen.append(talk.returned_by(call))
    assert seen == [{"KEPT": "the call's", "ADDED": "yes"}, {"KEPT": "the driver's", "ADDED": None}]


def test_a_programs_environment_is_there_when_it_is_loaded(executor: LocalExecutor) -> None:
    reservation = executor.reserve(Request())
    assert reservation is not None
    with Conversation(executor) as talk:
        first = talk.start(Run(programs.environment), ["COLOUR"])
        assert talk.returned_by(first) == {"COLOUR": None}
    prepared = [
        executor.prepare(Run(programs.environment), environment={"COLOUR": colour}) for colour in ("red", "blue")
    ]
    assert prepared[0].digest != prepared[1].digest
    executor.release(reservation)


def test_a_worker_stands_where_its_driver_stands_and_leads_its_session(talk: Conversation) -> None:
    process = talk.returned_by(talk.start(Run(programs.describe_process)))
    assert process.pop("pid") != os.getpid()
    assert process.pop("parent") != os.getpid()
    assert process == {
        "stdin": "",
        "folder": str(Path.cwd()),
        "arguments": sys.argv,
        "leads": True,
        "interrupt": signal.SIG_IGN,
        "terminate": signal.SIG_DFL,
    }


def test_a_signal_has_the_stacks_written_into_the_log(talk: Conversation, tmp_path: Path) -> None:
    log = tmp_path / "log"
    call = talk.start(Run(programs.end_as_told), log_path=str(log))
    emitted = talk.emission_of(call)
    os.kill(emitted.payload, signal.SIGUSR1)
    until = talk.executor.clock() + DEADLINE_S
    while "end_as_told" not in log.read_text():
        assert talk.executor.clock() < until
        talk.executor.events(talk.executor.clock() + 0.01)
    assert talk.returned_by_from(emitted, "went on") == "went on"


def test_output_passes_through_without_a_log(capfd: pytest.CaptureFixture[str]) -> None:
    with LocalExecutor(cpus=1) as executor, Conversation(executor) as talk:
        talk.returned_by(talk.start(Run(programs.say_and_return), "to whom it may concern"))
    assert capfd.readouterr().out == "to whom it may concern"
