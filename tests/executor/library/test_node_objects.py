"""Large objects of the library on nodes: who has them for how long, and whom they reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy

import executor
from executor.labels import offered
from executor.resources import Node, Resources
from tests.executor.library.two_nodes import MIB, look, make, on
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
