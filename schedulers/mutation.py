"""How a configuration is mutated: each value by its own kind, and never out of what it may be.

A mutation is a domain (anything with ``sample(rng)``, ``cast(value)`` and ``contains(value)``, as the search spaces of
`searchers` are), a list of values in their order, a function of nothing, or a dictionary of these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from random import Random
from typing import Any

from schedulers.bounds import within

Mutations = Mapping[str, Any]


def mistakes_of(mutations: Mutations, path: str = "hyperparam_mutations") -> Iterator[str]:
    """What cannot be mutated, each with its place."""
    for key, kind in mutations.items():
        where = f"{path}[{key!r}]"
        if isinstance(kind, Mapping):
            yield from mistakes_of(kind, where)
        elif isinstance(kind, list | tuple):
            if not kind:
                yield f"{where} is empty: list the values that it may have"
        elif hasattr(kind, "takes_config"):
            yield f"{where} is a sample_from, which cannot be perturbed: give a domain, a list or a function"
        elif not hasattr(kind, "sample") and not callable(kind):
            yield f"{where} is {kind!r}: give a domain such as tune.uniform(0, 1), a list, a function or a dictionary"


def drawn(kind: Any, rng: Random) -> Any:
    """A value drawn anew."""
    if isinstance(kind, Mapping):
        return {key: drawn(inner, rng) for key, inner in kind.items()}
    if isinstance(kind, list | tuple):
        return rng.choice(kind)
    return kind.sample(rng) if hasattr(kind, "sample") else kind()


def completed(config: Mapping[str, Any], mutations: Mutations, rng: Random) -> dict[str, Any]:
    """`config` with a value drawn for each mutated key that it lacks."""
    found = dict(config)
    for key, kind in mutations.items():
        if key not in found:
            found[key] = drawn(kind, rng)
        elif isinstance(kind, Mapping) and isinstance(found[key], Mapping):
            found[key] = completed(found[key], kind, rng)
    return found


def mutated(
    config: Mapping[str, Any], mutations: Mutations, resample_probability: float, factors: Sequence[float], rng: Random
) -> dict[str, Any]:
    """`config` with each mutated value changed: drawn anew with `resample_probability`, perturbed otherwise.

    A list's value moves to one of its neighbours. A number is multiplied by one of `factors`, brought back into its
    domain (type, step, bounds); whole numbers and steps move by one at least. What is chosen from unordered options
    stays, as does what is no number.
    """
    found = dict(config)
    for key, kind in mutations.items():
        if isinstance(kind, Mapping):
            inner = config.get(key)
            known = inner if isinstance(inner, Mapping) else {}
            found[key] = mutated(known, kind, resample_probability, factors, rng)
        elif key not in config or rng.random() < resample_probability:
            found[key] = drawn(kind, rng)
        else:
            found[key] = _perturbed(config[key], kind, factors, rng)
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any], mutations: Mutations) -> list[str]:
    """What differs among the mutated keys, in words: ``lr 0.1 -> 0.12``."""
    words: list[str] = []
    for key, kind in mutations.items():
        old, new = before.get(key), after.get(key)
        if isinstance(kind, Mapping) and isinstance(new, Mapping):
            words += changes(old if isinstance(old, Mapping) else {}, new, kind)
        elif old != new:
            words.append(f"{key} {_shown(old)} -> {_shown(new)}")
    return words


def _perturbed(value: Any, kind: Any, factors: Sequence[float], rng: Random) -> Any:
    if isinstance(kind, list | tuple):
        if value not in kind:
            return rng.choice(kind)
        return kind[min(max(kind.index(value) + rng.choice((-1, 1)), 0), len(kind) - 1)]
    if isinstance(value, bool) or not isinstance(value, Real) or hasattr(kind, "options"):
        return value
    before = float(value)
    product = before * rng.choice(factors)
    if not hasattr(kind, "cast"):
        return round(product) if isinstance(value, int) else product
    inside = within(kind, product)
    if inside == value and getattr(kind, "q", None) and product != before:
        inside = within(kind, before + math.copysign(kind.q, product - before))
    return inside if kind.contains(inside) else drawn(kind, rng)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
