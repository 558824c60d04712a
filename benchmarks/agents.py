"""A cluster of ours on this machine: a head and agents, each a process, with the terms of a real one and TLS."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from executor.cluster.client import ask, status
from executor.cluster.home import PLACE, Place
from executor.cluster.protos import cluster as pb
from executor.cluster.security.knocking import knock
from executor.cluster.security.roles import Role
from executor.cluster.security.tokens import Invitation
from executor.cluster.serving import this_python

AT_ONCE = 8


@contextmanager
def cluster(path: Path, port: int, agents: int, under: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """The head, once all agents have joined, of one cpu each.

    They are run by the command `under`, if any; that is killed in the end, and takes its agent along.
    """
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[1]))
    os.environ["AUDITION_STATE"] = str(path)
    home = path / "clusters" / "c"
    home.mkdir(parents=True, mode=0o700)
    options = {"host": "127.0.0.1", "port": port, "terms": {}}
    with running(this_python("head", str(home), json.dumps(options)), path / "head.log") as head, ExitStack() as stack:
        while not (home / PLACE).exists():
            time.sleep(0.05)
        invited(home, path / "agent")
        for number in range(agents):
            offer = json.dumps({"cpus": 1, "gpus": 0, "host": f"n{number}"})
            command = this_python("agent", str(path / "agent"), offer, secrets.token_hex(8), "")
            end = signal.SIGKILL if under else signal.SIGTERM
            stack.enter_context(running([*under, *command], path / "agents.log", end))
            while number % AT_ONCE == AT_ONCE - 1 and len(status(home).nodes) <= number:
                time.sleep(0.2)
        while len(status(home).nodes) < agents:
            time.sleep(0.2)
        yield head


def invited(home: Path, folder: Path) -> None:
    """Keep in `folder` what lets agents in, who share a certificate."""
    reply = ask(home, "Invite", pb.InviteRequest(role=Role.AGENT), pb.InviteReply)
    credentials, certified = knock(Invitation("127.0.0.1", reply.port, reply.pin, reply.token))
    credentials.save(folder, Role.AGENT)
    Place("127.0.0.1", certified.port).save(folder)


@contextmanager
def running(command: list[str], log: Path, end: signal.Signals = signal.SIGTERM) -> Iterator[subprocess.Popen[bytes]]:
    """A process, until it is not needed any more and is sent the signal to `end`."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.send_signal(end)
        process.wait()
