"""How soon a cluster's head takes a node for lost: one whose agent was killed, and one that says nothing any more.

With the terms of a real cluster, a lease of 10 s. The silent node is stopped by a signal: its connection stays as it
is, as on a network that loses everything. Each is looked for by asking the head for its status.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from common import Figures, Part, compare, storage

from executor.cluster.client import ask, status
from executor.cluster.home import PLACE, Place
from executor.cluster.protos import cluster as pb
from executor.cluster.security.knocking import knock
from executor.cluster.security.roles import Role
from executor.cluster.security.tokens import Invitation
from executor.cluster.serving import this_python

PORT = 47_277
KILLS = 5


class Cluster:
    """A head and one node, in processes of their own."""

    def __init__(self, path: Path) -> None:
        self.home, self._path = path / "clusters" / "c", path
        self.home.mkdir(parents=True, mode=0o700)
        self._mark = {"AUDITION_BENCHMARK": secrets.token_hex(8)}
        self._started = [self._start("head", self.home, {"host": "127.0.0.1", "port": PORT, "terms": {}})]
        until((self.home / PLACE).exists)
        reply = ask(self.home, "Invite", pb.InviteRequest(role=Role.AGENT), pb.InviteReply)
        credentials, certified = knock(Invitation("127.0.0.1", reply.port, reply.pin, reply.token))
        credentials.save(path / "node", Role.AGENT)
        Place("127.0.0.1", certified.port).save(path / "node")
        self._started.append(self._start("node", path / "node", {"cpus": 1, "gpus": 0, "host": "n"}))
        until(lambda: self.nodes() == ["n"])

    def _start(self, what: str, folder: Path, options: dict[str, object]) -> subprocess.Popen[bytes]:
        with (self._path / f"{what}.log").open("ab") as log:
            command = this_python(what, str(folder), json.dumps(options))
            return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **self._mark})

    def nodes(self) -> list[str]:
        """The names of its nodes."""
        return [node.name for node in status(self.home).nodes]

    def agent(self) -> int:
        """The process of the node's agent."""
        (pid,) = Path(f"/proc/{self._started[1].pid}/task/{self._started[1].pid}/children").read_text().split()
        return int(pid)

    def close(self) -> None:
        for process in reversed(self._started):
            process.terminate()
            process.wait()


def until(there: Callable[[], bool]) -> float:
    """Wait for something; how many seconds that took."""
    began = perf_counter()
    while not there():
        time.sleep(0.01)
    return perf_counter() - began


def ours() -> Figures:
    with storage() as path:
        cluster = Cluster(path)
        try:
            killed = []
            for _ in range(KILLS):
                (name,) = cluster.nodes()
                os.kill(cluster.agent(), signal.SIGKILL)
                killed.append(until(lambda name=name: name not in cluster.nodes()))
                until(lambda: len(cluster.nodes()) == 1)
            agent = cluster.agent()
            os.kill(agent, signal.SIGSTOP)
            silent = until(lambda: not cluster.nodes())
            os.kill(agent, signal.SIGCONT)
        finally:
            cluster.close()
    return {"silent s": silent, "killed s": sorted(killed)[KILLS // 2], "slowest of five killed s": max(killed)}


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[1]))
    compare("lost nodes", Part(ours, rounds=1), {}, unit="seconds until a silent node is lost", at_most=13)
