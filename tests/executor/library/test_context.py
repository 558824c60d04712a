"""What `init` returns."""

from __future__ import annotations

from pathlib import Path

import pytest

import executor
from executor.errors import ExecutorClosedError


def test_the_end_of_a_with_shuts_down() -> None:
    with executor.init(num_cpus=2, num_gpus=0, log_to_driver=False) as context:
        ref = executor.put(1)
        assert Path(context.address_info["session_dir"]).is_dir()
        assert context.address_info["node_id"] == executor.nodes()[0]["NodeID"]
    assert not executor.is_initialized()
    assert not Path(context.address_info["session_dir"]).exists()
    with pytest.raises(ExecutorClosedError):
        executor.get(ref)
    executor.shutdown()


def test_an_error_in_a_with_shuts_down_and_comes_out() -> None:
    with pytest.raises(KeyError), executor.init(num_cpus=1, log_to_driver=False):
        raise KeyError
    assert not executor.is_initialized()


def test_the_end_of_a_with_leaves_the_next_executor_alone() -> None:
    with executor.init(num_cpus=1, log_to_driver=False):
        executor.shutdown()
        executor.init(num_cpus=1, log_to_driver=False)
    assert executor.is_initialized()
    executor.shutdown()


def test_it_shows_what_there_is() -> None:
    context = executor.init(
        num_cpus=2.5, num_gpus=1, resources={"slot": 3}, object_store_memory=200 * 2**20, log_to_driver=False
    )
    assert repr(context) == "Executor(2.5 cpus, 1 gpus, 3 slot, 200 MiB of memory for objects)"
    assert repr(executor.init(ignore_reinit_error=True)) == repr(context)
    context.disconnect()
    assert repr(context) == "Executor(shut down)"
