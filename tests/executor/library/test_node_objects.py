"""Large objects of the library on nodes: who has them for how long, and whom they reach."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pytest

import executor
from executor.depot.depot import Key
from executor.depot.store import Place, Store
from executor.errors import GetTimeoutError, WorkerCrashedError
from executor.hosting.messages import Discard, Neighbour, Order
from executor.labels import offered
from executor.library.depots import Depots
from executor.library.runtime import existing
from executor.resources import Node, Resources
from tests.executor.library.events import DEADLINE_S, holds
from tests.executor.library.two_nodes import MIB, look, make, on, where
from tests.executor.near_fleet import NearFleet


@contextmanager
def nodes(fleet: NearFleet) -> Iterator[NearFleet]:
    """The library open on a fleet."""
    executor.init(fleet, log_to_driver=False)
    try:
        yield fleet
    finally:
        executor.shutdown()


def two(address: str = "127.0.0.1") -> NearFleet:
    found = [Node(name, Resources.of(cpu=1) + offered({"zone": zone})) for name, zone in (("a", "x"), ("b", "y"))]
    return NearFleet(found, address=address)


def test_a_node_that_can_serve_nobody_at_its_address_sends_and_gets_objects_all_the_same() -> None:
    with nodes(two("203.0.113.1")):
        made, own = on(make, "x").remote(5 * MIB), executor.put(numpy.full(5 * MIB, 9, dtype=numpy.uint8))
        assert executor.get([on(look, "y").remote(made), on(look, "x").remote(own)]) == [
            ("b", 7, False), ("a", 9, False),
        ]  # fmt: skip
        assert executor.get(made)[-1] == 7


def test_the_time_of_get_holds_for_what_has_to_come_from_another_node_too() -> None:
    @executor.remote
    def get(refs: list[Any], timeout: float | None) -> int:
        return int(executor.get(refs[0], timeout=timeout)[-1])

    with socket.create_server(("127.0.0.1", 0)) as silent, nodes(two()) as fleet:
        made = on(make, "x").remote(5 * MIB)
        executor.wait([made])
        assert executor.get(on(where, "y").remote()) == "b"
        existing().hub.backend._depots._own.meet("a", silent.getsockname())  # type: ignore[union-attr]
        fleet.send("b", Neighbour("a", *silent.getsockname()))
        with pytest.raises(GetTimeoutError, match="had not all come from their nodes after 0.1 s"):
            executor.get(made, timeout=0.1)
        with pytest.raises(GetTimeoutError, match="had not all come from their nodes after 0.1 s"):
            executor.get(on(get, "y").remote([made], 0.1))
        silent.close()
        assert executor.get(made, timeout=DEADLINE_S)[-1] == 7
        assert executor.get(on(get, "y").remote([made], DEADLINE_S)) == 7


def test_room_that_a_worker_has_asked_for_goes_with_it_though_it_never_heard_of_it() -> None:
    @executor.remote(max_retries=0)
    def ask_and_die() -> None:
        existing()._channel.ask_host(1 << 40, json.dumps(["allocate", 5 * MIB]))  # type: ignore[union-attr]
        os._exit(1)

    with nodes(two()) as fleet:
        with pytest.raises(WorkerCrashedError):
            executor.get(on(ask_and_die, "x").remote())
        depot = fleet._hosts["a"]._keeper._depot
        assert depot is not None
        holds(lambda: depot.store._count == 1 and depot.store.use().objects == 0, "it was given, and is given back")


def test_a_copy_that_comes_when_nobody_needs_the_object_any_more_is_let_go_of(tmp_path: Path) -> None:
    sent: list[tuple[str, Order]] = []
    depots = Depots(lambda node, order: sent.append((node, order)), Store(MIB, str(tmp_path), str(tmp_path)), 0)
    for node in "ab":
        depots.opened(node, None)
    made = Key("a", 1)
    depots.allocated(made)
    depots.give_back(Place(1, "", 0, home="a"))
    depots.copied("b", made)
    assert sent == [("a", Discard("a", 1)), ("b", Discard("a", 1))]
    depots.close()
