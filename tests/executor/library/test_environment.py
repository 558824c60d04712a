"""What tasks and actors find around them: variables, folders, modules, a set-up; and code from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import executor
from executor.errors import RuntimeEnvSetupError
from executor.platform import here


@executor.remote
def look(*names: str) -> Any:
    return [os.environ.get(name) for name in names], str(Path.cwd()), sys.path[:2]


def test_variables_are_set_for_those_who_ask_for_them_only(ray: Any) -> None:
    env = {"env_vars": {"MINE": "yes", "OMP_NUM_THREADS": "7"}}
    assert ray.get(look.options(runtime_env=env).remote("MINE", "OMP_NUM_THREADS"))[0] == ["yes", "7"]
    assert ray.get(look.remote("MINE", "OMP_NUM_THREADS"))[0] == [None, "1"]
    assert ray.get(look.options(num_cpus=3).remote("OMP_NUM_THREADS"))[0] == ["3"]


def test_a_working_directory_is_where_it_stands_and_what_it_imports_from(ray: Any, tmp_path: Path) -> None:
    (tmp_path / "only_here.py").write_text("VALUE = 42")

    @ray.remote(runtime_env={"working_dir": tmp_path})
    class Here:
        def look(self) -> Any:
            import only_here

            return only_here.VALUE, str(Path.cwd())

    assert ray.get(Here.remote().look.remote()) == (42, str(tmp_path))
    assert ray.get(look.remote())[1] == str(Path.cwd())


def test_modules_are_given_by_their_folder_or_themselves(ray: Any, tmp_path: Path) -> None:
    package = tmp_path / "some_package"
    package.mkdir()
    (package / "__init__.py").write_text("from some_package.inner import VALUE")
    (package / "inner.py").write_text("VALUE = 'inner'")

    @ray.remote(runtime_env={"py_modules": [str(package)]})
    def use() -> str:
        import some_package

        return str(some_package.VALUE)

    assert ray.get(use.remote()) == "inner"


def test_a_set_up_runs_first_in_each_new_process(ray: Any) -> None:
    def set_up() -> None:
        os.environ["SET_UP"] = str(os.getpid())

    pid = ray.remote(os.getpid).options(runtime_env={"worker_process_setup_hook": set_up})
    found = look.options(runtime_env={"worker_process_setup_hook": set_up})
    assert ray.get(found.remote("SET_UP"))[0] == [str(ray.get(pid.remote()))]


def test_a_set_up_that_fails_fails_what_needs_it(ray: Any) -> None:
    def set_up() -> None:
        raise OSError("no licence")

    env = {"worker_process_setup_hook": set_up}
    with pytest.raises(RuntimeEnvSetupError, match="OSError: no licence"):
        ray.get(look.options(runtime_env=env).remote())

    @ray.remote(runtime_env=env, max_restarts=5)
    class Never:
        def ping(self) -> None:
            pass

    with pytest.raises(RuntimeEnvSetupError, match="OSError: no licence"):
        ray.get(Never.remote().ping.remote())


@pytest.mark.parametrize(
    ("env", "text"),
    [
        ({"env_vars": {"A": 1}}, "dictionary of texts"),
        ({"pip": ["x"], "conda": "y"}, "has no 'pip'.*has no 'conda'"),
    ],
)
def test_mistakes_in_an_environment_are_told_when_it_is_given(ray: Any, env: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        look.options(runtime_env=env)
    with pytest.raises(FileNotFoundError, match="is no folder"):
        look.options(runtime_env={"working_dir": "/not/there"})


def test_the_default_environment_is_that_of_init() -> None:
    code = """
import executor, os
executor.init(runtime_env={"env_vars": {"MINE": "default"}})
look = executor.remote(lambda: os.environ.get("MINE"))
print(executor.get(look.remote()), executor.get(look.options(runtime_env={}).remote()))

@executor.remote
class Look:
    def look(self):
        return os.environ.get("MINE")

print(executor.get(Look.remote().look.remote()))
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60) == "default None\ndefault\n"


def test_children_have_the_environment_of_their_parents() -> None:
    code = """
import executor, os
executor.init(runtime_env={"env_vars": {"MINE": "default"}})
look = executor.remote(lambda: (os.environ.get("MINE"), os.path.basename(os.getcwd())))

@executor.remote
class Look:
    def look(self):
        return executor.get(look.remote())

@executor.remote
def parent():
    return executor.get([look.remote(), look.options(runtime_env={}).remote(), Look.remote().look.remote()])

print([mine for mine, _ in executor.get(parent.remote())])
print(executor.get(parent.options(runtime_env={"working_dir": "/usr"}).remote()))
"""
    found = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60, cwd="/var").splitlines()
    assert found == ["['default', None, 'default']", "[(None, 'usr'), (None, 'var'), (None, 'usr')]"]


def test_children_of_a_pool_do_not_begin_as_its_workers_do() -> None:
    code = """
import executor, os
from executor.multiprocessing import Pool

look = executor.remote(lambda: os.environ.get("POOL"))

def begin():
    os.environ["POOL"] = "in"

def children(_):
    return os.environ["POOL"], executor.get(look.remote())

with Pool(1, initializer=begin) as pool:
    print(pool.map(children, [0]))
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60) == "[('in', None)]\n"


def test_the_default_environment_ends_with_its_executor() -> None:
    code = """
import executor, os
look = executor.remote(lambda: os.environ.get("MINE"))
for env in ({"env_vars": {"MINE": "first"}}, None, {"env_vars": {"MINE": "third"}}):
    executor.init(runtime_env=env)
    print(executor.get(look.remote()))
    executor.shutdown()
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60) == "first\nNone\nthird\n"


# Code.


def test_classes_functions_and_exceptions_of_a_script_travel_and_stay_themselves(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
import dataclasses, executor

@dataclasses.dataclass
class Point:
    x: int

class MyError(Exception):
    pass

def helper(point):
    return Point(point.x + 1)

@executor.remote
def move(point):
    if point.x > 5:
        raise MyError(point)
    return helper(point)

@executor.remote
class Mover:
    def move(self, point):
        return helper(point)

if __name__ == "__main__":
    assert executor.get(move.remote(Point(1))) == Point(2)
    assert executor.get(Mover.remote().move.remote(Point(3))) == Point(4)
    assert isinstance(executor.get(executor.put(Point(1))), Point)
    try:
        executor.get(move.remote(Point(6)))
    except MyError as error:
        print(error.args[0].x, type(error.args[0]) is Point, "in move" in str(error.__cause__))
"""
    )
    assert subprocess.check_output([sys.executable, script], text=True, timeout=60) == "6 True True\n"


def test_a_cell_that_was_edited_runs_as_it_is_now(tmp_path: Path) -> None:
    script = tmp_path / "notebook.py"
    script.write_text(
        """
import executor, linecache

def cell(number, code):  # as IPython runs one
    name = f"<cell {number}>"
    linecache.cache[name] = (len(code), None, code.splitlines(True), name)
    exec(compile(code, name, "exec"), globals())

for number, factor in enumerate((2, 3)):
    cell(number, f'''
def scale(x):
    return x * {factor}

@executor.remote
def task(x):
    return scale(x)

@executor.remote
class Actor:
    def call(self, x):
        return scale(x) + {factor}
''')
    print(executor.get(task.remote(5)), executor.get(Actor.remote().call.remote(5)))
cell(2, '''
@executor.remote
def fail():
    raise ValueError("in a cell")
''')
try:
    executor.get(fail.remote())
except ValueError as error:
    print('raise ValueError("in a cell")' in str(error.__cause__))
"""
    )
    shown = subprocess.check_output([sys.executable, script], text=True, timeout=60)
    assert shown == "10 12\n15 18\nTrue\n"


def test_a_package_beside_the_script_is_imported_not_copied(tmp_path: Path) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "work.py").write_text(
        "import executor\nimport os\nSTATE = []\n\n"
        "class Worker:\n    def where(self):\n"
        "        STATE.append(1)\n        return __file__, len(STATE), os.getpid()\n"
    )
    script = tmp_path / "main.py"
    script.write_text(
        """
import executor
from mine.work import STATE, Worker

if __name__ == "__main__":
    worker = executor.remote(Worker).remote()
    file, count, _ = executor.get([worker.where.remote(), worker.where.remote()])[1]
    print(file.endswith("mine/work.py"), count, STATE)
"""
    )
    assert subprocess.check_output([sys.executable, script], text=True, timeout=60) == "True 2 []\n"


def test_random_states_differ_between_workers(ray: Any) -> None:
    @ray.remote
    class Dice:
        def roll(self) -> Any:
            import random

            import numpy

            return random.random(), float(numpy.random.random())

    rolls = ray.get([Dice.remote().roll.remote() for _ in range(4)])
    assert len(set(rolls)) == 4


def test_modules_that_were_used_once_are_there_for_the_next(ray: Any) -> None:
    @ray.remote
    class Uses:
        def __init__(self) -> None:
            self.before = "wave" in sys.modules

        def use(self) -> bool:
            import wave

            assert wave
            return self.before

    there = here.can_fork()  # fresh interpreters share nothing
    assert [ray.get(Uses.remote().use.remote()) for _ in range(2)] == [there, there]
