"""What nodes have of a caller's code: programs and packages, each sent once."""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from executor.hosting.messages import AskPackages, Order, Prepare, Ship, Stocked, Surroundings
from executor.hosting.packages import Package
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
        self._along = tuple(along)
        self._packages: dict[str, Package] = {}
        self._programs: defaultdict[str, set[str]] = defaultdict(set)
        self._stocked: defaultdict[str, set[str]] = defaultdict(set)
        self._lacking: defaultdict[str, set[str]] = defaultdict(set)
        self._asked: dict[str, tuple[str, ...]] = {}
        self._waiting: defaultdict[str, list[Order]] = defaultdict(list)
        self.unfit: dict[str, str] = {}

    def shipment(self, program: Program, environment: Mapping[str, str], code: Sequence[Shipped] = ()) -> Prepare:
        """A program as it is sent to nodes; `code` of its own comes before that of all.

        Raises:
            ProgramNotPicklableError: it cannot be.
        """
        pickled, preload = dump(program), tuple(program.preload())
        variables, sent = {**self._variables, **environment}, [*code, *self._along]
        modules = tuple(dict.fromkeys(one.package.digest for one in sent))
        folder = next((one.package.digest for one in sent if one.is_folder), "")
        self._packages |= {one.package.digest: one.package for one in sent}
        name = blake2b(pickled, digest_size=16)
        name.update(repr((preload, sorted(variables.items()), modules)).encode())
        return Prepare(name.hexdigest(), pickled, preload, variables, _surroundings(), modules, folder)

    def given(self, code: Sequence[Shipped]) -> tuple[dict[str, str], tuple[Shipped, ...]]:
        """The variables that a program with such code of its own finds set, and all code that it finds."""
        return dict(self._variables), (*code, *self._along)

    def ship(self, node: str, shipment: Prepare) -> None:
        """Send a program to a node that has not been sent it yet, after the packages that it needs."""
        if shipment.digest not in self._programs[node]:
            self._programs[node].add(shipment.digest)
            self._lacking[node] |= set(shipment.modules) - self._stocked[node]
            self.send(node, shipment)

    def send(self, node: str, order: Order) -> None:
        """Send an order; it waits here, with those after it, until the node has all packages that it needs."""
        if node in self._asked:
            self._waiting[node].append(order)
        elif lacking := self._lacking[node]:
            self._asked[node] = tuple(sorted(lacking))
            self._waiting[node].append(order)
            self._send(node, AskPackages(self._asked[node]))
        else:
            self._send(node, order)

    def hear(self, node: str, stocked: Stocked) -> list[Order]:
        """A node says which packages it lacks: they are sent, and once it lacks none, orders are.

        A node that cannot have them is left out; returns the orders that waited for them there, which nobody obeys.
        """
        if node not in self._asked:
            return []
        if stocked.problem:
            self.leave_out(node, stocked.problem)
            self._programs.pop(node, None)
            del self._asked[node]
            return self._waiting.pop(node)
        if stocked.missing:
            for digest in stocked.missing:
                self._send(node, Ship(self._packages[digest]))
            return []
        come = self._asked.pop(node)
        self._stocked[node].update(come)
        self._lacking[node].difference_update(come)
        for order in self._waiting.pop(node):
            self.send(node, order)
        return []

    def leave_out(self, node: str, why: str) -> str:
        """Say once that a node cannot run our programs, and is to be given no more; the sentence."""
        if node not in self.unfit:
            self.unfit[node] = f"node {node}: {why}"
            _log.warning("%s. It is left out from now on", self.unfit[node])
        return self.unfit[node]

    def lose(self, node: str) -> None:
        """A node is gone, and all that it had."""
        for known in (self._programs, self._stocked, self._lacking, self._asked, self._waiting):
            known.pop(node, None)
        self.unfit.pop(node, None)


def _surroundings() -> Surroundings:
    folder = str(Path.cwd())
    path = tuple(entry or folder for entry in sys.path)
    return Surroundings(path, tuple(sys.argv), folder, sources_without_files())
