"""Our domains as Optuna's distributions, and configurations as Optuna's parameters.

A parameter is named by its path; those of a choice's options carry the option's index, ``model[1]/depth``, so that two
options may have parameters of one name. A choice is told to Optuna as the index of its option, since options may be
anything, and a quantised domain as the count of its steps. The logarithmic quantised ones have no counterpart: they are
sampled on the logarithmic scale and rounded, and Optuna learns from the rounded value. Normal distributions and
`sample_from` have none either and stay out of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna import Trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial, TrialState, create_trial

from searchers.choices import Choice, holds_domain
from searchers.domain import Domain, Float, Integer
from searchers.stepped import Stepped

Distribution = CategoricalDistribution | FloatDistribution | IntDistribution


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value as Optuna keeps it."""

    name: str
    value: Any
    distribution: BaseDistribution


def distribution_of(domain: Domain) -> Distribution | None:
    """What Optuna samples for `domain`, None when that cannot be told to Optuna."""
    match domain:
        case Choice():
            return CategoricalDistribution(tuple(range(len(domain.options))))
        case Float(q=None):
            return FloatDistribution(domain.low, domain.high, log=domain.log)
        case Float(log=True):
            return FloatDistribution(domain.low, domain.high, log=True)
        case Float(q=q) if q is not None:
            return IntDistribution(round(domain.low / q), round(domain.high / q))
        case Integer(log=True):
            return IntDistribution(domain.first * domain.q, domain.last * domain.q, log=True)
        case Integer():
            return IntDistribution(domain.first, domain.last)
        case Stepped():
            return IntDistribution(0, domain.size - 1)
        case _:
            return None


def suggest(trial: Trial, name: str, domain: Domain, distribution: Distribution) -> Any:
    """What `trial` suggests, as a value of `domain`; for a `Choice`, the index of an option."""
    match distribution:
        case CategoricalDistribution():
            return trial.suggest_categorical(name, distribution.choices)
        case FloatDistribution():
            return domain.cast(trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log))
        case IntDistribution():
            count = trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
            origin, unit = _scale(domain)
            return domain.cast(origin + count * unit)


def parameters_of(space: Mapping[str, Any], config: Mapping[str, Any]) -> list[Parameter]:
    """What Optuna is told of `config`.

    Raises:
        ValueError: `config` lacks a parameter of `space`, or has a value that its domain does not contain.
    """
    return [parameter for key in space for parameter in _parameters(space[key], config, key, str(key))]


def parameters_of_value(name: str, domain: Domain, value: Any) -> list[Parameter]:
    """As `parameters_of`, of one parameter."""
    return list(_parameters(domain, {name: value}, name, name))


def parameters_asked_by(define: Callable[[Trial], Any], config: Mapping[str, Any]) -> list[Parameter]:
    """As `parameters_of`, of the parameters that a define-by-run function asks for when they have these values."""
    trial = FixedTrial(dict(config))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what is out of range is refused below
        define(trial)  # type: ignore[arg-type]
    create_trial(state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions)
    return [Parameter(name, value, trial.distributions[name]) for name, value in trial.params.items()]


def _parameters(node: Any, config: Any, key: Any, path: str) -> Iterator[Parameter]:
    if not holds_domain(node):
        return
    try:
        value = config[key]
    except (KeyError, IndexError, TypeError):
        raise ValueError(f"it has no {path}") from None
    if isinstance(node, Domain):
        yield from _parameters_within(node, value, path)
    else:
        for inner in node if isinstance(node, Mapping) else range(len(node)):
            yield from _parameters(node[inner], value, inner, f"{path}/{inner}")


def _parameters_within(domain: Domain, value: Any, path: str) -> Iterator[Parameter]:
    if not domain.contains(value):
        raise ValueError(f"{path} = {value!r} is not in {domain}")
    distribution = distribution_of(domain)
    if isinstance(domain, Choice) and distribution is not None:
        index = domain.index_of(value)
        assert index is not None
        yield Parameter(path, index, distribution)
        yield from _parameters(domain.options[index], (value,), 0, f"{path}[{index}]")
    elif distribution is not None:
        origin, unit = _scale(domain)
        count = (value - origin) / unit
        yield Parameter(path, round(count) if isinstance(distribution, IntDistribution) else float(count), distribution)


def _scale(domain: Domain) -> tuple[float, float]:
    """Where Optuna's numbers start in the domain's, and what one of them is worth there."""
    match domain:
        case Stepped():
            return domain.low, domain.step
        case Float(log=False, q=q) | Integer(log=False, q=q) if q is not None:
            return 0, q
        case _:
            return 0, 1
