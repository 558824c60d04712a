"""Reports through a cluster's head: how long one keeps a trial waiting, how many a second, how soon a death shows.

Controller, head and node are processes of this machine. The node is the one that a head starts on its own machine, or,
for what says `far`, has come by invitation as from another machine. `beside` is of a controller on the head's machine,
as detached ones are, `attached` of a driver that came by invitation. Results are journaled before the answer. `free` is
of trials that nothing can stop, which report without waiting, as most do.

Beside it, what such a machine takes for less: one bare unary call of gRPC, and one call of Ray's actor, each to another
process, with nothing kept of it.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from common import Figures, Part, compare, journal_times, steady_rate, storage

import tune

WARM_UP, CALLS = 100, 1_000
TRIALS, REPORTS = 64, 200
PORT = 47_077


def one(_config: dict[str, Any]) -> Figures:
    steps = itertools.count()
    return time_calls(lambda: tune.report(loss=0.5, step=next(steps)))


def time_calls(call: Callable[[], Any]) -> Figures:
    taken = []
    for _ in range(WARM_UP + CALLS):
        began = perf_counter()
        call()
        taken.append((perf_counter() - began) * 1e3)
    taken = sorted(taken[WARM_UP:])
    return {"p50_ms": taken[CALLS // 2], "p99_ms": taken[CALLS * 99 // 100]}


def many(_config: dict[str, Any]) -> None:
    for step in range(REPORTS):
        tune.report(loss=1 / (step + 1))


def waiting(config: dict[str, Any]) -> None:
    tune.report(step=1)
    Path(config["mark"]).touch()
    if tune.get_context().get_attempt() == 1:
        time.sleep(1000)
    Path(config["mark"] + ".again").write_text(str(time.time()))


def never(_trial_id: str, _result: Mapping[str, Any]) -> bool:
    return False


@contextmanager
def cluster(path: Path, *, far: bool = False) -> Iterator[str]:
    """One node of 64 cpus, whatever this machine has."""
    os.environ["AUDITION_STATE"] = str(path / "state")
    cpus = ("--cpus", str(TRIALS))
    audition("start", "bench", "--port", str(PORT), *(("--no-node",) if far else cpus))
    try:
        if far:
            line = audition("invite").split()[-1]
            with elsewhere(path / "node"):
                audition("join", line, *cpus)
        while not json.loads(audition("status", "--json"))["nodes"]:
            time.sleep(0.05)
        yield f"grpc://127.0.0.1:{PORT}"
    finally:
        audition("stop")


@contextmanager
def elsewhere(path: Path) -> Iterator[None]:
    """Be on another machine, which knows nothing of the cluster."""
    here, os.environ["AUDITION_STATE"] = os.environ["AUDITION_STATE"], str(path)
    try:
        yield
    finally:
        os.environ["AUDITION_STATE"] = here


def audition(*arguments: str) -> str:
    command = [sys.executable, "-c", "from tune.cli import main; main()", "cluster", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ours() -> Figures:
    with storage() as path, cluster(path) as executor:
        figures = round_trips(path, executor, "")
    with storage() as path, cluster(path, far=True) as executor:
        figures |= round_trips(path, executor, "far ")
        common: dict[str, Any] = {"executor": executor, "storage_path": path, "verbose": 0}
        for name, options in (("waiting", {"stop": never}), ("free", {})):
            tune.run(many, name=name, num_samples=TRIALS, **options, **common)
            figures[f"{name} reports/s"] = steady_rate(journal_times(path / name, "reported"))
        return {**figures, "killed agent to trial running again s": killed(path, common)}


def round_trips(path: Path, executor: str, where: str) -> Figures:
    """How long a report takes of a controller beside the head, and of a driver from elsewhere."""
    common: dict[str, Any] = {"executor": executor, "storage_path": path, "verbose": 0, "stop": never}
    found = {f"{where}beside": tune.run(one, name="beside", **common)[0].metrics}
    line = audition("invite", "--role", "driver").split()[-1]
    with elsewhere(path / "driver"):
        audition("join", line)
        found[f"{where}attached"] = tune.run(one, name="attached", **common)[0].metrics
    return {f"{name} {which} ms": metrics[f"{which}_ms"] for name, metrics in found.items() for which in ("p50", "p99")}


def killed(path: Path, common: dict[str, Any]) -> float:
    """From the death of the node's agent until the trial runs again."""
    mark = path / "mark"
    death = [0.0]

    class Kill(tune.Callback):
        def on_trial_result(self, **_rest: Any) -> None:
            if not death[0]:
                while not mark.exists():
                    time.sleep(0.001)
                agent = next(pid for pid, line in processes(path) if "agent" in line)
                death[0] = time.time()
                os.kill(agent, signal.SIGKILL)

    tune.run(waiting, config={"mark": str(mark)}, name="killed", callbacks=[Kill()], **common)
    return float(Path(f"{mark}.again").read_text()) - death[0]


def processes(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The processes of the cluster that keeps what it has below `path`, and their command lines."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "executor.cluster" in line and any(word.startswith(str(path)) for word in line):
                yield int(entry.name), line


def unary() -> Figures:
    """A call of so many bytes as a report has, answered by a process that does nothing else."""
    import grpc

    server = subprocess.Popen([sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with server, grpc.insecure_channel(f"127.0.0.1:{server.stdout.readline().strip()}") as channel:
        echo = channel.unary_unary("/bench/echo")
        figures = time_calls(lambda: echo(bytes(100)))
        server.stdin.close()
    return figures


ECHO = """
import sys
from concurrent.futures import ThreadPoolExecutor
import grpc

class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda data, context: data)

server = grpc.server(ThreadPoolExecutor(1), handlers=[Echo()])
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
server.stop(0)
"""


def ray_actor() -> Figures:
    import ray

    @ray.remote(num_cpus=0)
    class Controller:
        def report(self, **metrics: Any) -> None:
            pass

    @ray.remote(num_cpus=0)
    def trial(controller: Any) -> Figures:
        steps = itertools.count()
        return time_calls(lambda: ray.get(controller.report.remote(loss=0.5, step=next(steps))))

    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
    try:
        return ray.get(trial.remote(Controller.remote()))
    finally:
        ray.shutdown()


if __name__ == "__main__":
    peers = {"grpc unary": Part(unary, needs="grpc"), "ray": Part(ray_actor, needs="ray")}
    compare("cluster reports", Part(ours), peers, unit="milliseconds a report", at_most=1.3)
