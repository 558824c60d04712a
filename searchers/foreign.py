"""Distributions of Optuna and scipy in a search space, read as our domains. Neither package is imported for that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from searchers.choices import Choice, rebuild
from searchers.domain import Domain, Float, Integer
from searchers.stepped import Stepped


def adopt(space: Any) -> Any:
    """`space` with every distribution that is known in the place of a domain; itself when it has none."""
    match space:
        case Choice(options=options):
            items = [adopt(option) for option in options]
            return space if _are_same(items, options) else Choice(tuple(items))
        case Domain():
            return space
        case dict():
            built = {key: adopt(value) for key, value in space.items()}
            return space if _are_same(built.values(), space.values()) else built
        case Mapping():
            return {key: adopt(value) for key, value in space.items()}
        case list() | tuple():
            items = [adopt(item) for item in space]
            return space if _are_same(items, space) else rebuild(space, items)
        case _ if is_foreign(space):
            try:
                return read(space)
            except ValueError:  # named by `validate_space`
                return space
    return space


def is_foreign(value: Any) -> bool:
    """Whether `value` is a distribution of Optuna or scipy."""
    module = type(value).__module__
    if module.startswith("optuna.distributions"):
        return True
    return module.startswith("scipy.stats") and any(hasattr(value, name) for name in ("rvs", "sample", "ppf"))


def read(distribution: Any) -> Any:
    """The domain that a distribution of Optuna or scipy stands for; the value itself where there is only one.

    Raises:
        ValueError: it stands for none: says why.
    """
    if type(distribution).__module__.startswith("optuna"):
        return _of_optuna(distribution)
    from searchers.scipy import read_frozen

    return read_frozen(distribution)


def _of_optuna(distribution: Any) -> Any:
    names = {base.__name__ for base in type(distribution).__mro__}
    if "CategoricalDistribution" in names:
        return Choice(distribution.choices)
    if not names & {"FloatDistribution", "IntDistribution"}:
        raise ValueError(f"{distribution!r} is no float, int or categorical distribution")
    low, high, step, log = distribution.low, distribution.high, distribution.step, distribution.log
    if low == high:
        return low
    if "FloatDistribution" in names:
        return Float(low, high, log=log) if step is None else Stepped(low, high, step)
    return Integer(low, high, log=log) if step == 1 else Stepped(low, high, step)


def _are_same(items: Any, others: Any) -> bool:
    return all(one is other for one, other in zip(items, others, strict=True))
