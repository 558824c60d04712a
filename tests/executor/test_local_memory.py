"""A worker that uses more memory than was asked for ends, says so, and harms nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.local import LocalExecutor
from executor.messages import DeathCause, Died, Emitted, MemoryUse, Reservation
from executor.platform import cgroups, is_linux
from executor.resources import Request, Resources
from tests.executor import memory_programs as programs
from tests.executor.conversation import Conversation
from tests.executor.local_processes import gone_afterwards
from tests.executor.local_programs import Run
from tests.executor.memory_programs import MIB

ROOT = Path(__file__).parents[2]
OUTGROW = Run(programs.outgrow)
HOLD = Run(programs.hold)
LIMIT = 100 * MIB

DRIVER = """
import sys, os
os.write({group}, b"0") if {group} >= 0 else None
from executor.local import LocalExecutor
from executor.messages import Call, Emitted, Died
from executor.resources import Request, Resources
from tests.executor import memory_programs as programs
from tests.executor.local_programs import Run

executor = LocalExecutor(cpus=2)
reservation = executor.reserve(Request((Resources.of(memory={memory}),)))
executor.start(executor.prepare(Run(programs.outgrow)), reservation, Call("call", ("itself", {size})))
while True:
    for event in executor.events(None):
        if isinstance(event, Emitted):
            print(*event.payload, flush=True)
        elif isinstance(event, Died):
            print(repr(event.cause.memory), event.cause, flush=True)
            raise SystemExit
"""


def group_room() -> str:
    """Where the control groups of workers are; skips the test where none can be made."""
    group = cgroups.make_group(LIMIT) if is_linux() else None
    if group is None:
        pytest.skip("no control groups of memory can be made here")
    group.remove()
    around = cgroups.surrounding()
    assert around is not None
    assert around.room is not None
    return around.room


def groups_of(server: int, room: str) -> list[str]:
    return [group.name for group in Path(room).glob(f"audition-*-{server}-*")]


@pytest.fixture(params=["in groups", "watched"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How limits are held."""
    if request.param == "in groups":
        group_room()
    else:
        monkeypatch.setenv("AUDITION_CGROUPS", "0")
    return str(request.param)


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(cpus=4) as executor:
        yield executor


@pytest.fixture
def talk(way: str, executor: LocalExecutor) -> Iterator[Conversation]:
    with Conversation(executor) as talk:
        yield talk


def allowed(talk: Conversation, memory: int) -> Reservation:
    return talk.reserve(Request((Resources.of(cpu=1, memory=memory),)))


def death(talk: Conversation, call: str) -> DeathCause:
    while isinstance(event := talk.next_of(call), Emitted):
        pass  # not answered, so that it does not end otherwise
    assert isinstance(event, Died), event
    return event.cause


@pytest.mark.parametrize("who", ["itself", "a child", "an orphan"])
def test_a_worker_above_its_limit_ends_with_what_it_used_was_allowed_and_was_free(talk: Conversation, who: str) -> None:
    cause = death(talk, talk.start(OUTGROW, (who, 3 * LIMIT), on=allowed(talk, LIMIT)))
    assert cause.memory is not None
    assert cause.signal == "SIGKILL"
    assert cause.memory.allowed_bytes == LIMIT <= cause.memory.used_bytes < 4 * LIMIT
    assert cause.memory.free_bytes > 0
    assert str(cause).startswith("the process ran out of memory: it used ")
    assert " of 100 MiB allowed, and the machine had " in str(cause)


def test_nobody_else_is_affected(talk: Conversation) -> None:
    others = [
        talk.start(HOLD, 2 * LIMIT),
        talk.start(HOLD, 2 * LIMIT, on=allowed(talk, 4 * LIMIT)),
        talk.start(HOLD, LIMIT // 2, on=allowed(talk, LIMIT)),
    ]
    emissions = [talk.emission_of(call) for call in others]
    assert death(talk, talk.start(OUTGROW, ("itself", 3 * LIMIT), on=allowed(talk, LIMIT))).memory
    assert [talk.returned_by_from(emitted, "unharmed") for emitted in emissions] == ["unharmed"] * 3


def test_a_process_that_served_before_is_still_held_to_the_limit(talk: Conversation) -> None:
    reservation = allowed(talk, LIMIT)
    assert talk.returned_by(talk.start(HOLD, LIMIT // 2, on=reservation, fresh=False), "first") == "first"
    assert death(talk, talk.start(HOLD, 3 * LIMIT, on=reservation, fresh=False)).memory


def test_other_deaths_and_kills_are_not_put_down_to_memory(talk: Conversation) -> None:
    calls = [talk.start(HOLD, LIMIT // 2, on=allowed(talk, LIMIT)) for _ in range(2)]
    worker, _ = talk.emission_of(calls[0]).payload
    talk.emission_of(calls[1])
    os.kill(worker, signal.SIGKILL)
    talk.executor.kill(calls[1], "no longer wanted")
    causes = [death(talk, call) for call in calls]
    assert [str(cause) for cause in causes] == ["the process was ended by SIGKILL", "no longer wanted"]
    assert [cause.memory for cause in causes] == [None, None]


@pytest.mark.skipif(not is_linux(), reason="only Linux tells them apart")
def test_mapped_files_do_not_count(talk: Conversation) -> None:
    call = talk.start(Run(programs.map_files), 3 * LIMIT, on=allowed(talk, LIMIT))
    emitted = talk.emission_of(call)
    later = talk.executor.clock() + 0.6  # looked at every quarter of a second, it has been seen twice by then
    while talk.executor.clock() < later:
        assert talk.events(later) == []
    assert talk.returned_by_from(emitted, "unharmed") == "unharmed"


def test_a_group_goes_with_its_worker(executor: LocalExecutor) -> None:
    room = group_room()
    with Conversation(executor) as talk:
        reservation = allowed(talk, LIMIT)
        call = talk.start(HOLD, MIB, on=reservation)
        emitted = talk.emission_of(call)
        server = emitted.payload[1]
        assert len(groups_of(server, room)) == 1
        talk.returned_by_from(emitted, None)
        talk.executor.release(reservation)
        talk.room_freed()
        assert groups_of(server, room) == []


def test_a_worker_without_a_limit_has_no_group(executor: LocalExecutor) -> None:
    room = group_room()
    with Conversation(executor) as talk:
        emitted = talk.emission_of(talk.start(HOLD, MIB))
        assert groups_of(emitted.payload[1], room) == []
        talk.answer(emitted)


def start_driver(memory: int, size: int, group: int = -1) -> subprocess.Popen[str]:
    program = DRIVER.format(memory=memory, size=size, group=group)
    fds = [group] if group >= 0 else []
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT, pass_fds=fds)


def test_a_killed_driver_leaves_no_group() -> None:
    room = group_room()
    with start_driver(LIMIT, MIB) as process:
        assert process.stdout is not None
        worker, server = map(int, process.stdout.readline().split())
        assert len(groups_of(server, room)) == 1
        with gone_afterwards(worker, server):
            process.kill()
        assert groups_of(server, room) == []


def test_the_group_that_a_killed_fork_server_left_is_removed_with_the_next_one(executor: LocalExecutor) -> None:
    room = group_room()
    with Conversation(executor) as talk:
        call = talk.start(HOLD, MIB, on=allowed(talk, LIMIT))
        worker, server = talk.emission_of(call).payload
        with gone_afterwards(worker, server):
            os.kill(server, signal.SIGKILL)
            death(talk, call)
        assert len(groups_of(server, room)) == 1
        talk.returned_by(talk.start(HOLD, MIB, on=allowed(talk, LIMIT)))
        assert groups_of(server, room) == []


@pytest.mark.parametrize("memory", [0, 100 * LIMIT])
def test_a_worker_that_the_system_ended_for_want_of_memory_says_so(memory: int) -> None:
    group_room()
    machine = cgroups.make_group(4 * LIMIT)
    assert machine is not None
    try:
        together = Path(machine._path, "memory.oom.group")
        if together.exists():
            together.write_text("0")  # as on a machine that ends one process at a time
        joining = machine.open()
        with start_driver(memory, 8 * LIMIT, joining) as process:
            os.close(joining)
            assert process.stdout is not None
            _, *told = process.stdout.readlines()
        assert len(told) == 1
        assert "allowed_bytes=None" in told[0]
        assert "the machine ran out of memory, and the system probably ended the process: it used up to " in told[0]
    finally:
        assert machine.remove()


def test_what_ran_out_is_said_in_units_that_people_read() -> None:
    limited = DeathCause(signal="SIGKILL", memory=MemoryUse(300 * MIB, 256 * MIB, 5 * 1024 * MIB))
    assert str(limited) == (
        "the process ran out of memory: it used 300 MiB of 256 MiB allowed, and the machine had 5 GiB free"
    )


def test_workers_are_watched_through_psutil_where_the_system_is_not_linux() -> None:
    environment = os.environ | {"AUDITION_PORTABLE": "1"}
    tests = [__file__, "-k", "watched and not psutil"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_version_2_makes_groups_in_the_nearest_folder_that_may_have_them_and_never_past_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDITION_CGROUPS", raising=False)
    inner = tmp_path / "user" / "session"
    inner.mkdir(parents=True)
    for folder, controllers in ((tmp_path, "cpu memory\n"), (tmp_path / "user", "cpu memory\n"), (inner, "\n")):
        (folder / "cgroup.subtree_control").write_text(controllers)
        (folder / "cgroup.procs").write_text("")
    (inner / "memory.max").write_text("max\n")
    assert cgroups.room_of_version_2(str(inner), str(tmp_path)) == str(tmp_path / "user")
    (inner / "memory.max").write_text("1000000\n")
    assert cgroups.room_of_version_2(str(inner), str(tmp_path)) is None
