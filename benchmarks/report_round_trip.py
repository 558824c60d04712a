"""How long `tune.report` keeps a trial waiting, in microseconds: the result is journaled before the answer comes.

The first figures are of a trial that needs each answer (a stop function may end it at any report). A trial that nothing
can stop before a known iteration, and most are, reports without waiting: these are the figures called free. The bare
ping-pong between two processes over a unix socket is the floor of this machine in this minute.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import peers
from common import Figures, Part, compare, storage

import tune

WARM_UP = 200
CALLS = 2_000
MESSAGE = b"x" * 150  # about what a report of one metric takes


def timed(call: Callable[[], object]) -> Figures:
    """p50 and p99 of many calls, after some that do not count."""
    for _ in range(WARM_UP):
        call()
    taken = []
    for _ in range(CALLS):
        began = perf_counter()
        call()
        taken.append((perf_counter() - began) * 1e6)
    taken.sort()
    return {"p50_us": taken[CALLS // 2], "p99_us": taken[CALLS * 99 // 100]}


def train(_config: dict[str, Any]) -> Figures:
    return timed(lambda: tune.report(loss=0.5))


def ours() -> Figures:
    free = measured(name="free")
    return {**measured(name="waits", stop=never), **{f"free {name}": value for name, value in free.items()}}


def measured(**options: Any) -> Figures:
    """What a trial found that did nothing but report."""
    with storage() as path:
        metrics = tune.run(train, durability="process", storage_path=path, verbose=0, **options)[0].metrics
        return {name: metrics[name] for name in ("p50_us", "p99_us")}


def never(_trial_id: str, _result: Mapping[str, Any]) -> bool:
    """A stop criterion of the user's own: it has to see each result before the trial may go on."""
    return False


def ray_actor_call() -> Figures:
    with peers.ray_on_two_cpus() as ray:

        class Echo:
            def take(self, message: bytes) -> None:
                return None

        actor = ray.remote(Echo).remote()
        return timed(lambda: ray.get(actor.take.remote(MESSAGE)))


def unix_socket() -> Figures:
    here, there = socket.socketpair()
    if os.fork() == 0:
        here.close()
        while received := there.recv(1 << 16):
            there.sendall(received)
        os._exit(0)
    there.close()

    def ping() -> None:
        here.sendall(MESSAGE)
        here.recv(1 << 16)

    with here:
        figures = timed(ping)
    os.wait()
    return figures


if __name__ == "__main__":
    compare(
        "report_round_trip",
        Part(ours, rounds=5),
        {
            "bare unix socket": Part(unix_socket, rounds=5),
            "ray, actor call": Part(ray_actor_call, "ray", rounds=1),
        },
        unit="us",
        at_most=120,
    )
