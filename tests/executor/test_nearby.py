"""Drivers and the node on the head's machine, which come over a socket in its folder."""

from __future__ import annotations

import os
import secrets
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from executor.cluster.agent import Agent, Machine
from executor.cluster.dialing import way
from executor.cluster.fleet import ClusterFleet
from executor.cluster.line import CHANNEL_OPTIONS
from executor.cluster.nearby import SOCKET
from executor.errors import ClusterError
from executor.hosting.executor import RemoteExecutor
from executor.resources import Resources
from tests.executor import programs
from tests.executor.cluster_rig import Rig
from tests.executor.conversation import DEADLINE_S, Conversation


def nobody() -> grpc.Channel:
    """A way on which no head is: so what arrives has come by the socket."""
    return grpc.insecure_channel("127.0.0.1:9", options=CHANNEL_OPTIONS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One whose name is short enough for a socket's."""
    short = Path(f"/tmp/{secrets.token_hex(4)}")
    short.symlink_to(tmp_path)
    return short


@pytest.fixture
def rig(folder: Path) -> Iterator[Rig]:
    rig = Rig(folder=folder)
    try:
        yield rig
    finally:
        rig.close()
        folder.unlink()


@pytest.fixture
def talk(rig: Rig, folder: Path) -> Iterator[Conversation]:
    with RemoteExecutor(ClusterFleet(nobody, folder=folder)) as executor, Conversation(executor) as talk:
        rig.agents["a"] = Agent(way(nobody, folder), Machine(Resources.of(cpu=1), host="a"), "first")
        while not executor.nodes():
            executor.events(executor.clock() + DEADLINE_S)
        yield talk


def test_calls_go_on_while_the_head_is_started_again(rig: Rig, talk: Conversation) -> None:
    call = talk.start(programs.Echo(), ["before", "while"])
    first = talk.emission_of(call)
    rig.stop_head()
    talk.answer(first, 1)
    rig.start_head()
    assert talk.returned_by_from(talk.emission_of(call), 2) == [1, 2]


def test_large_arguments_and_values_arrive(talk: Conversation) -> None:
    payload = os.urandom(10_000_000)
    unchanged = talk.returned_by(talk.start(programs.Answer(), payload)) == payload
    assert unchanged


@pytest.mark.parametrize("said", [b"", b"\xff" * 8, b"\x05\0\0\0junk", b"\x04\0\0\0junk"])
def test_what_makes_no_sense_ends_its_stream_and_nothing_else(talk: Conversation, folder: Path, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(folder / SOCKET))
        stranger.settimeout(DEADLINE_S)
        stranger.sendall(said)
        stranger.shutdown(socket.SHUT_WR)
        assert stranger.recv(100) == b""
    assert talk.returned_by(talk.start(programs.Answer(), 1)) == 1


def test_nobody_else_may_come_that_way(talk: Conversation, folder: Path) -> None:
    assert talk.executor.nodes()
    assert stat.S_IMODE((folder / SOCKET).stat().st_mode) == 0o600


def test_where_no_head_listens_any_more_it_is_said(rig: Rig, folder: Path) -> None:
    rig.stop_head()
    with pytest.raises(ClusterError, match="did not answer"):
        ClusterFleet(nobody, folder=folder, within_s=0.3)
    rig.start_head()


def test_a_head_that_can_have_no_socket_serves_without_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / SOCKET).mkdir()
    rig = Rig(folder=tmp_path)
    try:
        rig.join("a", {"cpu": 1})
        with RemoteExecutor(ClusterFleet(rig.dial, folder=tmp_path)) as executor, Conversation(executor) as talk:
            while not executor.nodes():
                executor.events(executor.clock() + DEADLINE_S)
            assert talk.returned_by(talk.start(programs.Answer(), 1)) == 1
        assert "comes over gRPC too: no socket at" in caplog.text
    finally:
        rig.close()
