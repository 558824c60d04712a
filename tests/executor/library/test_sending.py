"""The code and variables that `init` sends to a cluster's nodes: there for all that runs on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import executor
from executor.cluster.fleet import ClusterFleet
from executor.errors import InfeasibleRequestError
from executor.hosting.packages import PackageCache
from executor.resources import Node, Resources
from tests.executor.cluster_rig import Rig
from tests.executor.library.events import holds
from tests.executor.near_fleet import NearFleet


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    executor.shutdown()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with a module that this process cannot import, and files beside it; a package; and a file."""
    files = {
        "work/far_away.py": "ANSWER = 42\n",
        "work/beside.txt": "beside",
        "work/weights.bin": "stay here",
        "lib/far_package/__init__.py": "from far_package.inner import NAME\n",
        "lib/far_package/inner.py": "NAME = 'inner'\n",
        "far_file.py": "NAME = 'file'\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def env_of(folder: Path) -> dict[str, Any]:
    return {
        "working_dir": folder / "work",
        "py_modules": [folder / "lib" / "far_package", folder / "far_file.py"],
        "excludes": ["*.bin"],
        "env_vars": {"GREETING": "hello"},
    }


def found() -> tuple[str, int, str, str, str, list[str]]:
    import far_away
    import far_file
    import far_package

    names = sorted(path.name for path in Path.cwd().iterdir() if path.name != "__pycache__")
    return str(Path.cwd()), far_away.ANSWER, far_package.NAME, far_file.NAME, os.environ["GREETING"], names


@executor.remote
def look() -> Any:
    return found()


@executor.remote
def look_by_a_child() -> Any:
    return executor.get(look.remote())


@executor.remote
class Looker:
    def look(self) -> Any:
        return found()


def test_tasks_actors_and_their_children_on_all_nodes_have_what_was_sent(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITION_CACHE", str(elsewhere / "cache"))
    rig = Rig()
    try:
        for name in "ab":
            rig.join(name, {"cpu": 2}, {"zone": name})
        executor.init(ClusterFleet(rig.dial), runtime_env=env_of(elsewhere), log_to_driver=False)
        holds(lambda: len(executor.nodes()) == 2, "both nodes have joined")
        on_both = [{"label_selector": {"zone": name}} for name in "ab"]
        asked = [task.options(**on).remote() for task in (look, look_by_a_child) for on in on_both]
        asked += [Looker.options(**on).remote().look.remote() for on in on_both]
        for folder, *rest in executor.get(asked, timeout=60):
            assert rest == [42, "inner", "file", "hello", ["beside.txt", "far_away.py"]]
            assert not Path(folder).is_relative_to(elsewhere)
        more = {"runtime_env": {"env_vars": {"GREETING": "good evening"}}}
        assert executor.get(look.options(**more).remote())[1:5] == (42, "inner", "file", "good evening")
    finally:
        executor.shutdown()
        rig.close()


def test_a_node_that_cannot_have_what_is_sent_is_left_out(elsewhere: Path) -> None:
    nowhere = elsewhere / "far_file.py" / "cache"
    nodes = [Node(name, Resources.of({"cpu": 1, name: 1})) for name in "ab"]
    fleet = NearFleet(nodes, caches={"a": PackageCache(nowhere), "b": PackageCache(elsewhere / "cache")})
    executor.init(fleet, runtime_env=env_of(elsewhere), log_to_driver=False)
    spread = look.options(scheduling_strategy="SPREAD")
    assert {one[1] for one in executor.get([spread.remote() for _ in range(8)], timeout=60)} == {42}
    with pytest.raises(InfeasibleRequestError, match="left out: node a: code that was sent along cannot be unpacked"):
        executor.get(look.options(resources={"a": 1}).remote(), timeout=60)


def test_a_task_or_an_actor_may_have_code_of_its_own_sent(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDITION_CACHE", str(elsewhere / "cache"))
    everywhere = {"py_modules": [elsewhere / "far_file.py"]}
    executor.init(NearFleet([Node("a", Resources.of(cpu=2))]), runtime_env=everywhere, log_to_driver=False)
    own = env_of(elsewhere) | {"py_modules": [elsewhere / "lib" / "far_package"]}
    plain = executor.remote(lambda: (Path.cwd().joinpath("beside.txt").exists(), __import__("far_file").NAME))
    assert executor.get(plain.remote(), timeout=60) == (False, "file")

    mine = look.options(runtime_env=own)
    child = executor.remote(lambda: executor.get(mine.remote()))
    asked = [mine.remote(), look_by_a_child.options(runtime_env=own).remote(), child.remote()]
    asked.append(Looker.options(runtime_env=own).remote().look.remote())
    for folder, *rest in executor.get(asked, timeout=60):
        assert rest == [42, "inner", "file", "hello", ["beside.txt", "far_away.py"]]
        assert not Path(folder).is_relative_to(elsewhere / "work")
    assert executor.get(plain.remote(), timeout=60) == (False, "file")


def test_code_of_a_task_that_cannot_be_sent_is_refused_where_it_is_called(tmp_path: Path) -> None:
    executor.init(NearFleet([Node("a", Resources.of(cpu=2))]), log_to_driver=False)
    mine = look.options(runtime_env={"working_dir": tmp_path})
    with pytest.raises(ValueError, match="holds no files"):
        mine.remote()
    with pytest.raises(ValueError, match="holds no files"):
        executor.get(executor.remote(mine.remote).remote(), timeout=60)


def test_what_cannot_be_sent_is_refused_before_anybody_is_dialled(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no files"):
        executor.init("grpc://127.0.0.1:1", runtime_env={"working_dir": tmp_path})
    with pytest.raises(ValueError, match="patterns such as"):
        executor.init("grpc://127.0.0.1:1", runtime_env={"excludes": "*.bin"})
