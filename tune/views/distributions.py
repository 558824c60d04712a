"""Configurations as Optuna's parameters for people to look at: named by their paths, with their values as they are.

The sampler's own view of them is another (`searchers.optuna_space`): there choices are indexes, and steps are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from searchers.choices import Choice, holds_domain
from searchers.domain import Domain, Float, Integer
from searchers.space import grid_values, walk
from searchers.stepped import Stepped
from tune.machine.totals import is_finite
from tune.views.wording import cut, flatten

_LONGEST = 60
_Plain = bool | int | float | str | None


class Distributions:
    """What the parameters of one experiment may be: from its search space, and where that says nothing, from `configs`.

    Constants are no parameters, unless they differ between configurations.
    """

    def __init__(self, space: Mapping[str, Any], configs: Iterable[Mapping[str, Any]]) -> None:
        self._domains: dict[str, Domain | None] = {}
        self._gather(dict(space), "")
        found = {name: _distribution_of(domain) for name, domain in self._domains.items() if domain is not None}
        self._known = {name: one for name, one in found.items() if one is not None}
        seen: dict[str, dict[_Plain, None]] = {}
        for config in configs:
            for name, value in flatten(config).items():
                if name not in self._known:
                    seen.setdefault(name, {})[_category(value)] = None
        for name, values in seen.items():
            if name in self._domains or len(values) > 1:
                self._known[name] = _distribution_of_values(list(values))

    def of(self, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """The parameters of `config` with their distributions; without values that lie outside of these."""
        flat = {**flatten(config), **self._chosen(config)}
        values = {name: _value(self._known[name], flat[name]) for name in self._known if name in flat}
        inside = {name: value for name, value in values.items() if _contains(self._known[name], value)}
        return inside, {name: self._known[name] for name in inside}

    def _gather(self, space: Any, above: str) -> None:
        """Note the domain at each path; two of one path (in options of one choice) leave it to the values."""
        for parts, leaf in walk(space):
            path = above + "/".join(parts)
            values = grid_values(leaf)
            node = Choice(tuple(values)) if values else leaf
            if isinstance(node, Domain):
                self._domains[path] = node if path not in self._domains else None
            if isinstance(node, Choice):
                for option in node.options:
                    if holds_domain(option) and isinstance(option, Mapping):
                        self._gather(option, f"{path}/")

    def _chosen(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The option taken of each choice between dictionaries, which a flat configuration has no value for."""
        chosen = {}
        for path, domain in self._domains.items():
            if isinstance(domain, Choice) and isinstance(value := _at(config, path), Mapping):
                index = domain.index_of(value)
                if index is not None:
                    chosen[path] = domain.options[index]
        return chosen


def _at(config: Any, path: str) -> Any:
    for part in path.split("/"):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


def _distribution_of(domain: Domain) -> BaseDistribution | None:
    match domain:
        case Choice():
            return CategoricalDistribution(tuple(dict.fromkeys(map(_category, domain.options))))
        case Float(low=low, high=high, log=log, q=q):
            return FloatDistribution(low, high, log=log, step=None if log else q)
        case Integer(first=first, last=last, q=q, log=log):
            return IntDistribution(first * q, last * q, log=log, step=1 if log else q)
        case Stepped(low=int() as low, step=int() as step):
            return IntDistribution(low, int(domain.at(domain.size - 1)), step=step)
        case Stepped(low=low, step=step):
            return FloatDistribution(low, domain.at(domain.size - 1), step=step)
    return None


def _distribution_of_values(values: list[_Plain]) -> BaseDistribution:
    numbers = [value for value in values if is_finite(value) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        return FloatDistribution(min(numbers), max(numbers))
    return CategoricalDistribution(values)


def _value(distribution: BaseDistribution, value: Any) -> Any:
    return _category(value) if isinstance(distribution, CategoricalDistribution) else value


def _category(value: Any) -> _Plain:
    """An option as Optuna takes it: what is no plain value by its text."""
    return value if value is None or isinstance(value, bool | int | float | str) else cut(str(value), _LONGEST)


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))  # noqa: SLF001 (as Optuna checks it)
    except (ValueError, TypeError):
        return False
