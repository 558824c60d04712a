"""What an experiment is made of, as data: enough to make it again, and honest about what is not.

A trainable is kept as ``module:name``, or ``file.py:name`` when it came from a script, with a hash of its source.
Policies and domains are kept as class path and arguments. What text cannot keep (a lambda, a closure, a large array) is
marked, and named on resume.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tune.errors import NotRebuildableError
from tune.storage import data


def trainable_to_data(trainable: Any) -> dict[str, Any]:
    """Where a trainable can be found again."""
    name = getattr(trainable, "__qualname__", type(trainable).__name__)
    module = getattr(trainable, "__module__", None)
    reference: dict[str, Any] = {"name": name, "source": _source_hash(trainable)}
    home = sys.modules.get(module or "")
    if "<" in name or _find(home, name) is not trainable:
        return {**reference, "lost": _describe(trainable, name)}
    file = getattr(home, "__file__", None)
    if module == "__main__" and (spec := getattr(home, "__spec__", None)):
        module = spec.name  # run by ``python -m``
    if module != "__main__":
        # The file is kept as well: a module that lies beside the script is importable only from there.
        return {**reference, "module": module, "file": str(Path(file).absolute()) if file else None}
    if file is None:
        return {**reference, "lost": f"{name} was defined in an interactive session"}
    return {**reference, "file": str(Path(file).absolute())}


def trainable_from_data(reference: dict[str, Any]) -> Any:
    """Import the trainable again.

    Raises:
        NotRebuildableError: it was never importable, or is not where it was: says what to do.
    """
    if reference.get("lost"):
        raise NotRebuildableError(
            f"the trainable cannot be made again from the recipe: {reference['lost']}."
            " Resume from Python, giving it: tune.run(train, resume='PATH')"
        )
    found = _find(_module(reference), reference["name"])
    if found is None:
        where = reference.get("module") or reference.get("file")
        raise NotRebuildableError(f"{where} has no {reference['name']!r} any more: give the trainable to tune.run")
    return found


def has_changed(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether the sources of two trainables differ, as far as both are known."""
    sources = before.get("source"), now.get("source")
    return None not in sources and sources[0] != sources[1]


def is_another_space(before: Any, now: Any) -> bool:
    """Whether two search spaces, encoded, differ, as far as data can tell: what it cannot keep may be the same."""
    return bool(before != now) and not data.lost_in(before) and not data.lost_in(now)


def load_file(file: str | Path) -> ModuleType:
    """Import a Python file by its path, as the module that its name says, with its directory on the path."""
    path = Path(file).absolute()
    if not path.is_file():
        raise NotRebuildableError(f"there is no file {path}")
    _put_on_path(path.parent)
    try:
        module = importlib.import_module(path.stem)
    except ImportError as error:
        raise NotRebuildableError(f"{path} cannot be imported: {error}") from error
    if Path(module.__file__ or "").resolve() != path.resolve():
        raise NotRebuildableError(
            f"{path} cannot be imported as {path.stem!r}: a module of that name is {module.__file__}; rename the file"
        )
    return module


def lost_parts(recipe: dict[str, Any]) -> list[str]:
    """What in a recipe cannot be made again, a sentence each."""
    return [f"{path}: {description}" for path, description in data.lost_in(recipe)]


def _module(reference: dict[str, Any]) -> ModuleType:
    if not (module := reference.get("module")):
        return load_file(reference["file"])
    if file := reference.get("file"):
        above = module.count(".") + (Path(file).name == "__init__.py")
        _put_on_path(Path(file).parents[above])  # it may have lain beside the script; the workers import it as well
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotRebuildableError(f"the trainable's module cannot be imported: {error}") from error


def _put_on_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _find(module: ModuleType | None, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _describe(trainable: Any, name: str) -> str:
    code = getattr(trainable, "__code__", None)
    where = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    if "<lambda>" in name:
        return f"it is a lambda{where}"
    if "<locals>" in name:
        return f"{name} is defined inside another function{where}"
    return f"{name} cannot be imported by its name{where}"


def _source_hash(trainable: Any) -> str | None:
    try:
        return hashlib.blake2b(inspect.getsource(trainable).encode(), digest_size=8).hexdigest()
    except (OSError, TypeError):
        return None
