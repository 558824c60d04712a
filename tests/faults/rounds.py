"""One round: two experiments on a cluster of eight machines, to which happens what a seed decides.

``python -m tests.faults.rounds SEED`` plays it, as root, and prints what happened; it ends with 1 when a promise was
broken. With `--keep FOLDER` journals and logs stay there.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from executor.cluster.client import ask, status
from executor.cluster.home import PLACE, Place
from executor.cluster.membership import Terms
from executor.cluster.protos import cluster as pb
from executor.cluster.security.knocking import knock
from executor.cluster.security.roles import Role
from executor.cluster.security.tokens import Invitation
from executor.cluster.serving import Offer, this_python
from executor.errors import ClusterError
from tests.faults import populations, verdict
from tests.faults.network import ISOLATED, Machine, Network
from tests.faults.story import CUTS, Fault, Kind, story

NODES = 8
LEASE_S = 2.0
PORT = 7077
ROUND_S = 300.0
"""How long a round may take. Only one that hangs takes as long."""

_LOOK_S = 0.02


class Stage:
    """The machines: one for the head, one for the drivers, and the nodes."""

    def __init__(self, folder: Path) -> None:
        network = Network()
        self.folder = folder
        self.state = folder / "state"
        self.home = self.state / "clusters" / "c"
        self.home.mkdir(parents=True, mode=0o700)
        os.environ["AUDITION_STATE"] = str(self.state)
        self.head, self.drivers = network.add("head"), network.add("drivers")
        self.nodes = [network.add(f"n{number}") for number in range(NODES)]
        self.start_head()
        for node in self.nodes:
            self._invite(self.folder / node.name, Role.AGENT)
            self.start_node(node)
        self._invite(self.folder / "theirs" / "clusters" / "c", Role.DRIVER)
        self.wait("all nodes are there", lambda found: len(found.nodes) == NODES)

    def start_head(self) -> None:
        """Start a head, and wait until it listens."""
        (self.home / PLACE).unlink(missing_ok=True)
        options = {"host": self.head.address, "port": PORT, "terms": asdict(Terms.of_lease(LEASE_S))}
        command = this_python("head", str(self.home), json.dumps(options))
        process = self.head.start(command, self.folder / "head.log", {})
        until = time.monotonic() + ROUND_S
        while not (self.home / PLACE).exists():
            assert process.poll() is None, (self.folder / "head.log").read_text()
            assert time.monotonic() < until, "the head does not listen"
            time.sleep(_LOOK_S)

    def _invite(self, folder: Path, role: Role) -> None:
        """Let somebody in whose machine shares nothing with the head's."""
        reply = ask(self.home, "Invite", pb.InviteRequest(role=role), pb.InviteReply)
        credentials, certified = knock(Invitation(self.head.address, reply.port, reply.pin, reply.token))
        credentials.save(folder, role)
        Place(self.head.address, certified.port).save(folder)

    def start_node(self, node: Machine) -> None:
        """Have a machine be a node, as it would be after it was switched on."""
        offer = Offer(cpus=2, gpus=0, memory=2**34, host=node.name)
        command = this_python("node", str(self.folder / node.name), json.dumps(asdict(offer)))
        node.start(command, self.folder / f"{node.name}.log", {})

    def start_driver(self, kind: str, seed: int) -> subprocess.Popen[bytes]:
        """Run one of the two experiments."""
        command = [sys.executable, "-m", "tests.faults.populations", kind, str(self.folder)]
        command += [f"grpc://{self.head.address}:{PORT}", str(seed)]
        return self.drivers.start(command, self.folder / f"{kind}.log", {"AUDITION_STATE": str(self.folder / "theirs")})

    def notes(self, kind: str) -> list[verdict.Note]:
        """The reports that were acknowledged so far."""
        path = self.folder / f"{kind}-acknowledged"
        return [verdict.Note.parse(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait(self, what: str, there: Callable[[pb.StatusReply], bool]) -> None:
        """Wait until the cluster is like this."""
        until = time.monotonic() + ROUND_S
        while True:
            try:
                if there(status(self.home)):
                    return
            except ClusterError:
                pass
            assert time.monotonic() < until, f"it never came that {what}"
            time.sleep(_LOOK_S)

    def is_quiet(self, found: pb.StatusReply) -> bool:
        """Whether all nodes are there and free, and nothing is left of any trial."""
        free = [node for node in found.nodes if node.state == "ready" and node.free == node.capacity]
        return len(free) == NODES and not found.drivers and all(len(node.processes()) == 2 for node in self.nodes)


class Telling:
    """Tells a story on a stage: strikes when it is time, and mends it when that is over.

    What is broken is mended before it is struck again.
    """

    def __init__(self, stage: Stage, faults: list[Fault]) -> None:
        self._stage = stage
        self._faults = deque(faults)
        self._broken: dict[str, tuple[float, Callable[[], None]]] = {}

    def go_on(self, reports: int) -> None:
        """Do what is due after so many reports."""
        for name, (until, mend) in list(self._broken.items()):
            if until <= time.monotonic():
                mend()
                del self._broken[name]
        while self._faults and self._faults[0].reports <= reports:
            machine = self._struck(self._faults[0])
            if machine.name in self._broken:
                return
            fault = self._faults.popleft()
            print(f"{reports:5d} {fault}", flush=True)
            self._broken[machine.name] = (time.monotonic() + fault.lasts * LEASE_S, self._strike(fault, machine))

    def end(self) -> int:
        """Let nothing more happen; how much of the story is left out."""
        left_out = len(self._faults)
        self._faults.clear()
        return left_out

    @property
    def is_told(self) -> bool:
        """Whether nothing more happens, and nothing is left to be mended."""
        return not self._faults and not self._broken

    def _struck(self, fault: Fault) -> Machine:
        match fault.kind:
            case Kind.HEAD_KILLED:
                return self._stage.head
            case Kind.DRIVERS_CUT:
                return self._stage.drivers
            case _:
                return self._stage.nodes[fault.node]

    def _strike(self, fault: Fault, machine: Machine) -> Callable[[], None]:
        """Do it; how to mend it."""
        match fault.kind:
            case Kind.HEAD_KILLED:
                machine.signal(signal.SIGKILL)
                return self._stage.start_head
            case Kind.AGENT_KILLED:
                machine.signal(signal.SIGKILL, "agent")
                return lambda: None
            case Kind.FROZEN:
                machine.signal(signal.SIGSTOP)
                return lambda: machine.signal(signal.SIGCONT)
            case Kind.MACHINE_KILLED:
                self._cut(machine, CUTS[0])
                machine.signal(signal.SIGKILL)
                return lambda: self._switch_on(machine)
            case _:
                self._cut(machine, fault.directions)
                return lambda: self._heal(machine)

    def _cut(self, machine: Machine, directions: tuple[str, ...]) -> None:
        if "up" in directions:
            self._stage.head.lose(machine)
        if "down" in directions:
            machine.lose(self._stage.head)

    def _heal(self, machine: Machine) -> None:
        self._stage.head.find(machine)
        machine.find(self._stage.head)

    def _switch_on(self, machine: Machine) -> None:
        self._heal(machine)
        self._stage.start_node(machine)


def play(seed: int, folder: Path) -> list[str]:
    """Play a round; the promises that were broken."""
    began = time.monotonic()
    stage = Stage(folder)
    ready_s = time.monotonic() - began
    drivers = {kind: stage.start_driver(kind, seed) for kind in populations.TRIALS}
    telling = Telling(stage, story(seed, nodes=NODES, reports=populations.FEWEST_REPORTS))
    left_out = 0
    while (runs := any(driver.poll() is None for driver in drivers.values())) or not telling.is_told:
        if time.monotonic() - began > ROUND_S:
            return [f"it has not come to an end in {ROUND_S:g} s"]
        telling.go_on(sum(len(stage.notes(kind)) for kind in drivers))
        if not runs:
            left_out += telling.end()
        time.sleep(_LOOK_S)
    ran_s = time.monotonic() - began - ready_s
    stage.wait("all nodes are there and free, with no process of a trial left", stage.is_quiet)
    broken = [f"{kind} ended with {driver.returncode}" for kind, driver in drivers.items() if driver.returncode]
    for kind, trials in populations.TRIALS.items():
        notes = stage.notes(kind)
        broken += [f"{kind}: {promise}" for promise in verdict.broken_promises(folder / kind, trials, notes)]
    told = {
        "seed": seed,
        "ready_s": round(ready_s, 1),
        "ran_s": round(ran_s, 1),
        "attempts": sum(verdict.attempts(folder / kind) for kind in drivers),
        "late_checkpoints": sum(verdict.late_checkpoints(folder / kind) for kind in drivers),
        "faults_left_out": left_out,
        "broken": len(broken),
    }
    print(json.dumps(told))
    return broken


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.rounds")
    parser.add_argument("seed", type=int)
    parser.add_argument("--keep", type=Path, help="a new folder for journals and logs")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.inside:
        command = [*ISOLATED, sys.executable, "-m", "tests.faults.rounds", *sys.argv[1:], "--inside"]
        os.execvp(command[0], command)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        broken = play(given.seed, folder)
    for promise in broken:
        print(promise)
    if broken:
        print(f"again: {shlex.join([sys.executable, '-m', 'tests.faults.rounds', str(given.seed)])}")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
