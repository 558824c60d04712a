"""Python values as JSON text and back, without a pickle: configurations, metrics, domains, and recipes of objects.

Plain JSON values stay as they are. Everything else becomes an object with one key that starts with ``$``: ``$float``
(nan, inf, -inf), ``$tuple``, ``$range``, ``$dict`` (keys that are no strings), ``$function`` and ``$class``
(importable by name), ``$object`` (a class path and the arguments it was made with: dataclasses, and all that remembers
its ``init_arguments``), and ``$lost`` for what cannot be had again from text. Decoding imports nothing unless
``code=True`` is passed: reading never runs code.
"""

from __future__ import annotations

import inspect
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from types import BuiltinFunctionType, FunctionType
from typing import Any

from tune.errors import NotRebuildableError

_TAGS = frozenset(("$float", "$tuple", "$function", "$class", "$object", "$range", "$lost", "$dict"))
_strict = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False)
_escaped = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_PLAIN = frozenset((bool, int, float, str, type(None)))


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands for a value that text could not keep; `description` says what it was."""

    description: str

    def __repr__(self) -> str:
        return f"<{self.description}>"


def dumps(value: Any) -> str:
    """`value` as one line of strict JSON."""
    return to_text(value if _is_json(value) else encode(value))


def to_text(value: Any) -> str:
    """JSON values (such as `encode` makes) as one line of strict JSON, which can always be written as UTF-8."""
    text = _strict.encode(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: a file name that is no UTF-8, read by os.listdir
        return _escaped.encode(value)
    return text


def loads(text: str, *, code: bool = False) -> Any:
    """What `dumps` wrote. With `code=True` functions, classes and objects are imported and made again."""
    value = json.loads(text)
    return decode(value, code=code) if '"$' in text else value


def encode(value: Any) -> Any:
    """`value` as JSON values only."""
    match value:
        case None | bool() | str() | int() | float():
            return _encode_scalar(value)
        case Lost():
            return {"$lost": value.description}
        case list():
            return [encode(one) for one in value]
        case tuple():
            return {"$tuple": [encode(one) for one in value]}
        case range():
            return {"$range": [value.start, value.stop, value.step]}
        case Mapping():
            return _encode_mapping(value)
        case type():
            return _by_name(value, "$class")
        case FunctionType() | BuiltinFunctionType():
            return _by_name(value, "$function")
    return _encode_object(value)


def _encode_scalar(value: bool | str | float | None) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)  # str() of an Enum's member is its name
        case int():
            return int(value)
    return float(value) if math.isfinite(value) else {"$float": str(float(value))}


def _is_json(value: Any) -> bool:
    """Whether `value` is its own encoding: most are, and need no copy. Hot: for every value in every row."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        return all(map(_is_name, value)) and all(map(_is_json, value.values()))
    return kind in _PLAIN or (kind is list and all(map(_is_json, value)))


def _is_name(key: Any) -> bool:
    return type(key) is str and key not in _TAGS


def _encode_mapping(value: Mapping[Any, Any]) -> Any:
    if all(isinstance(key, str) for key in value) and not any(tag in value for tag in _TAGS):
        return {str.__str__(key): encode(one) for key, one in value.items()}
    return {"$dict": [[encode(key), encode(one)] for key, one in value.items()]}


def _by_name(value: Any, tag: str) -> Any:
    module, name = getattr(value, "__module__", None), value.__qualname__
    if module and "<" not in name and _importable(module, name, value):
        return {tag: f"{module}:{name}"}
    code = getattr(value, "__code__", None)
    where = f" of {code.co_filename}:{code.co_firstlineno}" if code else ""
    return {"$lost": f"{'function' if tag == '$function' else 'class'} {name}{where}"}


def _importable(module: str, name: str, value: Any) -> bool:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value and module != "__main__"


def _encode_object(value: Any) -> Any:
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return encode(value.item())
    path = _by_name(type(value), "$class").get("$class")
    arguments = _arguments(value)
    if path is None or arguments is None:
        return {"$lost": f"{type(value).__module__}.{type(value).__qualname__} object"}
    positional, named = arguments
    return {"$object": path, "args": [encode(one) for one in positional], "kwargs": encode(dict(named))}


def _arguments(value: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]] | None:
    if hasattr(value, "init_arguments"):
        remembered: tuple[tuple[Any, ...], Mapping[str, Any]] = value.init_arguments
        return remembered
    if is_dataclass(value):
        return (), {each.name: getattr(value, each.name) for each in fields(value) if each.init}
    return None


def decode(value: Any, *, code: bool = False) -> Any:
    """What `encode` made. Without `code`, functions, classes and objects come back as `Lost`."""
    match value:
        case list():
            return [decode(one, code=code) for one in value]
        case {"$float": text}:
            return float(text)
        case {"$tuple": items}:
            return tuple(decode(one, code=code) for one in items)
        case {"$range": bounds}:
            return range(*bounds)
        case {"$dict": pairs}:
            return {decode(key, code=code): decode(one, code=code) for key, one in pairs}
        case {"$lost": description}:
            return Lost(description)
        case {"$function": path} | {"$class": path} | {"$object": path}:
            return _decode_code(path, value) if code else Lost(path)
        case dict():
            return {key: decode(one, code=code) for key, one in value.items()}
    return value


def _decode_code(path: str, value: dict[str, Any]) -> Any:
    named = load_named(path)
    if "$object" not in value:
        return named
    if not _has_arguments(named):
        raise NotRebuildableError(f"{path} is not made from kept arguments; only dataclasses, policies, stoppers are")
    positional, by_name = decode(value["args"], code=True), decode(value["kwargs"], code=True)
    try:
        return named(*positional, **by_name)
    except Exception as error:  # whatever the user's class has against it
        raise NotRebuildableError(
            f"{path} refuses the arguments that it was made with: {type(error).__name__}: {error}"
        ) from error


def _has_arguments(named: Any) -> bool:
    """Whether `encode` could have kept an object of it: nothing else that a file names is ever called."""
    if not isinstance(named, type):
        return False
    return is_dataclass(named) or any("init_arguments" in inspect.get_annotations(base) for base in named.__mro__)


def load_named(path: str) -> Any:
    """Import what ``module:name`` names.

    Raises:
        NotRebuildableError: there is no such module, or it has no such name.
    """
    module, _, name = path.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module may raise anything as it is imported
        raise NotRebuildableError(
            f"{path} cannot be imported any more ({type(error).__name__}: {error}): put it back under that name"
        ) from error
    return found


def lost_in(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Where in encoded `value` something could not be kept, as (path, description)."""
    match value:
        case {"$lost": description}:
            return [(path, description)]
        case dict():
            return [found for key, one in value.items() for found in lost_in(one, _join(path, key))]
        case list():
            return [found for at, one in enumerate(value) for found in lost_in(one, _join(path, str(at)))]
    return []


def _join(path: str, key: str) -> str:
    return path if key.startswith("$") or key in ("args", "kwargs") else f"{path}/{key}" if path else key
