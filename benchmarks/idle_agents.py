"""What idle agents cost a head: 100 real ones with the terms of a real cluster, and the decisions about 1,000.

The agents are processes of this machine, with TLS; what is measured is the head's process alone, once all are there.
The 1,000 are told to the pure state that a head decides by: what their beats and its clock take of a core, and a
reservation among them.
"""

from __future__ import annotations

import time
from time import perf_counter

import agents
import psutil
from common import Figures, Part, compare, storage

from executor.cluster import wire
from executor.cluster.membership import Terms
from executor.cluster.protos import cluster as pb
from executor.cluster.state import HeadState
from executor.resources import Request, Resources

REAL, SIMULATED = 100, 1_000
PORT = 47_177
WATCHED_S = 30.0
SIMULATED_S = 60
ROUNDS = 2_000


def ours() -> Figures:
    with storage() as path, agents.cluster(path, PORT, REAL) as head:
        measured = watched(psutil.Process(head.pid))
    return {**measured, **simulated()}


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
    compare("idle agents", Part(ours, rounds=1), {}, unit="% of a core, the head of 100 agents", at_most=5)
