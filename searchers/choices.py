"""Parameters chosen from a list, whose options may hold parameters of their own, and those computed by a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Number
from random import Random
from typing import Any

from searchers.domain import Domain


@dataclass(frozen=True, slots=True, repr=False)
class Choice(Domain):
    """One of `options`, each as likely, given as the very object that stands in the list.

    An option may be a `Domain` or a dict, list or tuple that holds some: these parameters exist only where the option
    is chosen (a conditional space), and such an option is given as a new container each time.
    """

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options:
            raise ValueError("choice([]): there is nothing to choose from; list at least one option")

    def pick(self, rng: Random) -> int:
        """The index of one option."""
        return rng.randrange(len(self.options))

    def sample(self, rng: Random) -> Any:
        return _sample_within(self.options[self.pick(rng)], rng)

    def index_of(self, value: Any, *, partial: bool = False) -> int | None:
        """The first option that is, equals or (where it holds domains) could have become `value`; None when none does.

        With `partial`, a dict that names only some of an option's keys will do.
        """
        for fits in (_is_identical, _is_equal_alike, is_equal):
            for index, option in enumerate(self.options):
                if fits(option, value):
                    return index
        for allow_partial in (False, True) if partial else (False,):
            for index, option in enumerate(self.options):
                if holds_domain(option) and matches(option, value, partial=allow_partial):
                    return index
        return None

    def cast(self, value: Any) -> Any:
        index = self.index_of(value)
        if index is None:
            raise ValueError(f"{value!r} is none of the options of {self}")
        option = self.options[index]
        return _cast_within(option, value) if holds_domain(option) else option

    def contains(self, value: Any) -> bool:
        return self.index_of(value) is not None

    @property
    def size(self) -> int | None:
        return None if holds_domain(self.options) else len(self.options)

    def __repr__(self) -> str:
        return f"choice({list(self.options)!r})"


@dataclass(frozen=True, slots=True, repr=False)
class SampleFrom(Domain):
    """What `function` returns: called with nothing, or with the configuration resolved so far.

    Not reproducible from a seed when `function` draws random numbers of its own.
    """

    function: Callable[..., Any]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ValueError(f"sample_from({self.function!r}): give a function of the configuration, or choice([...])")
        self.takes_config  # noqa: B018 - a function of two arguments is refused here, not in the first trial

    @property
    def takes_config(self) -> bool:
        """Whether the function wants the configuration."""
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except (TypeError, ValueError):  # a builtin without a signature
            return False
        required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if len(required) > 1:
            raise ValueError(
                f"{self}: the function must take nothing or the configuration, not {len(required)} arguments"
            )
        return bool(required) or any(p.kind is p.VAR_POSITIONAL for p in parameters)

    def sample(self, rng: Random) -> Any:
        if self.takes_config:
            raise ValueError(f"{self} needs the configuration: resolve the whole space instead")
        return self.function()

    def cast(self, value: Any) -> Any:
        return value

    def contains(self, value: Any) -> bool:
        return True

    def __repr__(self) -> str:
        return f"sample_from({getattr(self.function, '__name__', self.function)})"


def holds_domain(template: Any) -> bool:
    """Whether a `Domain` is in `template` or anywhere in its dicts, lists and tuples."""
    match template:
        case Domain():
            return True
        case dict():
            return any(holds_domain(value) for value in template.values())
        case list() | tuple():
            return any(holds_domain(value) for value in template)
        case _:
            return False


def matches(template: Any, value: Any, *, partial: bool = False) -> bool:
    """Whether `template` could have become `value`; with `partial`, `value` may leave out keys of dicts."""
    match template:
        case Choice():
            return template.index_of(value, partial=partial) is not None
        case Domain():
            return template.contains(value)
        case dict():
            if not isinstance(value, Mapping) or not value.keys() <= template.keys():
                return False
            complete = partial or len(value) == len(template)
            return complete and all(matches(template[key], value[key], partial=partial) for key in value)
        case list() | tuple():
            if not isinstance(value, list | tuple) or len(value) != len(template):
                return False
            return all(matches(inner, part, partial=partial) for inner, part in zip(template, value, strict=True))
        case _:
            return is_equal(template, value)


def rebuild(template: list[Any] | tuple[Any, ...], items: list[Any]) -> list[Any] | tuple[Any, ...]:
    """`items` in a new list or tuple, as `template` is one; a named tuple keeps its type."""
    if isinstance(template, list):
        return items
    return template._make(items) if hasattr(template, "_make") else tuple(items)


def _sample_within(template: Any, rng: Random) -> Any:
    match template:
        case Domain():
            return template.sample(rng)
        case dict() if holds_domain(template):
            return {key: _sample_within(value, rng) for key, value in template.items()}
        case list() | tuple() if holds_domain(template):
            return rebuild(template, [_sample_within(value, rng) for value in template])
        case _:
            return template


def _cast_within(template: Any, value: Any) -> Any:
    match template:
        case Domain():
            return template.cast(value)
        case dict():
            return {key: _cast_within(inner, value[key]) for key, inner in template.items()}
        case list() | tuple():
            return rebuild(template, [_cast_within(inner, part) for inner, part in zip(template, value, strict=True)])
        case _:
            return template


def _is_identical(option: Any, value: Any) -> bool:
    return option is value


def _is_equal_alike(option: Any, value: Any) -> bool:
    return type(option) is type(value) and is_equal(option, value)


def is_equal(option: Any, value: Any) -> bool:
    """Whether both are one or equal; a tuple equals a list of the same values, since JSON knows no tuples."""
    if option is value:
        return True
    if isinstance(option, list | tuple) and isinstance(value, list | tuple):
        return len(option) == len(value) and all(map(is_equal, option, value))
    if isinstance(option, Number) and isinstance(value, Number) and isinstance(option, bool) != isinstance(value, bool):
        return False
    try:
        return bool(option == value)
    except (TypeError, ValueError):  # arrays have no single truth
        return False
