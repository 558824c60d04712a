"""Machines for a test, each in a network namespace of its own, joined by a bridge.

The program that makes a `Network` has to be started by `ISOLATED`: in namespaces of its own for network, processes and
mounts, so that nothing of it is seen outside, and nothing is left when it ends, however it does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ISOLATED = ("unshare", "--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc")
_NAMES = Path("/run/netns")
_RULES = (
    "add table inet cut; add set inet cut unheard { type ipv4_addr; }; "
    "add chain inet cut in { type filter hook input priority 0; }; add rule inet cut in ip saddr @unheard drop"
)


def why_not() -> str:
    """Why there can be no networks here; empty when there can be."""
    missing = [name for name in ("unshare", "ip", "nft") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run([*ISOLATED, "true"], capture_output=True, text=True, check=False)
    return f"no namespaces are to be had here: {tried.stderr.strip()}" if tried.returncode else ""


class Network:
    """A bridge that is reached at 10.77.0.1 from here, and machines at the addresses after it."""

    def __init__(self) -> None:
        _NAMES.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "none", str(_NAMES))  # seen in this mount namespace only
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "bridge", "type", "bridge")
        _run("ip", "address", "add", "10.77.0.1/24", "dev", "bridge")
        _run("ip", "link", "set", "bridge", "up")
        self._machines = 1

    def add(self, name: str) -> Machine:
        """One more machine."""
        self._machines += 1
        address = f"10.77.0.{self._machines}"
        _run("ip", "netns", "add", name)
        _run("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "link", "set", f"to-{name}", "master", "bridge", "up")
        _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            _run("ip", "-n", name, "link", "set", device, "up")
        machine = Machine(name, address)
        machine.nft(_RULES)
        return machine


class Machine:
    """What has a network of its own: its processes, and what it hears of others."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    def start(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Run something on it; what that prints is added to `log`."""
        with log.open("ab") as out:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def processes(self) -> dict[int, list[str]]:
        """Its processes, and the command line of each."""
        found = {}
        for pid in map(int, _run("ip", "netns", "pids", self.name).split()):
            with suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
        return found

    def signal(self, number: signal.Signals, what: str = "") -> None:
        """Send a signal to all its processes, or to those with this word in their command line."""
        for pid, words in self.processes().items():
            if not what or what in words:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def lose(self, other: Machine) -> None:
        """Hear nothing of another machine any more, as if all its packets were lost on the way."""
        self.nft(f"add element inet cut unheard {{ {other.address} }}")

    def find(self, other: Machine) -> None:
        """Hear another machine again, if it was not heard."""
        element = f"element inet cut unheard {{ {other.address} }}"
        self.nft(f"add {element}; delete {element}")

    def nft(self, rules: str) -> None:
        """Change what it lets in."""
        _run("ip", "netns", "exec", self.name, "nft", rules)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
