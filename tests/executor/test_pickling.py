"""What cannot be pickled is named in the words of whoever wrote it."""

from __future__ import annotations

import functools
import re
import sys
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from executor.errors import ProgramNotPicklableError
from executor.framing import pack
from executor.interface import Program, Step
from executor.pickling import dump


@dataclass(frozen=True)
class Trainable(Program):
    """As a caller wraps a user's function."""

    function: Callable[..., Any]
    options: Any = None

    def steps(self, argument: Any) -> Generator[Step, Any, Any]:
        yield Step(self.function(argument))


@pytest.fixture
def sweep(tmp_path: Path) -> Any:
    """A user's script: its functions travel by value, as those of ``__main__`` do."""
    path = tmp_path / "sweep.py"
    path.write_text(
        "import threading\n"
        "lock = threading.Lock()\n"
        "def train(config):\n"
        "    with lock: return 1\n"
        "def step(config):\n"
        "    return [lock for _ in range(3)]\n"
        "def train_by_steps(config):\n"
        "    return step(config)\n"
        "class Model:\n"
        "    def __init__(self): self.guard = threading.Lock()\n"
        "model = Model()\n"
        "def train_model(config): return model\n"
    )
    module = ModuleType("sweep")
    sys.modules["sweep"] = module
    exec(compile(path.read_text(), path, "exec"), module.__dict__)
    cloudpickle.register_pickle_by_value(module)
    yield module
    cloudpickle.unregister_pickle_by_value(module)
    del sys.modules["sweep"]


def refusal(program: Any) -> str:
    with pytest.raises(ProgramNotPicklableError) as caught:
        dump(program)
    return str(caught.value)


def test_a_global_is_named(sweep: Any) -> None:
    assert refusal(Trainable(sweep.train)) == (
        "`train` cannot be sent to worker processes: it uses `lock`, a _thread.lock (a global of sweep.py). "
        "Create it inside the function, or pass what is needed to make it."
    )


def test_a_global_is_named_through_the_functions_in_between(sweep: Any) -> None:
    assert "`train_by_steps` cannot" in refusal(Trainable(sweep.train_by_steps))
    assert "it uses `lock` through `step`, a _thread.lock" in refusal(Trainable(sweep.train_by_steps))


def test_an_attribute_of_a_global_is_named(sweep: Any) -> None:
    assert "uses `guard`, a _thread.lock (an attribute of Model)" in refusal(Trainable(sweep.train_model))


def test_a_variable_around_a_function_is_named() -> None:
    connection = threading.Lock()

    def train(config: Any) -> Any:
        return connection

    assert refusal(Trainable(train)).startswith(
        "`train` cannot be sent to worker processes: it uses `connection`, a _thread.lock (a variable around train)"
    )


def test_a_default_argument_is_named() -> None:
    def train(config: Any, width: int = 3, *, guard: Any = threading.Lock()) -> Any:  # noqa: B008
        return guard

    assert "uses `guard`, a _thread.lock (a default argument of train)" in refusal(Trainable(train))


def test_what_may_not_be_pickled_but_has_no_lock_is_named_by_its_type() -> None:
    numbers = (number for number in [1])
    assert "it uses `numbers`, a generator (a variable around <lambda>)" in refusal(Trainable(lambda config: numbers))


def test_a_bound_argument_is_named(sweep: Any) -> None:
    text = refusal(Trainable(functools.partial(sweep.step, lock=(number for number in [1]))))
    assert re.search(r"`(step|Trainable)` cannot", text)


def test_what_a_program_holds_is_named() -> None:
    text = refusal(Trainable(print, {"width": [1, threading.Lock()]}))
    assert text.startswith("`Trainable` cannot be sent to worker processes: it holds `[1]`, a _thread.lock (in a list)")


def test_a_structure_that_contains_itself_is_searched_once() -> None:
    loop: list[Any] = [threading.Lock()]
    loop.insert(0, loop)
    assert "a _thread.lock" in refusal(Trainable(print, loop))


def test_a_message_names_the_way_to_what_cannot_be_sent() -> None:
    with pytest.raises(TypeError, match=r"`guard` in `outer`: a _thread.lock cannot be sent to another process"):
        pack({"outer": {"guard": threading.Lock()}})
