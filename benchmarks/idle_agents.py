"""What idle agents cost a head: 100 real ones with the terms of a real cluster, and the decisions about 1,000.

The agents are processes of this machine, with TLS; what is measured is the head's process alone, once all are there.
The 1,000 are told to the pure state that a head decides by: what their beats and its clock take of a core, and a
reservation among them.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import psutil
from common import Figures, Part, compare, storage

from executor.cluster import wire
from executor.cluster.client import ask, status
from executor.cluster.home import PLACE, Place
from executor.cluster.membership import Terms
from executor.cluster.protos import cluster as pb
from executor.cluster.security.knocking import knock
from executor.cluster.security.roles import Role
from executor.cluster.security.tokens import Invitation
from executor.cluster.serving import this_python
from executor.cluster.state import HeadState
from executor.resources import Request, Resources

REAL, SIMULATED = 100, 1_000
PORT = 47_177
AT_ONCE = 8
WATCHED_S = 30.0
SIMULATED_S = 60
ROUNDS = 2_000


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process, until it is not needed any more."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def ours() -> Figures:
    with storage() as path:
        home = path / "clusters" / "c"
        home.mkdir(parents=True, mode=0o700)
        options = {"host": "127.0.0.1", "port": PORT, "terms": {}}
        with running(this_python("head", str(home), json.dumps(options)), path / "head.log") as head:
            while not (home / PLACE).exists():
                time.sleep(0.05)
            agents = join(home, path)
            try:
                measured = watched(psutil.Process(head.pid))
            finally:
                for one in agents:
                    one.terminate()
                for one in agents:
                    one.wait()
    return {**measured, **simulated()}


def join(home: Path, path: Path) -> list[subprocess.Popen[bytes]]:
    """Have all agents, a few starting at a time; they share a certificate, and each has a name."""
    reply = ask(home, "Invite", pb.InviteRequest(role=Role.AGENT), pb.InviteReply)
    credentials, certified = knock(Invitation("127.0.0.1", reply.port, reply.pin, reply.token))
    credentials.save(path / "agent", Role.AGENT)
    Place("127.0.0.1", certified.port).save(path / "agent")
    agents: list[subprocess.Popen[bytes]] = []
    with (path / "agents.log").open("ab") as out:
        while len(agents) < REAL:
            for _ in range(AT_ONCE):
                offer = json.dumps({"cpus": 1, "gpus": 0, "host": f"n{len(agents)}"})
                command = this_python("agent", str(path / "agent"), offer, secrets.token_hex(8), "")
                agents.append(subprocess.Popen(command, stdout=out, stderr=out))
            while len(status(home).nodes) < len(agents):
                time.sleep(0.2)
    return agents


def watched(head: psutil.Process) -> Figures:
    """What the head takes of a core, as a median of ten stretches, and its memory."""
    shares = []
    for _ in range(10):
        before, began = sum(head.cpu_times()[:2]), perf_counter()
        time.sleep(WATCHED_S / 10)
        shares.append((sum(head.cpu_times()[:2]) - before) / (perf_counter() - began))
    return {"head, % of a core": 100 * sorted(shares)[5], "head MB": head.memory_info().rss / 1e6}


def simulated() -> Figures:
    terms = Terms()
    state = HeadState("c", 1, terms, 0.0)
    state.driver_came(pb.DriverHello(driver="d"), 0.0)
    capacity = wire.resources(Resources.of(cpu=4))
    began = time.process_time()
    for number in range(SIMULATED):
        state.agent_came(pb.AgentHello(host=f"n{number}", incarnation=f"i{number}", capacity=capacity), 0.0)
    joined_s = time.process_time() - began
    began = time.process_time()
    ticks = int(SIMULATED_S / (terms.beat_s / 2))
    for tick in range(1, ticks + 1):
        now = tick * terms.beat_s / 2
        if tick % 2 == 0:
            for name in state.agents:
                state.agent_spoke(name, now)
            state.driver_spoke("d", now)
        state.tick(now)
    share = (time.process_time() - began) / SIMULATED_S
    assert len(state.agents) == SIMULATED, "all have spoken in time"
    began = time.process_time()
    request = Request((Resources.of(cpu=1),))
    for number in range(ROUNDS):
        state.asked("d", number, request, now)
    return {
        "1,000 simulated, % of a core": 100 * share,
        "one joins, us": joined_s / SIMULATED * 1e6,
        "one reservation, us": (time.process_time() - began) / ROUNDS * 1e6,
    }


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[1]))
    compare("idle agents", Part(ours, rounds=1), {}, unit="% of a core, the head of 100 agents", at_most=5)
