"""Gangs of real processes: what each finds around it, and what is left when one of them ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executor.interface import Channel
from executor.local import LocalExecutor
from executor.messages import Died, Raised, Reservation
from executor.resources import Request, Resources
from tests.executor import local_programs as programs
from tests.executor.conversation import Conversation
from tests.executor.local_processes import gone_afterwards
from tests.executor.local_programs import Run
from tests.executor.memory_programs import MIB, fill

NAMES = ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS"]
NAMES += ["CUDA_VISIBLE_DEVICES", "MINE"]


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(cpus=8, gpus=3) as executor:
        yield executor


@pytest.fixture
def talk(executor: LocalExecutor) -> Iterator[Conversation]:
    with Conversation(executor) as talk:
        yield talk


def gang(talk: Conversation, *bundles: Resources) -> Reservation:
    return talk.reserve(Request(bundles or (Resources.of(cpu=1),) * 2, gang=True))


def meet(channel: Channel, path: str) -> socket.socket:
    """A connection between ranks 0 and 1, over a socket at `path`."""
    meeting = socket.socket(socket.AF_UNIX)
    if channel.rank.number == 0:
        meeting.bind(path)
        meeting.listen()
        channel.emit("listening")
        return meeting.accept()[0]
    while True:
        try:
            meeting.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            continue
        return meeting


def collect(channel: Channel, path: str) -> dict[int, dict[str, str | None]]:
    """The variables that each rank sees, brought to rank 0."""
    seen = programs.environment(channel, NAMES)
    with meet(channel, path) as connection:
        if channel.rank.number:
            connection.sendall(json.dumps(seen).encode())
            return {}
        with connection.makefile("rb") as other:
            return {0: seen, 1: json.loads(other.read())}


def lose(channel: Channel, argument: tuple[str, str]) -> None:
    """Rank 1 does as it is told; rank 0 waits for it in vain, and raises for that."""
    path, how = argument
    with meet(channel, path) as connection:
        if channel.rank.number == 0:
            channel.emit(os.getpid())
            connection.sendall(b"now")
            if not connection.recv(1):
                raise EOFError("nobody is there any more")
        connection.recv(3)
        print("the last words of rank 1")
        if how == "raise":
            raise ValueError("a bad day")
        os.kill(os.getpid(), signal.SIGKILL)


def tell_pids(channel: Channel, folder: str) -> None:
    """Each rank leaves its process id and that of a child in a file, and waits for ever."""
    child = subprocess.Popen(["sleep", "1000"]).pid
    file = Path(folder, f"writing-{channel.rank.number}")
    file.write_text(f"{os.getpid()} {child}")
    file.rename(Path(folder, f"rank-{channel.rank.number}"))
    if channel.rank.number == 0:
        while not Path(folder, "rank-1").exists():
            pass
        channel.emit(None)
    signal.pause()


def fill_memory(channel: Channel, size: int) -> None:
    """Use so much memory, and wait for ever."""
    held = fill(size)
    signal.pause()
    del held


def test_each_rank_finds_its_place_the_others_and_its_own_resources(talk: Conversation, tmp_path: Path) -> None:
    room = gang(talk, Resources.of(cpu=1, gpu=1), Resources.of(cpu=2, gpu=2))
    call = talk.start(Run(collect), str(tmp_path / "s"), on=room, environment={"MINE": "too", "MASTER_PORT": "17"})
    seen = talk.returned_by(call)
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "17"}
    shared["MINE"] = "too"
    for rank, own in enumerate([("0", "1"), ("1,2", "2")]):
        devices, threads = own
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        assert seen[rank] == {**shared, **place, "CUDA_VISIBLE_DEVICES": devices, "OMP_NUM_THREADS": threads}


def test_gangs_meet_at_different_ports_that_can_be_listened_on(talk: Conversation, tmp_path: Path) -> None:
    calls = [talk.start(Run(collect), str(tmp_path / name), on=gang(talk)) for name in "ab"]
    ports = set()
    for call in calls:
        seen = talk.returned_by(call)
        assert seen[0]["MASTER_PORT"] == seen[1]["MASTER_PORT"]
        port = int(seen[0]["MASTER_PORT"])
        with socket.create_server(("127.0.0.1", port)):
            ports.add(port)
    assert len(ports) == 2


def test_a_call_alone_is_told_of_no_others(talk: Conversation) -> None:
    seen = talk.returned_by(talk.start(Run(programs.environment), ["RANK", "MASTER_PORT"], on=talk.reserve()))
    assert seen == {"RANK": None, "MASTER_PORT": None}


def test_a_death_is_told_before_the_exception_that_it_led_to(talk: Conversation, tmp_path: Path) -> None:
    log = tmp_path / "t0.log"
    call = talk.start(Run(lose), (str(tmp_path / "s"), "kill"), on=gang(talk), log_path=str(log))
    talk.answer(talk.emission_of(call))
    ending = talk.end_of(call)
    assert isinstance(ending, Died)
    assert (ending.cause.rank, ending.cause.signal, ending.cause.killed) == (1, "SIGKILL", None)
    assert ending.cause.log_tail == "the last words of rank 1"
    assert (tmp_path / "t0.rank1.log").read_text() == "the last words of rank 1\n"


def test_an_exception_is_told_together_with_the_one_that_it_led_to(talk: Conversation, tmp_path: Path) -> None:
    call = talk.start(Run(lose), (str(tmp_path / "s"), "raise"), on=gang(talk))
    talk.answer(talk.emission_of(call))
    ending = talk.end_of(call)
    assert isinstance(ending, Raised)
    for told in ("In rank 0 of 2:", "EOFError: nobody is there", "In rank 1 of 2:", "ValueError: a bad day"):
        assert told in ending.error.traceback


@pytest.mark.parametrize("how", ["SIGKILL", "kill", "release"])
def test_a_gang_that_ends_leaves_no_process_behind(talk: Conversation, tmp_path: Path, how: str) -> None:
    room = gang(talk)
    call = talk.start(Run(tell_pids), str(tmp_path), on=room)
    emitted = talk.emission_of(call)
    pids = [[int(word) for word in (tmp_path / f"rank-{rank}").read_text().split()] for rank in range(2)]
    with gone_afterwards(*pids[0], *pids[1]):
        match how:
            case "SIGKILL":
                talk.answer(emitted)  # it sits in a wait that no signal of ours would reach in time
                os.kill(pids[1][0], signal.SIGKILL)
            case "kill":
                talk.executor.kill(call, "enough")
            case "release":
                talk.executor.release(room)
        ending = talk.next_of(call)
        assert isinstance(ending, Died)
    assert ending.cause.rank == (1 if how == "SIGKILL" else None)


def test_each_worker_is_held_to_the_memory_of_its_own_bundle(talk: Conversation) -> None:
    bundles = [Resources.of(cpu=1, memory=megabytes * MIB) for megabytes in (600, 100)]
    ending = talk.next_of(talk.start(Run(fill_memory), 200 * MIB, on=gang(talk, *bundles)))
    assert isinstance(ending, Died)
    assert ending.cause.rank == 1
    assert str(ending.cause).startswith("rank 1: the process ran out of memory")


def test_a_gang_takes_no_process_over_and_leaves_none(talk: Conversation) -> None:
    room = gang(talk)
    options: dict[str, Any] = {"on": room, "fresh": False}
    ids = [talk.returned_by(talk.start(Run(programs.describe_process), **options))["pid"] for _ in range(3)]
    assert len(set(ids)) == 3


def test_closing_ends_gangs(tmp_path: Path) -> None:
    executor = LocalExecutor(cpus=2)
    talk = Conversation(executor)
    talk.emission_of(talk.start(Run(tell_pids), str(tmp_path), on=gang(talk)))
    pids = [int(word) for rank in range(2) for word in (tmp_path / f"rank-{rank}").read_text().split()]
    with gone_afterwards(*pids):
        executor.close()
