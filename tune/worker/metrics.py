"""Reported metrics as JSON values: numpy and torch scalars converted, anything else refused at the user's own line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tune.errors import NotReportableError
from tune.machine.stopping import nested
from tune.size import MOST_REPORTED, heaviest, weight

__audition_internal__ = True

_PLAIN = frozenset((float, int, bool, type(None), str))


def normalise(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """`metrics` with JSON values only.

    Raises:
        NotReportableError: a key is no string, a value has no meaning in JSON, or all is too large.
    """
    if not isinstance(metrics, Mapping):
        raise NotReportableError(
            f"tune.report needs a dictionary of metrics, got {metrics!r} ({type(metrics).__name__})"
        )
    plain = {_key(key): value if type(value) in _PLAIN else _value(value, key) for key, value in metrics.items()}
    if weight(plain) > MOST_REPORTED:
        raise NotReportableError(
            f"a result of more than {MOST_REPORTED >> 20} MiB was reported, the largest part of it as"
            f" {heaviest(plain)!r}:"
            " save what is large in a checkpoint, or in a file in tune.get_context().get_trial_dir()"
        )
    return plain


def check_decisive(metrics: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse a metric that trials are compared by and that is no number.

    Raises:
        NotReportableError: names the metric, its value and type.
    """
    for name in names:
        value = metrics[name] if name in metrics else nested(metrics, name)
        if value is None and name not in metrics:  # others notice what is never reported
            continue
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise NotReportableError(
                f"metric {name!r} is used to compare trials and must be a number, got {value!r}"
                f" ({type(value).__name__})"
            )


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise NotReportableError(f"the names of metrics are strings, got {key!r} ({type(key).__name__})")
    return key


def _value(value: Any, path: str) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return {_key(key): _value(one, f"{path}/{key}") for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_value(one, f"{path}/{at}") for at, one in enumerate(value)]
    if isinstance(value, bool | int | float | str):
        if isinstance(value, str):
            return str.__str__(value)  # str() of an Enum member is its name
        return next(kind for kind in (bool, int, float) if isinstance(value, kind))(value)
    if _is_scalar(value):
        return _value(value.item(), path)
    if hasattr(value, "tolist") and hasattr(value, "shape"):
        shape = tuple(value.shape)
        raise NotReportableError(
            f"metric {path!r} is an array of shape {shape}: report a number, or .tolist(); save arrays in a checkpoint"
        )
    raise NotReportableError(
        f"metric {path!r} is {value!r} ({type(value).__name__}): report numbers, strings, booleans, None,"
        " or lists and dictionaries of these; save anything else in a checkpoint"
    )


def _is_scalar(value: Any) -> bool:
    """Numpy's scalars and zero-dimensional arrays, and torch tensors of one element."""
    if not hasattr(value, "item"):
        return False
    shape = getattr(value, "shape", None)
    return shape is not None and all(extent == 1 for extent in shape)
