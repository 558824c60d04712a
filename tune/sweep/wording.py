"""What pydantic finds wrong with a sweep file, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from tune.errors import nearest
from tune.keywords import SYNONYMS
from tune.sweep.parameters import SPELLINGS, Parameter
from tune.sweep.schema import REFUSED, Checkpointing, EarlyTerminate, Goal, SweepFile
from tune.sweep.section import shown

_OUR_NAMES = {"config": "parameters", "search_alg": "searcher", "checkpoint_config": "checkpoint"}
"""Keywords of `tune.run` that a sweep file calls otherwise."""


def section_at(path: tuple[str | int, ...]) -> tuple[str, type[BaseModel]]:
    """What the section at `path` is called, and its model."""
    match [part for part in path if isinstance(part, str)]:
        case ["parameters", *_]:
            # A parameter may be called anything, `parameters` too: names are what follows that word.
            at = iter(path)
            names = [str(next(at, "")) for part in at if part == "parameters"]
            return f"parameter {'/'.join(names)}", Parameter
        case ["scheduler", ("hyperparam_mutations" | "hyperparam_bounds") as argument, *names]:
            return "/".join([argument, *(name for name in names if not name.startswith("("))]), Parameter
        case ["metric"]:
            return "metric", Goal
        case ["checkpoint"]:
            return "checkpoint", Checkpointing
        case ["early_terminate"]:
            return "early_terminate", EarlyTerminate
    return "", SweepFile


_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "dict": "keys and values",
    "list": "a list",
    "model": "keys and values",
}


def said_of(kind: str, said: str, given: Any, context: Mapping[str, Any]) -> str:
    """What to say of a pydantic error of `kind`, for which it said `said`."""
    stem = kind.split("_", maxsplit=1)[0]
    if kind.endswith(("_type", "_from_float", "_parsing")) and stem in _EXPECTED:
        return f"expected {_EXPECTED[stem]}, got {shown(given)}"
    match kind:
        case "literal_error":
            return f"expected {context['expected']}, got {shown(given)}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}, got {given!r}"
        case "greater_than":
            return f"must be above {context['gt']}, got {given!r}"
    return said


def unknown_key(key: str, section: str, model: type[BaseModel]) -> str:
    """What to say of a key that the `model` of a section does not have."""
    if not section and key in REFUSED:
        return f"`{key}` is not taken: {REFUSED[key]}"
    where = f" in {section}" if section else ""
    return f"unknown key `{key}`{where}{_hint(key, model)}"


def _hint(key: str, model: type[BaseModel]) -> str:
    known = list(model.model_fields)
    if model is Parameter:
        if key in SPELLINGS:
            return f"; write {{distribution: {key}, ...}}"
        return nearest(key, known) or "; nested parameters go under `parameters:`"
    if model is SweepFile and (name := SYNONYMS.get(key, key if key in _OUR_NAMES else "")):
        return f"; it is called {_OUR_NAMES.get(name, name)!r} here"
    return nearest(key.removeprefix("checkpoint_"), known)
