"""Functions and classes as they travel: pickled once, known by a digest of that, with the modules that they need."""

from __future__ import annotations

import dis
import inspect
import linecache
import pickletools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from types import CodeType
from typing import Any

from executor.pickling import dump

_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}


@dataclass(frozen=True, slots=True)
class Definition:
    """A function or class, ready to be sent."""

    digest: str
    pickled: bytes
    modules: frozenset[str]
    sources: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The lines of code that is in no file, for tracebacks: a notebook's cells."""


def define(function: Any) -> Definition:
    """Pickle a function or class by what other processes cannot import, and by name otherwise.

    Raises:
        ProgramNotPicklableError: names the variable that cannot be sent, its type, and what uses it.
    """
    pickled = dump(function)
    digest = blake2b(pickled, digest_size=16).hexdigest()
    return Definition(digest, pickled, _modules(function, pickled), tuple(_sources(function)))


def _sources(function: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name in {code.co_filename for code in _codes(function)}:
        entry = linecache.cache.get(name)
        if entry is not None and len(entry) > 2 and not Path(name).is_file():
            yield name, tuple(entry[2])


def _modules(function: Any, pickled: bytes) -> frozenset[str]:
    """The modules that it refers to, and those that it imports when it runs."""
    found = set(modules_in(pickled))
    for code in _codes(function):
        found |= {name for name in _imported(code) if _is_worth_it(name)}
    return frozenset(found)


def modules_in(pickled: bytes) -> frozenset[str]:
    """The modules that a pickle refers to."""
    strings = {argument for opcode, argument, _ in pickletools.genops(pickled) if opcode.name in _STRINGS}
    return frozenset(name for name in strings if name in sys.modules and _is_worth_it(name))


def _is_worth_it(name: str) -> bool:
    return name.partition(".")[0] not in ("__main__", "__mp_main__", "builtins", "executor", "cloudpickle")


def _codes(function: Any) -> Iterator[CodeType]:
    if isinstance(function, partial):
        function = function.func
    owners = list(vars(function).values()) if isinstance(function, type) else [function]
    for owner in owners:
        code = getattr(inspect.unwrap(owner) if callable(owner) else owner, "__code__", None)
        if isinstance(code, CodeType):
            yield code


def _imported(code: CodeType) -> set[str]:
    names = {str(each.argval) for each in dis.get_instructions(code) if each.opname == "IMPORT_NAME" and each.argval}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _imported(constant)
    return names
