"""`runtime_env`: what a task or an actor finds around it in its process."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

from executor.library.plans import Code, Surrounding
from executor.pickling import dump
from executor.resources import Resources

_KNOWN = ("env_vars", "working_dir", "py_modules", "excludes", "worker_process_setup_hook")
_HOOK = "runtime_env['worker_process_setup_hook']"


def surrounding_of(runtime_env: Mapping[str, Any] | None, resources: Resources) -> Surrounding:
    """The surrounding for `runtime_env` and for as many threads as cpus were asked for.

    Raises:
        ValueError: an entry is unknown, or not of its kind; all such mistakes at once.
        FileNotFoundError: a folder or module is not there.
    """
    environment = dict(runtime_env or {})
    known = ", ".join(_KNOWN)
    mistakes = [f"runtime_env has no {name!r}: it may hold {known}" for name in environment if name not in _KNOWN]
    variables = environment.get("env_vars") or {}
    if not isinstance(variables, Mapping) or not all(isinstance(t, str) for item in variables.items() for t in item):
        mistakes.append(f"runtime_env['env_vars'] must be a dictionary of texts, got {variables!r}")
        variables = {}
    modules = environment.get("py_modules") or ()
    if isinstance(modules, str | PathLike | ModuleType):
        mistakes.append(f"runtime_env['py_modules'] must be a list of modules and folders, got {modules!r} alone")
    excludes = environment.get("excludes") or ()
    if not isinstance(excludes, list | tuple) or not all(isinstance(pattern, str) for pattern in excludes):
        mistakes.append(f"runtime_env['excludes'] must be a list of patterns such as '*.bin', got {excludes!r}")
    if mistakes:
        raise ValueError("; ".join(mistakes))
    hook = environment.get("worker_process_setup_hook")
    return Surrounding(
        environment=tuple(sorted(variables.items())),
        code=_code_of(environment.get("working_dir"), modules, excludes),
        setup=dump(_hook(hook)) if hook is not None else None,
        threads=max(1, int(resources["cpu"])),
        memory_bytes=int(resources["memory"]) or None,
    )


def _code_of(folder: Any, modules: Sequence[Any], excludes: Sequence[str]) -> Code:
    if folder is None and not modules:
        return Code()
    return Code(None if folder is None else _existing(folder), tuple(map(_module_path, modules)), tuple(excludes))


def _existing(path: Any) -> str:
    found = str(Path(path).absolute())
    if not Path(found).is_dir():
        raise FileNotFoundError(f"runtime_env['working_dir']: {path!r} is no folder")
    return found


def _module_path(module: Any) -> str:
    """Where a module is: a package's folder, or a file.

    Raises:
        ValueError: the module has no file.
        FileNotFoundError: there is neither a folder nor a ``.py`` file of that name.
    """
    if isinstance(module, ModuleType):
        if module.__file__ is None:
            raise ValueError(f"runtime_env['py_modules']: the module {module.__name__} has no file")
        path = Path(module.__file__).absolute()
        return str(path.parent if path.name == "__init__.py" else path)
    path = Path(module).absolute()
    if not path.is_dir() and not (path.suffix == ".py" and path.is_file()):
        raise FileNotFoundError(f"runtime_env['py_modules']: {module!r} is neither a folder nor a .py file")
    return str(path)


def _hook(hook: Any) -> Callable[[], Any]:
    given = hook
    if isinstance(hook, str):
        module, _, name = hook.replace(":", ".").rpartition(".")
        if not module:
            raise ValueError(f"{_HOOK} must be a function, or its name as 'module.function', got {hook!r}")
        try:
            hook = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{_HOOK} cannot be imported: {hook!r}: {error}") from error
    if not callable(hook):
        raise ValueError(f"{_HOOK} must be a function, got {given!r}")
    return hook  # type: ignore[no-any-return]
