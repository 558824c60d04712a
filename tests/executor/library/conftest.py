"""The executor that the conformance suite runs on: one of 4 cpus for each module; a cluster will be another kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import executor

KINDS = ("local",)


@pytest.fixture(scope="module", params=KINDS)
def ray(request: pytest.FixtureRequest) -> Iterator[object]:
    """The library, open with 4 cpus, 2 imaginary gpus and 3 of a custom kind."""
    executor.init(num_cpus=4, num_gpus=2, resources={"slot": 3}, labels={"zone": "a"}, object_store_memory=200 * 2**20)
    yield executor
    executor.shutdown()
