"""Ray's names: whoever moves changes the first word of an import."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
import threading
from typing import Any

import pytest

import executor

NAMES = {
    "executor.actor": ["exit_actor", "ActorClass", "ActorHandle", "ActorMethod"],
    "executor.exceptions": [
        "RayError", "GetTimeoutError", "TaskCancelledError", "ActorDiedError", "RayActorError", "WorkerCrashedError",
        "OutOfMemoryError", "ObjectStoreFullError", "RuntimeEnvSetupError", "PendingCallsLimitExceeded",
        "TaskUnschedulableError", "ActorUnschedulableError",
    ],
    "executor.util": [
        "ActorPool", "placement_group", "remove_placement_group", "placement_group_table", "as_completed",
        "map_unordered", "inspect_serializability", "list_named_actors",
    ],
    "executor.util.multiprocessing": ["Pool", "TimeoutError", "AsyncResult"],
    "executor.util.joblib": ["register_ray"],
    "executor.util.placement_group": ["placement_group", "PlacementGroup", "remove_placement_group"],
    "executor.util.queue": ["Queue", "Empty", "Full"],
    "executor.util.scheduling_strategies": ["PlacementGroupSchedulingStrategy"],
}  # fmt: skip


@pytest.mark.parametrize(("module", "names"), NAMES.items())
def test_a_module_has_rays_names(module: str, names: list[str]) -> None:
    found = importlib.import_module(module)
    assert [name for name in names if not hasattr(found, name)] == []


@pytest.mark.parametrize(
    "expression",
    [
        "ray.util.ActorPool", "ray.util.queue.Queue", "ray.util.multiprocessing.Pool", "ray.exceptions.RayError",
        "ray.actor.exit_actor", "ray.futures.Executor", "ray.multiprocessing.Pool", "ray.ActorPool", "ray.Queue",
        "ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy", "ray.register_joblib",
        "ray.util.joblib.register_ray", "ray.util.placement_group([{'CPU': 1}]).wait",
    ],
)  # fmt: skip
def test_a_name_is_found_from_the_package_alone(expression: str) -> None:
    program = f"import executor as ray; assert callable({expression}) and ray.util.placement_group.__name__"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("module", ["executor.util", "executor.util.queue", "executor.exceptions", "executor.actor"])
def test_rays_modules_are_light(module: str) -> None:
    heavy = "{'asyncio', 'joblib', 'numpy', 'cloudpickle', 'multiprocessing.pool'}"
    program = f"import {module}, sys; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_name_that_there_is_not_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        executor.util.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        executor.nothing  # noqa: B018
    assert {"util", "Queue"} <= set(dir(executor))


def test_values_come_as_they_are_there(ray: Any) -> None:
    double = ray.remote(lambda n: 2 * n)
    assert sorted(ray.util.map_unordered(double, range(5))) == [0, 2, 4, 6, 8]
    refs = [double.remote(n) for n in range(3)]
    assert sorted(ray.util.as_completed(refs)) == [0, 2, 4]
    assert set(ray.util.as_completed(refs, yield_obj_refs=True)) == set(refs)


def test_what_cannot_be_sent_is_named() -> None:
    lock = threading.Lock()
    said = io.StringIO()
    assert executor.util.inspect_serializability(lambda: 1, print_file=said) == (True, set())
    well, why = executor.util.inspect_serializability(lambda: lock, name="mine", print_file=said)
    assert not well
    assert "`lock`" in "".join(why)
    assert "Checking whether mine can be sent" in said.getvalue()


def test_a_placement_group_is_made_and_used_by_rays_names(ray: Any) -> None:
    from executor.util.placement_group import placement_group, placement_group_table, remove_placement_group
    from executor.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = placement_group([{"CPU": 1}])
    ray.get(group.ready(), timeout=30)
    inside = ray.remote(scheduling_strategy=PlacementGroupSchedulingStrategy(group))(lambda: "inside")
    assert ray.get(inside.remote(), timeout=30) == "inside"
    assert [each["state"] for each in placement_group_table().values()] == ["placed"]
    remove_placement_group(group)


def test_an_actor_leaves_by_rays_name(ray: Any) -> None:
    from executor.exceptions import RayActorError

    class Leaving:
        def leave(self) -> None:
            from executor.actor import exit_actor

            exit_actor()

    with pytest.raises(RayActorError, match="exit_actor"):
        ray.get(ray.remote(Leaving).remote().leave.remote(), timeout=30)
