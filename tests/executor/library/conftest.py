"""The executor that the conformance suite runs on: one of 4 cpus for each module, on this machine or on a node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import executor
from executor.cluster.fleet import ClusterFleet
from tests.executor.cluster_rig import Rig

KINDS = ("local", "cluster")

_ON_A_CLUSTER_TOO = ("test_placement", "test_streams", "test_context")
"""What every run tries on a cluster as well; the rest is for long ones."""

_AMOUNTS = {"cpu": 4, "gpu": 2, "slot": 3, "memory": 4 * 2**30}
_LABELS = {"zone": "a"}
_STORE_BYTES = 200 * 2**20


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        kind = getattr(item, "callspec", None)
        if kind is not None and kind.params.get("ray") == "cluster" and item.path.stem not in _ON_A_CLUSTER_TOO:
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="module", params=KINDS)
def ray(request: pytest.FixtureRequest) -> Iterator[object]:
    """The library, open with 4 cpus, 2 imaginary gpus and 3 of a custom kind."""
    with ExitStack() as stack:
        if request.param == "local":
            executor.init(
                num_cpus=4, num_gpus=2, resources={"slot": 3}, labels=_LABELS, object_store_memory=_STORE_BYTES
            )
        else:
            rig = Rig()
            stack.callback(rig.close)
            rig.join("near", _AMOUNTS, _LABELS)
            executor.init(ClusterFleet(rig.dial), object_store_memory=_STORE_BYTES)
        stack.callback(executor.shutdown)
        yield executor
