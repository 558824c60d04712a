"""Pickling programs and messages, and naming what cannot be pickled in the words of whoever wrote it."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

from executor import tensors
from executor.errors import ProgramNotPicklableError

_DEPTH = 12


def encode(value: Any) -> tuple[bytes, list[memoryview]]:
    """`value` as a pickle of protocol 5 and the buffers that it refers to.

    cloudpickle takes over what pickle refuses, and what lives in ``__main__``, which is another module over there.

    Raises:
        TypeError: neither can; says which part of `value` is to blame.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        body = _dumps(value, buffers)
    except Exception:  # noqa: BLE001 - a class's own `__reduce__` may raise anything
        body = b"__main__"
    if b"__main__" in body:
        buffers.clear()
        body = _encode_by_value(value, buffers)
    return body, [buffer.raw() for buffer in buffers]


def _dumps(value: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    if "torch" not in sys.modules:
        return pickle.dumps(value, 5, buffer_callback=buffers.append)
    file = io.BytesIO()
    pickler = pickle.Pickler(file, 5, buffer_callback=buffers.append)
    pickler.dispatch_table = tensors.dispatch_table()
    pickler.dump(value)
    return file.getvalue()


def _encode_by_value(value: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    try:
        return _by_value(value, buffers.append)
    except Exception as error:  # noqa: BLE001 - the same
        culprit = _innermost(value, ())
        what = " in ".join(reversed([f"`{step.name}`" for step in culprit])) + ": " if culprit else ""
        kind = _kind(culprit[-1].value if culprit else value)
        raise TypeError(f"{what}{kind} cannot be sent to another process ({error})") from None


def dump(program: Any) -> bytes:
    """`program` as a pickle that holds by value what other processes cannot import.

    Raises:
        ProgramNotPicklableError: names the variable that cannot be sent, its type, and what uses it.
    """
    try:
        return _by_value(program)
    except Exception as error:
        raise ProgramNotPicklableError(_explain(program, error)) from error


def _by_value(value: Any, take_buffer: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    file = io.BytesIO()
    pickler()(file, 5, take_buffer).dump(value)
    return file.getvalue()


@cache
def pickler() -> Any:
    """The pickler of cloudpickle, but that code keeps the name of its file: tracebacks show its lines by that."""
    import cloudpickle  # 30 ms, and most messages do without

    reduce = cloudpickle.CloudPickler.dispatch_table[CodeType]

    def reduce_code(code: CodeType) -> tuple[Any, ...]:
        make, arguments, *_ = reduce(code)
        return _remade, (make, arguments, code.co_filename)

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
        dispatch_table = cloudpickle.CloudPickler.dispatch_table.new_child({CodeType: reduce_code})

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            if "torch" in sys.modules:
                self.dispatch_table = self.dispatch_table.new_child(tensors.reducers())

    return Pickler


def _remade(make: Callable[..., CodeType], arguments: tuple[Any, ...], filename: str) -> CodeType:
    return make(*arguments).replace(co_filename=filename)


@dataclass(frozen=True, slots=True)
class _Step:
    """One step on the way from a program to what it cannot take along."""

    name: str
    value: Any
    place: str


def _explain(program: Any, error: Exception) -> str:
    way = _innermost(program, ())
    functions = [step.name for step in way if isinstance(step.value, FunctionType)]
    if isinstance(program, FunctionType):
        functions.insert(0, program.__name__)
    user = functions[0] if functions else type(program).__name__
    if not way or isinstance(way[-1].value, FunctionType):
        return f"`{user}` cannot be sent to worker processes: {error}"
    culprit = way[-1]
    through = f" through `{functions[-1]}`" if len(functions) > 1 else ""
    uses = "uses" if functions else "holds"
    return (
        f"`{user}` cannot be sent to worker processes: it {uses} `{culprit.name}`{through}, "
        f"{_kind(culprit.value)} ({culprit.place}). Create it inside the function, or pass what is needed to make it."
    )


def _kind(value: Any) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _innermost(value: Any, seen: tuple[int, ...]) -> list[_Step]:
    """The steps from `value` down to the innermost part that cannot be pickled."""
    if len(seen) == _DEPTH:
        return []
    for step in _parts(value):
        if id(step.value) not in seen and not _travels(step.value):
            return [step, *_innermost(step.value, (*seen, id(value)))]
    return []


def _travels(value: Any) -> bool:
    try:
        _by_value(value)
    except Exception:  # noqa: BLE001 - the same
        return False
    return True


def _parts(value: Any) -> Iterator[_Step]:
    match value:
        case FunctionType():
            yield from _function_parts(value)
        case MethodType():
            yield _Step(value.__func__.__name__, value.__func__, "a method")
            yield _Step("self", value.__self__, f"the object of {value.__func__.__qualname__}")
        case dict():
            yield from (_Step(str(key), item, f"under {key!r} of a dict") for key, item in value.items())
        case list() | tuple() | set() | frozenset():
            yield from (_Step(f"[{index}]", item, f"in a {type(value).__name__}") for index, item in enumerate(value))
        case type():
            members = (item for item in vars(value).items() if isinstance(item[1], FunctionType))
            yield from (_Step(name, item, f"a method of {value.__name__}") for name, item in members)
        case _:
            yield from _object_parts(value)


def _object_parts(value: Any) -> Iterator[_Step]:
    kind = type(value)
    names = dict.fromkeys(vars(value) if hasattr(value, "__dict__") else ())
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names.update(dict.fromkeys((slots,) if isinstance(slots, str) else slots))
    for name in names:
        item = getattr(value, name, None)
        shown = item.__name__ if isinstance(item, FunctionType) else name
        yield _Step(shown, item, f"an attribute of {kind.__name__}")
    for called in (getattr(value, "func", None), getattr(value, "__wrapped__", None)):
        if isinstance(called, FunctionType):  # functools.partial and friends keep it out of their `__dict__`
            yield _Step(called.__name__, called, f"the function of a {kind.__name__}")
    if kind.__module__ == "__main__":
        yield _Step(kind.__name__, kind, "its class")


def _function_parts(function: FunctionType) -> Iterator[_Step]:
    name = function.__name__
    for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield _Step(variable, cell.cell_contents, f"a variable around {name}")
        except ValueError:
            continue  # not assigned yet
    scope = Path(function.__code__.co_filename).name
    for variable in dict.fromkeys(_global_names(function.__code__)):
        if variable in function.__globals__:
            yield _Step(variable, function.__globals__[variable], f"a global of {scope}")
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    positional = function.__code__.co_varnames[: function.__code__.co_argcount]
    names = [*positional[len(positional) - len(function.__defaults__ or ()) :], *(function.__kwdefaults__ or {})]
    for variable, default in zip(names, defaults, strict=True):
        yield _Step(variable, default, f"a default argument of {name}")


def _global_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
