"""Code that nodes lack: sent once to each, by its content; and nodes that cannot run a program, said once."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executor.errors import ExecutorClosedError, InfeasibleRequestError
from executor.hosting.executor import RemoteExecutor
from executor.hosting.messages import Order, Ship
from executor.hosting.packages import PackageCache
from executor.hosting.runtime_env import RuntimeEnv
from executor.interface import Channel
from executor.messages import Died
from executor.resources import Node, Request, Resources
from tests.executor.conversation import Conversation
from tests.executor.local_programs import Run
from tests.executor.near_fleet import NearFleet


class Nodes(NearFleet):
    """Two nodes that keep packages each in a folder of its own; what was sent where is remembered."""

    def __init__(self, kept: Path, names: tuple[str, ...] = ("a", "b")) -> None:
        nodes = [Node(name, Resources.of({"cpu": 2, name: 1})) for name in names]
        super().__init__(nodes, caches={name: PackageCache(kept / name) for name in names})
        self.shipped: list[str] = []

    def carry(self, node: str, order: Order) -> None:
        if isinstance(order, Ship):
            self.shipped.append(node)
        super().carry(node, order)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with a module that this process cannot import, and a file beside it."""
    folder = tmp_path / "elsewhere"
    (folder / "far_away").mkdir(parents=True)
    (folder / "far_away" / "__init__.py").write_text("ANSWER = 42\n")
    (folder / "beside.txt").write_text("beside")
    return folder


def import_it(channel: Channel, _: Any) -> tuple[int, str, str]:
    import far_away

    return far_away.ANSWER, os.environ.get("GREETING", ""), Path("beside.txt").read_text()


def called(fleet: Nodes, env: dict[str, Any], times: int = 1) -> list[Any]:
    """What calls return, one after the other, on every node."""
    with RemoteExecutor(fleet, RuntimeEnv.of(env)) as executor, Conversation(executor) as talk:
        rooms = [talk.reserve(request) for request in both()]
        return [talk.returned_by(talk.start(Run(import_it), on=room)) for _ in range(times) for room in rooms]


def both() -> list[Request]:
    return [Request((Resources.of({"cpu": 1, name: 1}),)) for name in ("a", "b")]


def test_a_working_folder_is_sent_once_to_each_node_and_never_again(elsewhere: Path, tmp_path: Path) -> None:
    env = {"working_dir": elsewhere, "env_vars": {"GREETING": "hello"}}
    first = Nodes(tmp_path / "kept")
    assert called(first, env, times=2) == [(42, "hello", "beside")] * 4
    assert sorted(first.shipped) == ["a", "b"]
    second = Nodes(tmp_path / "kept")
    assert called(second, env) == [(42, "hello", "beside")] * 2
    assert second.shipped == []


def test_a_module_is_imported_by_its_name(elsewhere: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "beside.txt").write_text("work")
    env = {"working_dir": tmp_path / "work", "py_modules": [elsewhere / "far_away"]}
    assert called(Nodes(tmp_path / "kept"), env) == [(42, "", "work")] * 2


def test_a_call_that_waits_for_code_that_cannot_be_unpacked_dies_of_its_node(elsewhere: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").touch()  # where the folder should be that packages are kept in
    env = RuntimeEnv.of({"working_dir": elsewhere})
    with RemoteExecutor(Nodes(tmp_path / "kept"), env) as executor, Conversation(executor) as talk:
        there, elsewhere_too = (talk.reserve(request) for request in both())
        died = talk.next_of(talk.start(Run(import_it), on=there))
        assert isinstance(died, Died)
        assert "node a: code that was sent along cannot be unpacked" in str(died.cause.killed)
        assert talk.returned_by(talk.start(Run(import_it), on=elsewhere_too)) == (42, "", "beside")


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_gang_that_waits_for_code_that_cannot_be_unpacked_dies_too(
    elsewhere: Path, tmp_path: Path, first: str
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").touch()
    bundles = tuple(Resources.of({"cpu": 1, name: 1}) for name in sorted("ab", key=lambda name: name != first))
    env = RuntimeEnv.of({"working_dir": elsewhere})
    with RemoteExecutor(Nodes(tmp_path / "kept"), env) as executor, Conversation(executor) as talk:
        died = talk.next_of(talk.start(Run(import_it), on=talk.reserve(Request(bundles, gang=True))))
        assert isinstance(died, Died)
        assert died.cause.killed, "not the trial's own failure"


def test_code_that_cannot_be_packed_leaves_no_fleet_open(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fleet = Nodes(tmp_path / "kept")
    with pytest.raises(ValueError, match="holds no files"):
        RemoteExecutor(fleet, RuntimeEnv.of({"working_dir": tmp_path / "empty"}))
    with pytest.raises(ExecutorClosedError):
        fleet.reserve(both()[0])


class NotThere:
    """A value whose class only some nodes can import."""

    def __reduce__(self) -> tuple[Any, ...]:
        return __import__, ("nowhere_to_be_found",)


@pytest.fixture
def lacking(tmp_path: Path) -> Iterator[Conversation]:
    fleet = Nodes(tmp_path / "kept")
    with RemoteExecutor(fleet) as executor, Conversation(executor) as talk:
        yield talk


@pytest.mark.fault("F25")
def test_a_node_that_lacks_a_module_is_named_once_and_left_out(
    lacking: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    program = Run(NotThere())  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        for room in [lacking.reserve(request) for request in both()]:
            died = lacking.next_of(lacking.start(program, on=room))
            assert isinstance(died, Died)
            assert "nowhere_to_be_found" in str(died.cause)
            assert died.cause.killed
            again = lacking.next_of(lacking.start(program, on=room))
            assert isinstance(again, Died), "a room that was held before is of no more use"
    assert [record.message.split(":")[0] for record in caplog.records] == ["node a", "node b"]
    with pytest.raises(InfeasibleRequestError, match=r"Left out: node a: .*nowhere_to_be_found.*; node b"):
        lacking.executor.reserve(both()[0])


def test_an_import_that_fails_inside_the_program_is_the_programs_own(lacking: Conversation) -> None:
    assert "far_away" not in sys.modules
    ended = lacking.end_of(lacking.start(Run(import_it)))
    assert not isinstance(ended, Died)
    assert len(lacking.executor.nodes()) == 2
    lacking.reserve(both()[0])
