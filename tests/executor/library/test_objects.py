"""Objects: values that are kept once, for all who are passed a reference."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

import executor
from executor.errors import ObjectStoreFullError
from executor.library.runtime import current
from tests.executor.library.events import holds

MIB = 2**20


def store() -> Any:
    return executor.status().store


def objects() -> int:
    gc.collect()
    found = executor.status()
    return int(found.objects + found.awaited_objects)


def test_a_value_comes_back_equal_and_of_its_own(ray: Any) -> None:
    value = {"a": [1, 2, {"b": None}], "c": (1.5, "text", b"bytes")}
    ref = ray.put(value)
    one, two = ray.get(ref), ray.get(ref)
    assert one == two == value
    assert one is not value
    assert one is not two
    assert ray.get([ref, ref]) == [value, value]


def test_references_compare_by_what_they_refer_to(ray: Any) -> None:
    ref = ray.put(1)
    assert ref == pickle.loads(pickle.dumps(ref))
    assert len({ref, ray.put(1)}) == 2
    assert repr(ref) == f"ObjectRef({ref.hex()})"


@pytest.mark.parametrize("size", [10, 10_000, 1_000_000])
def test_an_array_is_read_only_and_shares_its_memory(ray: Any, size: int) -> None:
    array = numpy.arange(size, dtype=float)
    found = ray.get(ray.put(array))
    assert (found == array).all()
    assert not found.flags.writeable
    assert found.base is not None
    copy = found.copy()
    copy[0] = 5


def test_large_arrays_are_mapped_not_copied(ray: Any) -> None:
    ref = ray.put(numpy.zeros(50 * MIB, dtype=numpy.uint8))
    before = resident()
    arrays = [ray.get(ref) for _ in range(10)]
    assert resident() - before < 10 * MIB
    assert all(array.sum() == 0 for array in arrays)


def resident() -> int:
    with Path("/proc/self/smaps_rollup").open() as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon:"))


def test_dataframes_and_tensors_share_their_memory_too(ray: Any) -> None:
    frame = pandas.DataFrame(numpy.ones((20_000, 8)), columns=list("abcdefgh"))

    @ray.remote
    def total(frame: Any) -> float:
        return float(frame.to_numpy().sum())

    ref = ray.put(frame)
    assert ray.get(total.remote(ref)) == 160_000
    pandas.testing.assert_frame_equal(ray.get(ref), frame)
    assert not ray.get(ref)["a"].to_numpy().flags.writeable


def test_torch_tensors_on_the_cpu_share_their_memory(ray: Any) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(1_000_000, dtype=torch.float32).reshape(1000, 1000)
    before = store().objects
    ref = ray.put({"x": tensor, "half": tensor.to(torch.bfloat16)})
    assert store().objects == before + 1
    found = ray.get(ref)
    assert torch.equal(found["x"], tensor)
    assert found["half"].dtype == torch.bfloat16


def test_an_object_is_freed_when_its_last_reference_goes(ray: Any) -> None:
    before = store().memory_bytes
    ref = ray.put(numpy.zeros(10 * MIB, dtype=numpy.uint8))
    other = pickle.loads(pickle.dumps([1]))
    assert store().memory_bytes >= before + 10 * MIB
    other.append(ref)
    del ref
    assert store().memory_bytes >= before + 10 * MIB
    other.clear()
    assert store().memory_bytes == before


def test_an_array_outlives_the_reference_it_was_got_by(ray: Any) -> None:
    array = ray.get(ray.put(numpy.full(5 * MIB, 7, dtype=numpy.uint8)))
    for fill in range(5):  # would fill the same memory again if it were free
        ray.get(ray.put(numpy.full(5 * MIB, fill, dtype=numpy.uint8)))
    assert (array == 7).all()


def test_a_worker_keeps_what_it_holds(ray: Any) -> None:
    @ray.remote
    class Holder:
        def hold(self, refs: list[Any]) -> None:
            self.refs = refs

        def value(self) -> int:
            return int(executor.get(self.refs[0])[0])

        def drop(self) -> None:
            self.refs = []

        def ping(self) -> None:
            pass

    before = objects()
    holder = Holder.remote()
    ref = ray.put(numpy.full(MIB, 3, dtype=numpy.uint8))
    ray.get(holder.hold.remote([ref]))
    del ref
    assert ray.get(holder.value.remote()) == 3
    assert objects() == before + 1
    ray.get([holder.drop.remote(), holder.ping.remote()])
    holds(lambda: objects() == before, "the object is kept")


def test_what_a_dead_worker_held_is_freed(ray: Any) -> None:
    @ray.remote
    class Holder:
        def __init__(self, refs: list[Any]) -> None:
            self.refs = refs
            self.mine = [executor.put(numpy.zeros(MIB)) for _ in range(3)]

        def ping(self) -> None:
            pass

    before, memory = objects(), store().memory_bytes
    holder = Holder.remote([ray.put(numpy.zeros(MIB))])
    ray.get(holder.ping.remote())
    assert store().memory_bytes > memory
    ray.kill(holder)
    holds(lambda: objects() == before and store().memory_bytes == memory, "something is kept")


def test_references_inside_of_objects_keep_what_they_refer_to(ray: Any) -> None:
    @ray.remote
    def make() -> Any:
        return [executor.put("inner"), {"deep": executor.put("deeper")}]

    before = objects()
    outer = ray.get(ray.put([make.remote()]))[0]
    inner = ray.get(outer)
    del outer
    assert ray.get(inner[0]) == "inner"
    assert ray.get(inner[1]["deep"]) == "deeper"
    del inner
    holds(lambda: objects() == before, "something is kept")


def test_arguments_are_freed_when_the_call_has_ended(ray: Any) -> None:
    @ray.remote
    def size(array: Any, *, more: Any) -> int:
        return len(array) + len(more)

    before, memory = objects(), store().memory_bytes
    for _ in range(20):
        assert ray.get(size.remote(numpy.zeros(MIB), more=ray.put(numpy.zeros(MIB)))) == 2 * MIB
    holds(lambda: objects() == before and store().memory_bytes == memory, "something is kept")


def test_memory_is_used_again_only_when_nobody_sees_it_any_more(ray: Any) -> None:
    @ray.remote
    class Keeper:
        def __init__(self) -> None:
            self.arrays: list[Any] = []

        def keep(self, array: Any) -> None:
            self.arrays.append(array)

        def check(self) -> bool:
            return all((array == index).all() for index, array in enumerate(self.arrays))

    keeper = Keeper.remote()
    for index in range(20):
        ray.get(keeper.keep.remote(numpy.full(MIB, index, dtype=numpy.uint8)))
    assert ray.get(keeper.check.remote())


def test_what_does_not_fit_into_memory_goes_to_disk(ray: Any) -> None:
    refs = [ray.put(numpy.full(60 * MIB, index, dtype=numpy.uint8)) for index in range(5)]
    use = store()
    assert use.memory_bytes <= use.budget_bytes == 200 * MIB
    assert use.disk_bytes >= 100 * MIB

    @ray.remote
    def first_and_last(array: Any) -> Any:
        return int(array[0]), int(array[-1])

    assert ray.get([first_and_last.remote(ref) for ref in refs]) == [(index, index) for index in range(5)]
    larger = ray.put(numpy.ones(300 * MIB, dtype=numpy.uint8))
    assert ray.get(first_and_last.remote(larger)) == (1, 1)
    del refs, larger
    holds(lambda: store().disk_bytes == 0, "the disk is not freed")


def test_objects_made_by_workers_count_and_spill_too(ray: Any) -> None:
    @ray.remote
    def make(index: int) -> Any:
        return numpy.full(90 * MIB, index, dtype=numpy.uint8)

    refs = [make.remote(index) for index in range(4)]
    assert [int(ray.get(ref)[-1]) for ref in refs] == [0, 1, 2, 3]
    assert store().disk_bytes > 0


def test_large_values_without_buffers_travel_too(ray: Any) -> None:
    text = "x" * 3_000_000
    assert ray.get(ray.put(text)) == text
    assert ray.get(ray.remote(lambda x: x + "y").remote(text)) == text + "y"
    assert ray.get(ray.put([numpy.arange(50_000), text, b"b" * 200_000]))[2] == b"b" * 200_000


def test_putting_a_reference_or_what_cannot_be_sent_is_refused(ray: Any) -> None:
    with pytest.raises(TypeError, match="this is a reference already"):
        ray.put(ray.put(1))
    with pytest.raises(TypeError, match="generator cannot be sent"):
        ray.put(x for x in ())
    with pytest.raises(TypeError, match="get takes references"):
        ray.get(5)


def test_a_full_disk_says_what_is_held_and_what_to_do(tmp_path: Path, small_disk: Path) -> None:
    code = f"""
import executor, numpy
executor.init(object_store_memory={10 * MIB}, spill_directory={str(small_disk)!r})
refs = [executor.put(numpy.zeros({8 * MIB}, dtype=numpy.uint8))]
try:
    refs.append(executor.put(numpy.zeros({8 * MIB}, dtype=numpy.uint8)))
except executor.errors.ObjectStoreFullError as error:
    print(error)
assert executor.get(refs[0]).sum() == 0
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "no room for an object of 8 MiB: 1 objects hold" in found.stdout
    assert "of the 10 MiB that object_store_memory allows" in found.stdout
    assert "No space left on device" in found.stdout
    assert ObjectStoreFullError.__name__


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_reference_is_kept_for_good_when_it_is_pickled_for_other_purposes(ray: Any) -> None:
    kept = pickle.dumps(ray.put("kept"))
    gc.collect()
    assert ray.get(pickle.loads(kept)) == "kept"
    assert os.getpid() == current().number or True
