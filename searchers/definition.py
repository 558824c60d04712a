"""A search space as users give it: a dictionary, a function of a trial, or one of these with constraints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from searchers.constraints import Constraint
from searchers.foreign import adopt
from searchers.resolution import ConfigView
from searchers.space import validate_space, walk

Condition = str | Callable[[ConfigView], Any]


@dataclass(frozen=True, slots=True)
class Constrained:
    """A search space of which only the configurations that fulfil all `constraints` are tried."""

    space: Mapping[str, Any] | Callable[..., Any]
    constraints: tuple[Condition, ...]


Space = Mapping[str, Any] | Callable[..., Any] | Constrained
"""A search space as users give it."""


def constrained(space: Space, *constraints: Condition) -> Constrained:
    """`space` without the configurations that break one of `constraints`.

    A constraint is a text such as ``"warmup <= epochs"`` or a function, ``lambda c: c["warmup"] <= c["epochs"]``. Texts
    are kept with the experiment, as lambdas cannot be, and may stand in sweep files: see `searchers.expression`.

    Raises:
        ValueError: a text is no condition.
        TypeError: a constraint is neither a text nor a function.
    """
    for condition in constraints:
        Constraint(condition)
    if isinstance(space, Constrained):
        return Constrained(space.space, (*space.constraints, *constraints))
    return Constrained(space, constraints)


@dataclass(frozen=True, slots=True)
class Definition:
    """The parts of a search space.

    `tree` is the configuration with domains in it. `define` is a function of a trial that asks it for parameters and
    may return a dictionary of constants, None when the tree has all parameters.
    """

    tree: Mapping[str, Any]
    constraints: tuple[Constraint, ...] = ()
    define: Callable[..., Any] | None = None


def read_definition(space: Any) -> Definition:
    """The parts of `space`.

    Raises:
        TypeError: it is no search space.
    """
    constraints: tuple[Constraint, ...] = ()
    if isinstance(space, Constrained):
        constraints, space = tuple(map(Constraint, space.constraints)), space.space
    if isinstance(space, Mapping):
        return Definition(space, constraints)
    if callable(space) and not isinstance(space, type):
        return Definition({}, constraints, space)
    raise TypeError(f"a search space is a dictionary that holds domains, or a function of a trial, not {space!r}")


def adopt_all(space: Space) -> Space:
    """`space` as users give it, with our domains in the place of other packages' distributions."""
    if isinstance(space, Constrained):
        return Constrained(adopt(space.space), space.constraints)
    adopted: Space = adopt(space)
    return adopted


def validate(space: Any) -> list[str]:
    """All that is wrong with a search space as users give it, one sentence each; empty when nothing is.

    Raises:
        TypeError: it is no search space at all.
    """
    definition = read_definition(space)
    mistakes = validate_space(definition.tree)
    for parts, leaf in walk(definition.tree):
        if isinstance(leaf, Constrained):
            mistakes.append(f"{'/'.join(parts)}: constraints stand around the whole space, not within it")
    if definition.define is None:
        for constraint in definition.constraints:
            mistakes.extend(constraint.unknown_names(definition.tree))
    return mistakes
