"""Results known before a search begins: earlier configurations as this search's space has them."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from searchers.choices import holds_domain, is_equal
from searchers.define import DefineByRun, SuggestingTrial
from searchers.domain import Domain
from searchers.points import UNSET, misfits, nest
from searchers.resolution import resolve_with
from searchers.space import grid_values


def fit(space: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """`config`, nested or by paths, as a configuration of `space`: what the space does not know is left out.

    Raises:
        ValueError: says which parameter it lacks, which value its domain does not contain, or which constant of the
            space was another one.
    """
    fixed = parameters_in(space, config)
    if reasons := list(misfits(space, fixed, "")):
        raise ValueError(reasons[0])
    return resolve_with(space, _missing, Random(0), fixed)


def fit_asked(define: DefineByRun, config: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a define-by-run function asks for, with the values that `config` has for them.

    Raises:
        ValueError: says which parameter it lacks, or which value its domain does not contain.
    """
    trial = _KnownTrial(config)
    define(trial)
    return trial.params


class _KnownTrial(SuggestingTrial):
    """A trial that answers with what was used before."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__({})
        self._config = config

    def _ask(self, name: str, domain: Domain) -> Any:
        if name not in self._config:
            raise ValueError(f"it has no {name}")
        if not domain.contains(self._config[name]):
            raise ValueError(f"{name} = {self._config[name]!r} is not in {domain}")
        return domain.cast(self._config[name])


def misfit(space: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Why `config` could not have come from `space`, empty when it could. Its constants may be others."""
    try:
        fixed = _without_constants(space, nest(space, _shared(space, config)), differ=True)
        if reasons := list(misfits(space, fixed, "")):
            return reasons[0]
        resolve_with(space, _missing, Random(0), fixed)
    except ValueError as error:
        return str(error)
    return ""


def parameters_in(space: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What `config` says of the parameters of `space`, nested alike; without the constants, which must be the same.

    Raises:
        ValueError: says which constant is another one.
    """
    return _without_constants(space, nest(space, _shared(space, config)), differ=False)


def _without_constants(space: Mapping[str, Any], nested: Mapping[str, Any], *, differ: bool) -> dict[str, Any]:
    """What `nested`, nested like `space`, has for parameters; its constants may be others if they may `differ`."""
    parts = ((key, _varying(space[key], value, str(key), differ)) for key, value in nested.items())
    return {key: part for key, part in parts if part is not UNSET}


def _shared(space: Mapping[Any, Any], config: Mapping[Any, Any]) -> dict[Any, Any]:
    """The part of `config` whose names, or whose paths' beginnings, `space` has."""
    shared = {}
    for key, value in config.items():
        node = space.get(key)
        if key in space and isinstance(node, Mapping) and grid_values(node) is None and isinstance(value, Mapping):
            shared[key] = _shared(node, value)
        elif key in space or _leads_into(space, str(key)):
            shared[key] = value
    return shared


def _leads_into(node: Any, path: str) -> bool:
    head, slash, rest = path.partition("/")
    if isinstance(node, list | tuple):
        inner = node[int(head)] if head.isdigit() and int(head) < len(node) else UNSET
    else:
        inner = node.get(head, UNSET) if isinstance(node, Mapping) else UNSET
    if inner is UNSET:
        return False
    return not slash or isinstance(inner, Domain) or _leads_into(inner, rest)


def _varying(node: Any, value: Any, path: str, differ: bool) -> Any:
    if value is UNSET or isinstance(node, Domain) or grid_values(node) is not None:
        return value
    if isinstance(node, Mapping) and isinstance(value, Mapping):
        parts = {key: _varying(node[key], one, f"{path}/{key}", differ) for key, one in value.items()}
        return {key: part for key, part in parts.items() if part is not UNSET}
    if isinstance(node, list | tuple) and isinstance(value, list | tuple) and len(node) == len(value):
        return [_varying(node[at], one, f"{path}/{at}", differ) for at, one in enumerate(value)]
    if _is_plain(node) and not differ and not is_equal(node, value):
        raise ValueError(f"{path} is {node!r} here and was {value!r}")
    return UNSET


def _is_plain(node: Any) -> bool:
    """Whether a constant can be compared with what it was: an object may come back from a file as something else."""
    if holds_domain(node):
        raise ValueError("it has another structure than the search space")
    return isinstance(node, bool | int | float | str)


def _missing(path: str, _domain: Domain) -> Any:
    raise ValueError(f"it has no {path}")
