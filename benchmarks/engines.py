"""What else runs calls in processes, opened as its users would, on two workers; and what all of it holds in memory."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import peers

ray = peers.ray_on_two_cpus


@contextmanager
def ours() -> Iterator[Any]:
    """The library, opened for two cpus and shut down at the end."""
    import executor

    executor.init(num_cpus=2)
    try:
        yield executor
    finally:
        executor.shutdown()


@contextmanager
def ray_nodes(nodes: int) -> Iterator[Any]:
    """Ray on so many nodes of one cpu each, beside the driver's own, which runs nothing."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    room = {"object_store_memory": 2 * 10**9}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **room})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, **room)
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield ray
    finally:
        ray.shutdown()
        cluster.shutdown()


@contextmanager
def dask(workers: int = 2) -> Iterator[Any]:
    """A client of Dask's cluster on this machine, each worker a process with one thread."""
    import logging

    from distributed import Client, LocalCluster

    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None, "memory_limit": 0}
    with LocalCluster(silence_logs=logging.CRITICAL, **options) as cluster, Client(cluster) as client:
        yield client


@contextmanager
def loky(workers: int = 2) -> Iterator[Any]:
    """The pool of processes behind joblib."""
    from joblib.externals.loky import ProcessPoolExecutor

    pool = ProcessPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(kill_workers=True)


def pss_bytes() -> int:
    """The memory of this process and all that it started, what several share divided among them."""
    import psutil

    here = psutil.Process()
    total = 0
    for process in [here, *here.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            pass
    return total


@contextmanager
def bare_round_trip() -> Iterator[Callable[[], object]]:
    """One byte there and back between two processes over a unix socket: the floor of this machine in this minute."""
    here, there = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        here.close()
        while there.recv(1):
            there.send(b"x")
        os._exit(0)
    there.close()

    def ping() -> None:
        here.send(b"x")
        here.recv(1)

    with here:
        yield ping
    os.waitpid(pid, 0)


def taken(call: Callable[[], object], count: int) -> list[float]:
    """How many seconds each of so many calls took."""
    times = []
    for _ in range(count):
        began = perf_counter()
        call()
        times.append(perf_counter() - began)
    return times


def percentile(values: list[float], percent: int) -> float:
    """The value that so many percent of them are at most as large as."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]
