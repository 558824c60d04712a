"""From a search space to a configuration: each domain gets a value, then `sample_from` functions see the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random
from typing import Any, Final

from searchers.choices import Choice, SampleFrom, holds_domain, rebuild
from searchers.domain import Domain
from searchers.foreign import adopt
from searchers.points import UNSET, nest
from searchers.space import grid_values

Draw = Callable[[str, Domain], Any]
"""Gives a value for the domain at a path; for a `Choice`, the index of an option."""

NOTHING: Final[Mapping[str, Any]] = {}


def resolve(space: Mapping[str, Any], rng: Random, fixed: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
    """A configuration: new containers, the leaf values themselves.

    `fixed` gives some of the values, nested like the space or by path, and may be partial within a chosen dict. The
    rest is drawn with `rng`, in the order of the keys' names: the order in which a space is written does not matter.
    A grid axis that is not fixed is drawn like a choice.

    Raises:
        ValueError: `fixed` does not fit the space, or `sample_from` functions need each other's values.
    """
    space = adopt(space)
    return resolve_with(space, partial(draw, rng), rng, nest(space, fixed) if fixed else NOTHING)


def draw(rng: Random, _path: str, domain: Domain) -> Any:
    """The `Draw` of plain random sampling."""
    return domain.pick(rng) if isinstance(domain, Choice) else domain.sample(rng)


def resolve_with(space: Mapping[str, Any], draw_at: Draw, rng: Random, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """As `resolve`, with `draw_at` giving the values; `rng` is for the domains that `sample_from` functions return.

    The options of the choice at path ``p`` have the paths ``p[0]``, ``p[1]`` and so on.
    `fixed` is nested as the space is.
    """
    resolution = _Resolution(draw_at)
    config = {key: resolution.build(space[key], str(key), fixed.get(key, UNSET)) for key in sorted(space, key=str)}
    config = {key: config[key] for key in space}
    if not resolution.pending:
        return config
    resolution.draw_at = partial(draw, rng)
    resolution.settle(config)
    settled: dict[str, Any] = _without_pending(config)
    return settled


def known_part(space: Mapping[str, Any], indexes: Mapping[str, int], fixed: Mapping[str, Any]) -> ConfigView:
    """What is known of a configuration before anything is drawn: constants, `fixed`, and the options at `indexes`.

    Reading another value raises `UnresolvedError`. `fixed` is nested as the space is.
    """

    def draw_at(path: str, domain: Domain) -> Any:
        return indexes[path] if path in indexes else _Pending(path, domain)

    resolution = _Resolution(draw_at)
    return ConfigView({key: resolution.build(space[key], str(key), fixed.get(key, UNSET)) for key in space})


class _Pending:
    """The place of a value in a configuration that is being resolved: of a `sample_from` function, or not yet drawn."""

    __slots__ = ("domain", "path", "value")

    def __init__(self, path: str, domain: Domain) -> None:
        self.path, self.domain, self.value = path, domain, UNSET


class _Resolution:
    __slots__ = ("draw_at", "pending")

    def __init__(self, draw_at: Draw) -> None:
        self.draw_at = draw_at
        self.pending: list[_Pending] = []

    def build(self, node: Any, path: str, fixed: Any) -> Any:
        if isinstance(node, Domain):
            return self._value(node, path, fixed)
        if type(node) is dict or (isinstance(node, dict) and holds_domain(node)):
            if (values := grid_values(node)) is not None:
                return self._value(Choice(tuple(values)), path, fixed)
            known = fixed if isinstance(fixed, Mapping) else NOTHING
            built = {
                key: self.build(node[key], f"{path}/{key}", known.get(key, UNSET)) for key in sorted(node, key=str)
            }
            return {key: built[key] for key in node}
        if type(node) in (list, tuple) or (isinstance(node, list | tuple) and holds_domain(node)):
            parts = fixed if isinstance(fixed, list | tuple) else [UNSET] * len(node)
            items = [self.build(node[i], f"{path}/{i}", parts[i]) for i in range(len(node))]
            return rebuild(node, items)
        return node

    def _value(self, domain: Domain, path: str, fixed: Any) -> Any:
        if isinstance(domain, Choice):
            index = self.draw_at(path, domain) if fixed is UNSET else domain.index_of(fixed, partial=True)
            if isinstance(index, _Pending):
                return index
            if index is None:
                raise ValueError(f"{path}: {fixed!r} is not in {domain}")
            option = domain.options[index]
            return self.build(option, f"{path}[{index}]", fixed) if holds_domain(option) else option
        if fixed is not UNSET:
            return domain.cast(fixed)
        if isinstance(domain, SampleFrom):
            self.pending.append(_Pending(path, domain))
            return self.pending[-1]
        return self.draw_at(path, domain)

    def settle(self, config: dict[str, Any]) -> None:
        """Call the `sample_from` functions in passes, until each has found the values it reads."""
        waiting = self.pending
        while waiting:
            self.pending = []
            blocked: dict[_Pending, str] = {}
            for item in waiting:
                try:
                    item.value = self.build(_call(item, config), item.path, UNSET)
                except UnresolvedError as unresolved:
                    blocked[item] = unresolved.path
            if len(blocked) == len(waiting):
                needs = ", ".join(f"{item.path} needs {path}" for item, path in blocked.items())
                raise ValueError(f"sample_from functions wait for each other's values: {needs}; break the circle")
            waiting = [*blocked, *self.pending]


def _call(item: _Pending, config: dict[str, Any]) -> Any:
    assert isinstance(item.domain, SampleFrom)
    try:
        value = item.domain.function(ConfigView(config)) if item.domain.takes_config else item.domain.function()
    except UnresolvedError:
        raise
    except Exception as error:
        error.add_note(f"raised by the sample_from function of {item.path!r}")
        raise
    return _without_pending(value.plain) if isinstance(value, ConfigView) else adopt(value)


class UnresolvedError(Exception):
    """A value was read that is not known yet, such as one that another `sample_from` function has to give."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class ConfigView(Mapping[str, Any]):
    """What a `sample_from` function sees: ``c.x``, ``c["x"]``, and ``c.config.x`` as in Ray Tune's older form."""

    __slots__ = ("plain",)

    def __init__(self, plain: dict[str, Any]) -> None:
        self.plain = plain

    def __getitem__(self, key: str) -> Any:
        return _seen(self.plain[key])

    def __getattr__(self, name: str) -> Any:
        if name in self.plain:
            return self[name]
        if name == "config":
            return self
        known = ", ".join(map(str, self.plain))
        raise AttributeError(f"the configuration has no {name!r} here; it has {known}", name=name, obj=self.plain)

    def __iter__(self) -> Iterator[str]:
        return iter(self.plain)

    def __len__(self) -> int:
        return len(self.plain)


def _seen(value: Any) -> Any:
    match value:
        case _Pending():
            if value.value is UNSET:
                raise UnresolvedError(value.path)
            return _seen(value.value)
        case dict():
            return ConfigView(value)
        case list() | tuple():
            seen = [_seen(item) for item in value]
            unchanged = all(after is before for after, before in zip(seen, value, strict=True))
            return value if unchanged else rebuild(value, seen)
        case _:
            return value


def _without_pending(node: Any) -> Any:
    """`node` with the values in the places of the functions. What held no such place is kept as it is."""
    match node:
        case _Pending():
            return _without_pending(node.value)
        case dict():
            settled = {key: _without_pending(value) for key, value in node.items()}
            return settled if any(settled[key] is not node[key] for key in node) else node
        case list() | tuple():
            items = [_without_pending(value) for value in node]
            changed = any(after is not before for after, before in zip(items, node, strict=True))
            return rebuild(node, items) if changed else node
        case _:
            return node
