"""What cannot be taken is refused where it is given, all of it at once, in words that say what to do."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

import executor
from executor.library.plans import Crew


def nothing() -> None:
    pass


class Nothing:
    pass


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"resources": {"CPU": 1, "memory": 5}}, "custom kinds only: give CPU as num_cpus, memory as memory"),
        ({"resources": ["CPU"]}, "resources must be a dictionary of amounts, as {'licence': 2}, got ['CPU']"),
        (
            {"object_store_memory": 0},
            "object_store_memory must be a whole number of bytes above 0, got 0: leave it out",
        ),
        ({"object_store_memory": "1G"}, "above 0, got '1G'"),
        ({"labels": {"zone": 1}}, "labels must be a dictionary of texts, as {'zone': 'a'}, got {'zone': 1}"),
        ({"labels": "zone"}, "got 'zone'"),
        ({"spill_directory": __file__}, f"{__file__!r} is a file"),
        ({"spill_directory": "/not/there"}, "'/not/there' is not there"),
        ({"spill_directory": 5}, "spill_directory must be a folder, got 5"),
        ({"runtime_env": {"py_modules": "json"}}, "['py_modules'] must be a list of modules and folders, got 'json'"),
        ({"runtime_env": {"worker_process_setup_hook": "plain"}}, "or its name as 'module.function', got 'plain'"),
        ({"runtime_env": {"worker_process_setup_hook": "os.no_such"}}, "cannot be imported: 'os.no_such'"),
        ({"runtime_env": {"worker_process_setup_hook": "no_such.hook"}}, "cannot be imported: 'no_such.hook'"),
        ({"num_cpus": -1}, "at least 0, got -1"),
    ],
)
def test_init_refuses_what_it_cannot_open_with(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        executor.init(**given)
    assert not executor.is_initialized()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_init_refuses_a_folder_that_it_cannot_write_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="spill_directory must be a folder that can be written to"):
        executor.init(spill_directory=str(tmp_path))


def test_init_tells_all_mistakes_at_once() -> None:
    with pytest.raises(ValueError, match=r"num_cpus.*labels.*object_store_memory") as caught:
        executor.init(resources={"cpu": 1}, object_store_memory=-5, labels={1: "a"})  # type: ignore[dict-item]
    assert str(caught.value).count(";") == 2


def test_options_tell_all_mistakes_at_once() -> None:
    with pytest.raises(ValueError, match=r"num_returns.*max_retries.*label_selector"):
        executor.remote(num_returns="many", max_retries=-2, label_selector="a")(nothing)
    with pytest.raises(ValueError, match=r"max_restarts.*max_concurrency.*no folder"):
        executor.remote(max_restarts="x", max_concurrency=0, runtime_env={"working_dir": "/not/there"})(Nothing)


@pytest.mark.parametrize("options", [{"crew": 3}, {"crew": Crew(1, 1)}, {"num_cpu": 1, "retries": 2}])
def test_an_option_that_there_is_not_is_refused(options: dict[str, Any]) -> None:
    for what in (nothing, Nothing):
        with pytest.raises(ValueError, match=r"no option of an? (task|actor): .*'(crew|retries)'.*There are") as caught:
            executor.remote(**options)(what)
        assert " crew," not in str(caught.value)
    if "num_cpu" in options:
        assert "'num_cpu' (meant 'num_cpus'?)" in str(caught.value)


def test_an_actor_is_not_looked_for_without_a_name(ray: Any) -> None:
    kind = ray.remote(get_if_exists=True)(Nothing)
    with pytest.raises(ValueError, match=r"get_if_exists=True is for an actor with a name: give name"):
        kind.remote()
    assert kind.options(name="nothing").remote() == kind.options(name="nothing").remote()
