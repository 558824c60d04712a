"""What nodes have of a caller's code: programs and packages, each sent once."""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from executor.hosting.messages import AskPackages, Order, Prepare, Ship, Stocked, Surroundings
from executor.hosting.runtime_env import Shipped
from executor.interface import Program
from executor.pickling import dump
from executor.processes.servers import sources_without_files

_log = logging.getLogger(__name__)


class Shipping:
    """Sends orders to nodes, and before them what they need. Not for many threads at a time.

    `unfit` says of the nodes that cannot run our programs why, a sentence each.
    """

    def __init__(
        self, send: Callable[[str, Order], None], variables: Mapping[str, str], along: Sequence[Shipped]
    ) -> None:
        """Programs find `variables` set, and the code of `along` to import and to work in."""
        self._send = send
        self._variables = dict(variables)
        self._packages = {one.package.digest: one.package for one in along}
        self._folder = next((one.package.digest for one in along if one.is_folder), "")
        self._programs: defaultdict[str, set[str]] = defaultdict(set)
        self._waiting: dict[str, list[Order]] = {}
        self._stocked: set[str] = set()
        self.unfit: dict[str, str] = {}

    def shipment(self, program: Program, environment: Mapping[str, str]) -> Prepare:
        """A program as it is sent to nodes.

        Raises:
            ProgramNotPicklableError: it cannot be.
        """
        pickled, preload = dump(program), tuple(program.preload())
        variables, modules = {**self._variables, **environment}, tuple(self._packages)
        code = blake2b(pickled, digest_size=16)
        code.update(repr((preload, sorted(variables.items()), modules)).encode())
        return Prepare(code.hexdigest(), pickled, preload, variables, _surroundings(), modules, self._folder)

    def ship(self, node: str, shipment: Prepare) -> None:
        """Send a program to a node that has not been sent it yet."""
        if shipment.digest not in self._programs[node]:
            self._programs[node].add(shipment.digest)
            self.send(node, shipment)

    def send(self, node: str, order: Order) -> None:
        """Send an order; it waits here, with those after it, until the node has all packages."""
        if not self._packages or node in self._stocked:
            self._send(node, order)
        elif node in self._waiting:
            self._waiting[node].append(order)
        else:
            self._waiting[node] = [order]
            self._send(node, AskPackages(tuple(self._packages)))

    def hear(self, node: str, stocked: Stocked) -> list[Order]:
        """A node says which packages it lacks: they are sent, and once it lacks none, orders are.

        A node that cannot have them is left out; returns the orders that waited for them there, which nobody obeys.
        """
        if node not in self._waiting:
            return []
        if stocked.problem:
            self.leave_out(node, stocked.problem)
            self._programs.pop(node, None)
            return self._waiting.pop(node)
        if stocked.missing:
            for digest in stocked.missing:
                self._send(node, Ship(self._packages[digest]))
            return []
        self._stocked.add(node)
        for order in self._waiting.pop(node):
            self._send(node, order)
        return []

    def leave_out(self, node: str, why: str) -> str:
        """Say once that a node cannot run our programs, and is to be given no more; the sentence."""
        if node not in self.unfit:
            self.unfit[node] = f"node {node}: {why}"
            _log.warning("%s. It is left out from now on", self.unfit[node])
        return self.unfit[node]

    def lose(self, node: str) -> None:
        """A node is gone, and all that it had."""
        self._programs.pop(node, None)
        self._waiting.pop(node, None)
        self._stocked.discard(node)
        self.unfit.pop(node, None)


def _surroundings() -> Surroundings:
    folder = str(Path.cwd())
    path = tuple(entry or folder for entry in sys.path)
    return Surroundings(path, tuple(sys.argv), folder, sources_without_files())
