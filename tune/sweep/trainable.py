"""The trainable that a sweep file names: ``file.py:name``, relative to the sweep file, or ``module:name``."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from tune.errors import NotRebuildableError, nearest
from tune.storage.recipe import load_file


class TrainableNotFoundError(Exception):
    """There is no such trainable: says what there is."""


def find_trainable(reference: str, directory: Path) -> Any:
    """What `reference` names, seen from `directory`.

    Modules are looked for in `directory` and in the current directory first.

    Raises:
        TrainableNotFoundError: it names nothing, or importing it raised.
    """
    where, colon, name = reference.rpartition(":")
    if not colon or not where or not name:
        raise TrainableNotFoundError(
            f"expected FILE.py:FUNCTION or MODULE:FUNCTION, got {reference!r}{_offer(reference)}"
        )
    is_file = where.endswith(".py") or "/" in where
    path = directory / Path(where).expanduser()
    if is_file and not path.is_file():
        raise TrainableNotFoundError(f"there is no file {path}{_near_file(path)}")
    _look_in(Path.cwd())
    _look_in(directory)
    module = _import(path if is_file else where)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise TrainableNotFoundError(f"{where} has no {name!r}{nearest(name, _defined(module))}{_list(module)}")
        found = getattr(found, part)
    return found


def _look_in(directory: Path) -> None:
    path = str(directory.absolute())
    if path not in sys.path:
        sys.path.insert(0, path)


def _import(where: str | Path) -> ModuleType:
    try:
        return load_file(where) if isinstance(where, Path) else importlib.import_module(where)
    except NotRebuildableError as error:
        cause = error.__cause__
        raise TrainableNotFoundError(_raised(where, cause) if cause else str(error)) from error
    except ModuleNotFoundError as error:
        if isinstance(where, str) and error.name and (where == error.name or where.startswith(f"{error.name}.")):
            raise TrainableNotFoundError(
                f"there is no module {error.name!r} in {Path.cwd()}, beside the sweep file, or installed"
            ) from error
        raise TrainableNotFoundError(_raised(where, error)) from error
    except (Exception, SystemExit) as error:
        raise TrainableNotFoundError(_raised(where, error)) from error


def _raised(where: str | Path, error: BaseException) -> str:
    """What importing raised, and in which line of the user's."""
    if isinstance(error, SyntaxError) and error.filename:
        line = f"{error.filename}:{error.lineno}"
        message = error.msg
    else:
        frames = traceback.extract_tb(error.__traceback__)
        users = [frame for frame in frames if frame.filename != __file__ and not frame.filename.startswith("<frozen")]
        users = [
            frame for frame in users if not frame.filename.endswith(("importlib/__init__.py", "storage/recipe.py"))
        ]
        line = f"{users[-1].filename}:{users[-1].lineno}" if users else str(where)
        message = str(error)
    return f"importing {where} raised {type(error).__name__}: {message} ({line})"


def _offer(reference: str) -> str:
    """How to go on from a reference that is only a file or a module."""
    return f"; add the function's name: {reference.rstrip(':')}:train" if reference.strip(":") else ""


def _near_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    return nearest(path.name, [one.name for one in path.parent.glob("*.py")])


def _defined(module: ModuleType) -> list[str]:
    """The functions and classes that `module` itself defines."""
    return [
        name
        for name, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
        and not name.startswith("_")
    ]


def _list(module: ModuleType) -> str:
    names = _defined(module)
    return f" (it defines {', '.join(sorted(names))})" if names else " (it defines no functions)"
