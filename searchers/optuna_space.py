"""Our domains as Optuna's distributions, and configurations as Optuna's parameters.

Parameters are named as in `searchers.parameters`. A choice is told to Optuna as the index of its option, since options
may be anything, a quantised domain as the count of its steps, and the rungs of a ladder as their numbers. The
logarithmic quantised ones have no counterpart: they are sampled on the logarithmic scale and rounded, and Optuna learns
from the rounded value. Normal and other distributions are told as the place of the value in [0, 1]. `sample_from` stays
out of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna import Trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial, TrialState, create_trial

from searchers.choices import Choice
from searchers.domain import Domain, Float, Integer, Ordered
from searchers.ladder import Ladder
from searchers.parameters import values

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
        case Ladder():
            return IntDistribution(0, domain.size - 1)
        case Ordered():
            return FloatDistribution(0.0, 1.0)
        case _:
            return None


def suggest(trial: Trial, name: str, domain: Domain, distribution: Distribution) -> Any:
    """What `trial` suggests, as a value of `domain`; for a `Choice`, the index of an option."""
    asked = _ask(trial, name, distribution)
    match domain:
        case Float() | Integer():
            return domain.cast(asked * _unit(domain))
        case Ladder():
            return domain.at(asked)
        case Ordered():
            return domain.from_unit(asked)
        case _:
            return asked


def parameters_of(space: Mapping[str, Any], config: Mapping[str, Any]) -> list[Parameter]:
    """What Optuna is told of `config`.

    Raises:
        ValueError: `config` lacks a parameter of `space`, or has a value that its domain does not contain.
    """
    return [
        Parameter(parameter.name, _told(parameter.domain, distribution, value), distribution)
        for parameter, value in values(space, config)
        if (distribution := distribution_of(parameter.domain)) is not None
    ]


def parameters_of_value(name: str, domain: Domain, value: Any) -> list[Parameter]:
    """As `parameters_of`, of one parameter."""
    return parameters_of({name: domain}, {name: value})


def parameters_asked_by(define: Callable[[Trial], Any], config: Mapping[str, Any]) -> list[Parameter]:
    """As `parameters_of`, of the parameters that a define-by-run function asks for when they have these values."""
    trial = FixedTrial(dict(config))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what is out of range is refused below
        define(trial)  # type: ignore[arg-type]
    create_trial(state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions)
    return [Parameter(name, value, trial.distributions[name]) for name, value in trial.params.items()]


def _ask(trial: Trial, name: str, distribution: Distribution) -> Any:
    match distribution:
        case CategoricalDistribution():
            return trial.suggest_categorical(name, distribution.choices)
        case FloatDistribution():
            return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
        case IntDistribution():
            return trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)


def _told(domain: Domain, distribution: Distribution, value: Any) -> Any:
    """`value` in Optuna's numbers."""
    match domain:
        case Float() | Integer():
            count = value / _unit(domain)
            return round(count) if isinstance(distribution, IntDistribution) else float(count)
        case Ladder():
            return domain.rung_of(value)
        case Ordered():
            return domain.to_unit(value)
        case _:
            return value  # the index of a choice's option


def _unit(domain: Float | Integer) -> float:
    """What one of Optuna's numbers is worth in the domain's."""
    return 1 if domain.log or domain.q is None else domain.q
