"""Values as strict JSON text and back, and that reading never runs code."""

from __future__ import annotations

import enum
import functools
import json
import math
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedulers.asha import ASHAScheduler
from schedulers.base import Stop
from searchers.base import Searcher
from searchers.choices import Choice
from searchers.space import choice, lograndint, loguniform, quniform, randint, randn, sample_from, uniform
from searchers.stepped import Stepped
from searchers.variants import BasicVariantGenerator
from tune.errors import NotRebuildableError
from tune.machine.stopping import CombinedStopper, MaximumIterationStopper, ThresholdStopper
from tune.storage import data
from tune.storage.data import Lost

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.integers() | st.booleans() | st.tuples(st.integers()) | st.sampled_from(sorted(data._TAGS))
VALUES = st.recursive(
    SCALARS | st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


def strictly(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def there_and_back(value: Any, *, code: bool = False) -> Any:
    text = data.dumps(value)
    assert "\n" not in text
    strictly(text)
    text.encode()
    return data.loads(text, code=code)


@given(VALUES)
def test_every_value_comes_back_as_it_was(value: Any) -> None:
    back = there_and_back(value)
    assert back == value
    assert repr(back) == repr(value)  # 1 and True and 1.0 are equal, and not the same


@pytest.mark.parametrize("value", [math.inf, -math.inf, -0.0, 1e308, 5e-324])
def test_numbers_at_the_edge_come_back(value: float) -> None:
    assert repr(there_and_back([value])[0]) == repr(value)


def test_nan_comes_back() -> None:
    assert math.isnan(there_and_back({"a": {"b": (math.nan,)}})["a"]["b"][0])


def test_half_a_surrogate_pair_can_be_kept() -> None:
    assert there_and_back("a\udc80") == "a\udc80"
    assert there_and_back({"a\udc80": (1,)}) == {"a\udc80": (1,)}


class Colour(str, enum.Enum):  # noqa: UP042 (many users write it so)
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(2.5), 2.5),
        (Colour.RED, "red"),
        (Size.BIG, 3),
    ],
)
def test_scalars_of_other_libraries_and_enums_become_plain_ones(value: Any, plain: Any) -> None:
    for back in (there_and_back(value), there_and_back({"a": [value]})["a"][0], there_and_back((value,))[0]):
        assert back == plain
        assert type(back) is type(plain)


def test_nan_of_numpy_comes_back() -> None:
    assert math.isnan(there_and_back(np.float32("nan")))


@pytest.mark.parametrize(
    "domain",
    [
        uniform(0, 1),
        loguniform(1e-5, 1),
        quniform(0, 1, 0.25),
        randint(0, 9),
        lograndint(1, 100),
        randn(0, 1),
        choice([1, "a", None, (2, 3), {"deep": uniform(0, 1)}]),
        Stepped(0.0, 1.0, 0.25),
        sample_from(math.sqrt),
    ],
    ids=str,
)
def test_domains_come_back_equal(domain: Any) -> None:
    assert there_and_back({"space": {"x": domain}}, code=True) == {"space": {"x": domain}}


@dataclass
class Setting:
    """A value of the user's own."""

    rate: float
    layers: tuple[int, ...] = (1,)
    derived: float = field(init=False, default=0.0)


def test_dataclasses_come_back_equal() -> None:
    value = Setting(0.5, (2, 3))
    assert there_and_back([value, Stop("bad")], code=True) == [value, Stop("bad")]


def test_policies_come_back_as_they_were_made() -> None:
    made = ASHAScheduler("epoch", max_t=27, reduction_factor=3, type="promotion")
    back = there_and_back(made, code=True)
    assert type(back) is ASHAScheduler
    assert back.init_arguments == made.init_arguments
    searcher = there_and_back(BasicVariantGenerator([{"x": (1, 2)}], random_state=3), code=True)
    assert isinstance(searcher, Searcher)
    assert searcher.init_arguments == (([{"x": (1, 2)}],), {"random_state": 3})
    stopper = there_and_back(CombinedStopper(MaximumIterationStopper(2), ThresholdStopper({"a": 1.0})), code=True)
    assert [type(one) for one in stopper.init_arguments[0]] == [MaximumIterationStopper, ThresholdStopper]


@pytest.mark.parametrize("value", [math.sqrt, json.dumps, Path, Searcher.rng, dict])
def test_what_can_be_imported_comes_back_itself(value: Any) -> None:
    assert there_and_back({"f": value}, code=True)["f"] is value
    assert isinstance(there_and_back({"f": value})["f"], Lost)


def _closure():
    def inner():
        pass

    return inner


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda: None, ["<lambda>", "test_data.py:"]),
        (_closure(), ["_closure.<locals>.inner", "test_data.py:"]),
        (functools.partial(print, 1), ["functools.partial"]),
        (object(), ["builtins.object"]),
        (np.zeros(3), ["numpy.ndarray"]),
        (type("Local", (), {}), ["Local"]),
    ],
    ids=["lambda", "closure", "partial", "object", "array", "class"],
)
def test_what_text_cannot_keep_is_named(value: Any, words: list[str]) -> None:
    encoded = data.encode({"model": {"act": (value,)}})
    ((path, description),) = data.lost_in(encoded)
    assert path.startswith("model/act")
    for word in words:
        assert word in description
    lost = there_and_back({"x": value}, code=True)["x"]
    assert isinstance(lost, Lost)
    assert lost.description == description


def test_what_was_lost_stays_lost_when_it_is_kept_again() -> None:
    lost = there_and_back({"x": lambda: None})
    assert there_and_back(lost, code=True) == lost
    assert data.lost_in(data.encode(lost)) == [("x", lost["x"].description)]


def test_a_dictionary_of_the_users_that_looks_like_ours_is_the_users() -> None:
    value = {"$function": "os:system", "$object": {"$class": "x"}, "$lost": 1, "args": [], "kwargs": {}}
    assert there_and_back(value, code=True) == value


RECIPE = {
    "function": {"$function": "side_effect:function"},
    "class": {"$class": "side_effect:Thing"},
    "object": {"$object": "side_effect:Thing", "args": [], "kwargs": {}},
    "nested": {"$dict": [[{"$tuple": [1]}, [{"$object": "side_effect:Thing", "args": [], "kwargs": {}}]]]},
}


SIDE_EFFECT = """
from dataclasses import dataclass

@dataclass
class Thing: pass

def function(): pass
"""


def test_reading_imports_nothing(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "side_effect.py").write_text(f"open({str(touched)!r}, 'w')\n{SIDE_EFFECT}")
    program = "import sys; from tune.storage import data; print(data.loads(sys.argv[1], code=len(sys.argv) > 2))"
    for arguments, runs in (([], False), (["code"], True)):
        done = subprocess.run(
            [sys.executable, "-c", program, json.dumps(RECIPE), *arguments],
            env={"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert touched.exists() is runs
        assert "side_effect" in done.stdout


@pytest.mark.parametrize("path", ["tune.storage.data:nothing", "no_such_module_here:x"])
def test_what_is_gone_is_named(path: str) -> None:
    with pytest.raises(NotRebuildableError, match=f"{path} cannot be imported any more .*put it back"):
        data.loads(json.dumps({"$function": path}), code=True)


@pytest.mark.parametrize("path", ["os:system", "subprocess:Popen", "builtins:eval", "tune.storage.data:loads"])
def test_only_what_was_kept_as_an_object_is_made_again(path: str) -> None:
    text = json.dumps({"$object": path, "args": ["true"], "kwargs": {}})
    with pytest.raises(NotRebuildableError, match=f"{path} is not made from kept arguments"):
        data.loads(text, code=True)


def test_a_class_that_takes_other_arguments_now_is_named() -> None:
    text = json.dumps({"$object": "schedulers.asha:ASHAScheduler", "args": [], "kwargs": {"max_time": 9}})
    with pytest.raises(NotRebuildableError, match="ASHAScheduler refuses the arguments .*'max_time'"):
        data.loads(text, code=True)


@dataclass
class Reader:
    """Something in a configuration that needs a file of the machine that it was made on."""

    path: str

    def __post_init__(self) -> None:
        Path(self.path).read_text()


def test_what_cannot_be_made_again_here_says_of_what() -> None:
    text = json.dumps({"$object": f"{__name__}:Reader", "args": ["/nowhere/at/all"], "kwargs": {}})
    with pytest.raises(NotRebuildableError, match="Reader refuses .*FileNotFoundError.*/nowhere/at/all"):
        data.loads(text, code=True)


def test_a_choice_of_classes_and_functions_comes_back() -> None:
    assert there_and_back(choice([math.sqrt, Path]), code=True) == Choice((math.sqrt, Path))
