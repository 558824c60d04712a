"""The code and environment that trials on other machines need and may lack, by Ray's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from executor.hosting.packages import Package, pack

_KEYS = ("working_dir", "py_modules", "env_vars", "excludes")


@dataclass(frozen=True, slots=True)
class RuntimeEnv:
    """What is sent along: a folder to work in, modules to import, variables to set."""

    working_dir: Path | None = None
    py_modules: tuple[Path, ...] = ()
    env_vars: Mapping[str, str] = field(default_factory=dict)
    excludes: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> Self:
        """From ``{"working_dir": ".", "py_modules": ["../lib"], "env_vars": {...}, "excludes": ["*.bin"]}``.

        Raises:
            ValueError: says everything that is wrong with it.
        """
        given = given or {}
        if mistakes := list(mistakes_in(given)):
            raise ValueError("; ".join(mistakes))
        folder = given.get("working_dir")
        return cls(
            None if folder is None else _path(folder),
            tuple(map(_path, _listed(given.get("py_modules", ())))),
            dict(given.get("env_vars", {})),
            tuple(_listed(given.get("excludes", ()))),
        )

    def packed(self) -> tuple[Shipped, ...]:
        """All that is to be sent, the working folder first.

        Raises:
            ValueError: a package would be too large, or is empty.
            OSError: something cannot be read.
        """
        shipped = []
        if self.working_dir is not None:
            shipped.append(Shipped(pack(self.working_dir, excludes=self.excludes), is_folder=True))
        for module in self.py_modules:
            inside = module.name if module.is_dir() else ""
            shipped.append(Shipped(pack(module, inside=inside, excludes=self.excludes), is_folder=False))
        return tuple(shipped)


@dataclass(frozen=True, slots=True)
class Shipped:
    """A package, and whether trials work in its folder; modules are imported from it either way."""

    package: Package
    is_folder: bool


def mistakes_in(given: object) -> Iterator[str]:
    """What is wrong with a description of an environment."""
    if not isinstance(given, Mapping):
        yield f"runtime_env must be a dictionary such as {{'working_dir': '.'}}, got {given!r}"
        return
    for key in given:
        if key not in _KEYS:
            yield f"runtime_env knows {', '.join(_KEYS)}, and not {key!r}: what else trials need is installed on nodes"
    folder = given.get("working_dir")
    if folder is not None and not _is(folder, Path.is_dir):
        yield f"runtime_env: working_dir must be a folder, got {folder!r}"
    for module in _listed(given.get("py_modules", ())):
        if not _is(module, Path.is_dir) and not (_is(module, Path.is_file) and str(module).endswith(".py")):
            yield f"runtime_env: py_modules must be folders of packages or .py files, got {module!r}"
    variables = given.get("env_vars", {})
    texts = [one for pair in variables.items() for one in pair] if isinstance(variables, Mapping) else [None]
    if not all(isinstance(one, str) for one in texts):
        yield f"runtime_env: env_vars must be names and values, all texts, got {variables!r}"
    for pattern in _listed(given.get("excludes", ())):
        if not isinstance(pattern, str):
            yield f"runtime_env: excludes must be patterns such as '*.bin', got {pattern!r}"


def _is(path: Any, test: Any) -> bool:
    return isinstance(path, str | Path) and bool(test(_path(path)))


def _path(text: str | Path) -> Path:
    return Path(text).expanduser().absolute()


def _listed(value: Any) -> Sequence[Any]:
    """Several, or the one that is given by itself."""
    return value if isinstance(value, list | tuple) else (value,)
