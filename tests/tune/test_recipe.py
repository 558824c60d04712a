"""Where a trainable can be found again, and what is said when it cannot."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tune.errors import NotRebuildableError
from tune.storage import data, recipe

SCRIPT = """
import json, sys

def train(config):
    return {"loss": 1.0}

class Model:
    class Inner:
        def step(self): pass

if __name__ == "__main__":
    from tune.storage import recipe
    print(json.dumps([recipe.trainable_to_data(one) for one in (train, Model.Inner)]))
"""
REBUILD = """
import json, sys
from tune.storage import recipe
for reference in json.loads(sys.argv[1]):
    found = recipe.trainable_from_data(reference)
    print(found.__module__, found.__qualname__)
"""


def run(*arguments: str, cwd: Path) -> str:
    # The project's root stands last, as it does where the package is installed.
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def there_and_back(trainable: Any) -> Any:
    return recipe.trainable_from_data(json.loads(json.dumps(recipe.trainable_to_data(trainable))))


def train(config):
    return {"loss": 1.0}


class Model:
    def __call__(self, config):
        pass

    def method(self, config):
        pass

    class Inner:
        pass


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave neither modules nor search paths behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.startswith("recipe_")]:
        del sys.modules[name]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules of a user's, importable here."""
    (tmp_path / "recipe_module.py").write_text(SCRIPT)
    package = tmp_path / "recipe_package" / "deep"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text(SCRIPT)
    (package / "__init__.py").write_text("")
    (package / "models.py").write_text("from recipe_package import train as base\n" + SCRIPT)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


# What can be had again.


def test_a_function_of_a_module_comes_back_itself() -> None:
    assert there_and_back(json.dumps) is json.dumps


def test_a_class_comes_back_itself(project: Path) -> None:
    import recipe_module  # type: ignore[import-not-found]

    assert there_and_back(recipe_module.Model.Inner) is recipe_module.Model.Inner


def test_the_source_is_known_by_its_hash(project: Path) -> None:
    import recipe_module

    reference = recipe.trainable_to_data(recipe_module.train)
    assert reference["source"] == recipe.trainable_to_data(recipe_module.train)["source"] is not None
    assert reference["source"] != recipe.trainable_to_data(recipe_module.Model)["source"]


@pytest.mark.parametrize("name", ["train.py", "my-train.py"])
def test_a_function_of_a_script_comes_back_from_elsewhere(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(SCRIPT)
    references = run(name, cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    module = name.removesuffix(".py")
    assert run("-c", REBUILD, references, cwd=elsewhere).split("\n")[:2] == [f"{module} train", f"{module} Model.Inner"]


def test_a_function_of_a_module_run_by_its_name_comes_back_under_that_name(project: Path) -> None:
    references = run("-m", "recipe_package.deep.models", cwd=project)
    assert {each["module"] for each in json.loads(references)} == {"recipe_package.deep.models"}
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    assert run("-c", REBUILD, references, cwd=elsewhere).startswith("recipe_package.deep.models train\n")


@pytest.mark.parametrize("module", ["recipe_module", "recipe_package", "recipe_package.deep.models"])
def test_a_module_that_lies_beside_the_script_comes_back_from_elsewhere(project: Path, module: str) -> None:
    told = f"import json; from {module} import train; from tune.storage.recipe import trainable_to_data"
    references = run("-c", f"{told}; print(json.dumps([trainable_to_data(train)]))", cwd=project)
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    assert run("-c", REBUILD, references, cwd=elsewhere) == f"{module} train\n"


def test_finding_a_module_puts_no_package_on_the_path() -> None:
    before = set(sys.path)
    assert there_and_back(json.dumps) is json.dumps
    assert set(sys.path) == before


# What cannot.


def test_an_interactive_function_is_lost() -> None:
    told = SCRIPT.replace("Model.Inner", "train")
    reference = json.loads(run("-c", told, cwd=Path.cwd()))[0]
    assert "interactive" in reference["lost"]


@pytest.mark.parametrize(
    ("trainable", "words"),
    [
        (lambda config: None, ["a lambda", "test_recipe.py:"]),
        (functools.wraps(train)(lambda config: None), ["train cannot be imported", "test_recipe.py:"]),
        (functools.lru_cache(lambda config: None), ["lambda"]),
        (functools.partial(train, 1), ["partial cannot be imported"]),
        (Model(), ["Model cannot be imported"]),
        (Model().method, ["Model.method cannot be imported"]),
    ],
    ids=["lambda", "wrapper", "cached", "partial", "object", "method"],
)
def test_what_no_name_leads_to_is_named_with_what_to_do(trainable: Any, words: list[str]) -> None:
    reference = recipe.trainable_to_data(trainable)
    for word in words:
        assert word in reference["lost"]
    with pytest.raises(NotRebuildableError, match="tune.run") as caught:
        recipe.trainable_from_data(reference)
    assert reference["lost"] in str(caught.value)


def test_a_closure_is_named_with_its_line() -> None:
    def inner(config):
        pass

    assert "inside another function" in recipe.trainable_to_data(inner)["lost"]
    assert "test_recipe.py:" in recipe.trainable_to_data(inner)["lost"]


def test_a_function_that_is_gone_is_named(project: Path) -> None:
    import recipe_module

    reference = {**recipe.trainable_to_data(recipe_module.train), "name": "gone"}
    with pytest.raises(NotRebuildableError, match="recipe_module has no 'gone' any more"):
        recipe.trainable_from_data(reference)


@pytest.mark.parametrize("reference", [{"module": "no_such_recipe"}, {"module": "no_such_recipe.deep", "file": None}])
def test_a_module_that_is_gone_is_named(reference: dict[str, Any]) -> None:
    with pytest.raises(NotRebuildableError, match="no_such_recipe"):
        recipe.trainable_from_data({"name": "train", **reference})


def test_a_module_that_lacks_another_names_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipe_needy.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(str(tmp_path))
    file = str(tmp_path / "recipe_needy.py")
    for reference in ({"module": "recipe_needy", "file": file}, {"file": file}):
        with pytest.raises(NotRebuildableError, match="no_such_dependency"):
            recipe.trainable_from_data({"name": "train", **reference})


def test_a_script_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotRebuildableError, match="no file .*gone.py"):
        recipe.load_file(tmp_path / "gone.py")


def test_a_script_named_like_a_module_that_is_loaded_is_not_mistaken_for_it(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(SCRIPT)
    with pytest.raises(NotRebuildableError, match="a module of that name is .*json.*rename the file"):
        recipe.load_file(tmp_path / "json.py")


def test_a_script_reached_by_a_link_is_the_same_script(project: Path) -> None:
    import recipe_module

    link = project / "link"
    link.symlink_to(project, target_is_directory=True)
    assert recipe.load_file(link / "recipe_module.py") is recipe_module


def test_a_script_whose_name_holds_a_dot_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "train.v2.py").write_text(SCRIPT)
    with pytest.raises(NotRebuildableError, match="cannot be imported"):
        recipe.load_file(tmp_path / "train.v2.py")


def test_everything_that_a_recipe_lost_is_listed() -> None:
    parts = {"space": data.encode({"x": {"y": [1, lambda: 0]}}), "run": data.encode({"stop": train.__get__(1)})}
    lost = recipe.lost_parts(parts)
    assert [one.split(":")[0] for one in lost] == ["space/x/y/1", "run/stop"]
    assert "<lambda>" in lost[0]
