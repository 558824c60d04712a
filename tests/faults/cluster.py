"""A cluster of real processes, as the command line starts it, for tests that end some of them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from executor.cluster.client import status
from executor.cluster.protos import cluster as pb
from executor.errors import ClusterError
from tests.tune.trainables import DEADLINE_S

AUDITION = (sys.executable, "-c", "from tune.cli import main; main()")
LEASE_S = 2.0
CONTROLLERS = ("tune.detached", "executor.library.caretaker")


class Cluster:
    """One cluster in a folder of the test's; `AUDITION_STATE` says which while it lives."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.folder = state / "clusters" / "c"
        self.port = free_ports()
        self._nodes: list[int] = []
        os.environ["AUDITION_STATE"] = str(state)
        self.start_head()

    @property
    def address(self) -> str:
        return f"grpc://127.0.0.1:{self.port}"

    def start_head(self, *more: str) -> None:
        options = ["--port", str(self.port), "--no-node", "--lease-s", str(LEASE_S), *more]
        self.run("start", "c", *options)

    def run(self, *arguments: str, state: Path | None = None, hides: Path | None = None) -> str:
        """Run ``audition cluster ...``, where an empty directory is in the place of `hides`; what it prints."""
        return self.audition("cluster", *arguments, state=state, hides=hides)

    def audition(self, *arguments: str, state: Path | None = None, hides: Path | None = None) -> str:
        """Run ``audition ...`` like that; what it prints."""
        environment = {**os.environ, "AUDITION_STATE": str(state or self.state)}
        command = [*AUDITION, *arguments]
        if hides is not None:
            hiding = f'mount -t tmpfs tmpfs {shlex.quote(str(hides))} && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", hiding, "sh", *command]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def join(self, name: str, cpus: int = 1, *, hides: Path | None = None) -> None:
        """Have one more node, as another machine would be: one that does not see what is in `hides`."""
        line = self.run("invite").split()[-1]
        self.run("join", line, "--node-name", name, "--cpus", str(cpus), state=self.state / name, hides=hides)
        self.wait(lambda found: any(node.name == name for node in found.nodes))

    def wait(self, there: Callable[[pb.StatusReply], bool]) -> float:
        """Wait until the cluster is like this; how many seconds that took."""
        began = time.monotonic()
        while not self._is(there):
            assert time.monotonic() - began < DEADLINE_S
            time.sleep(0.02)
        return time.monotonic() - began

    def _is(self, there: Callable[[pb.StatusReply], bool]) -> bool:
        try:
            return there(status(self.folder))
        except ClusterError:
            return False

    def processes(self, what: str) -> dict[int, str]:
        """The cluster's processes of a kind (head, node, agent, a controller's module): their ids and command lines."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes().decode().split("\0")
            except (OSError, UnicodeDecodeError):
                continue
            if (
                {"executor.cluster", *CONTROLLERS} & set(line)
                and what in line
                and any(str(self.state) in word for word in line)
            ):
                found[int(entry.name)] = " ".join(line)
        return found

    def kill_head(self) -> None:
        (head,) = self.processes("head")
        os.kill(head, signal.SIGKILL)
        until = time.monotonic() + DEADLINE_S
        while head in self.processes("head"):
            assert time.monotonic() < until
            time.sleep(0.01)

    def agent_of(self, name: str) -> int:
        """The process id of a node's agent."""
        (pid,) = (pid for pid, line in self.processes("agent").items() if f'"host": "{name}"' in line)
        return pid

    def kill_node(self, name: str) -> None:
        """End a node's processes, with nobody left to start them again, and wait until it is lost."""
        agent = self.agent_of(name)
        for pid in (_parent(agent), agent):
            os.kill(pid, signal.SIGKILL)
        self.wait(lambda found: all(node.name != name for node in found.nodes))

    def wait_for_none(self, *kinds: str) -> None:
        """Wait until no process of these kinds is left."""
        until = time.monotonic() + DEADLINE_S
        while any(self.processes(what) for what in kinds):
            assert time.monotonic() < until
            time.sleep(0.02)

    def close(self) -> None:
        for what in ("node", "agent", "head"):
            for pid in self.processes(what):
                _end(pid, signal.SIGTERM)
        self.wait_for_none("head")
        for what in CONTROLLERS:  # which no head starts again
            for pid in self.processes(what):
                _end(pid, signal.SIGKILL)
        self.wait_for_none("agent", *CONTROLLERS)
        del os.environ["AUDITION_STATE"]


def _end(pid: int, by: signal.Signals) -> None:
    """Send the signal, unless the process has just ended by itself."""
    with suppress(ProcessLookupError):
        os.kill(pid, by)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def free_ports() -> int:
    """A port that is free, and so is the one after it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def as_json(text: str) -> Any:
    """What a command has printed with ``--json``."""
    return json.loads(text)
