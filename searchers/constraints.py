"""Constraints between parameters: which of a space's configurations may be tried.

What is refused is drawn again (rejection sampling): the allowed configurations keep their likelihoods among themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from searchers.choices import Choice, SampleFrom
from searchers.domain import Domain
from searchers.expression import Expression
from searchers.resolution import ConfigView, UnresolvedError, known_part
from searchers.space import grid_values

MAX_DRAWS: Final = 10_000
"""How often a configuration is drawn until the search gives up."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A condition that every configuration must fulfil.

    `condition` is a text, see `searchers.expression`, or a function of the configuration, which offers ``c["a"]`` and
    ``c.a`` and cannot be changed. A text that reads a parameter which a configuration has not asks nothing of it.

    Raises:
        ValueError: the text is no condition.
        TypeError: `condition` is neither text nor function.
    """

    condition: str | Callable[[ConfigView], Any]

    def __post_init__(self) -> None:
        if isinstance(self.condition, str):
            _expression(self.condition)
        elif not callable(self.condition):
            raise TypeError(f"a constraint is a text such as 'a <= b' or a function, not {self.condition!r}")

    def holds(self, config: ConfigView) -> bool:
        """Whether `config` may be tried.

        Raises:
            UnresolvedError: that depends on a value which is not known yet.
        """
        try:
            if isinstance(self.condition, str):
                return _expression(self.condition).holds(config)
            return bool(self.condition(config))
        except UnresolvedError:
            raise
        except Exception as error:
            error.add_note(f"raised by the constraint {self}")
            raise

    def unknown_names(self, space: Mapping[str, Any]) -> Iterator[str]:
        """What a text reads that no configuration of `space` has, a sentence each."""
        if not isinstance(self.condition, str):
            return
        for keys in _expression(self.condition).names:
            if not _reaches(space, keys) and not (keys[0] == "config" and _reaches(space, keys[1:])):
                near = get_close_matches(str(keys[0]), map(str, space), n=1)
                hint = f"did you mean {near[0]!r}?" if near and near[0] != keys[0] else f"it has {', '.join(space)}"
                yield f"constraint {self}: no configuration has a {'.'.join(map(str, keys))!r}; {hint}"

    def __str__(self) -> str:
        if isinstance(self.condition, str):
            return repr(self.condition)
        return str(getattr(self.condition, "__name__", self.condition))


def is_allowed(constraints: Sequence[Constraint], config: Mapping[str, Any]) -> bool:
    """Whether every constraint holds for `config`."""
    return not constraints or broken_by(constraints, config) is None


def broken_by(constraints: Sequence[Constraint], config: Mapping[str, Any]) -> Constraint | None:
    """The first constraint that `config` breaks; one that depends on an unknown value is not broken yet."""
    view = config if isinstance(config, ConfigView) else ConfigView(dict(config))
    for constraint in constraints:
        try:
            if not constraint.holds(view):
                return constraint
        except UnresolvedError:
            continue
    return None


def draw_allowed(constraints: Sequence[Constraint], draw: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """The first allowed one of what `draw` gives for 0, 1, 2 and so on.

    Raises:
        ValueError: `MAX_DRAWS` of them were refused: says how many by which constraint.
    """
    refusals: Counter[str] = Counter()
    for attempt in range(MAX_DRAWS):
        config = draw(attempt)
        broken = broken_by(constraints, config) if constraints else None
        if broken is None:
            return config
        refusals[str(broken)] += 1
    raise ValueError(
        f"{MAX_DRAWS} draws in a row were refused, {counted(refusals)}: loosen the constraints, or choose domains of "
        "which more is allowed"
    )


def counted(refusals: Counter[str]) -> str:
    """How many were refused by what."""
    return " and ".join(f"{count} by the constraint {name}" for name, count in refusals.most_common())


def mistakes_in_points(
    constraints: Sequence[Constraint], space: Mapping[str, Any], points: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """The points, nested like `space` and perhaps partial, that can become no allowed configuration."""
    for index, point in enumerate(points):
        if constraints and (broken := broken_by(constraints, known_part(space, {}, point))):
            yield f"points_to_evaluate[{index}] breaks the constraint {broken}"


@lru_cache(maxsize=256)
def _expression(text: str) -> Expression:
    return Expression(text)


def _reaches(node: Any, keys: tuple[str | int, ...]) -> bool:
    """Whether some configuration of the space `node` has a value at `keys`."""
    if not keys or isinstance(node, SampleFrom):
        return True
    if options := node.options if isinstance(node, Choice) else grid_values(node):
        return any(_reaches(option, keys) for option in options)
    if isinstance(node, Domain) or not isinstance(node, Mapping | list | tuple):
        return False
    try:
        return _reaches(node[keys[0]], keys[1:])  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        return False
