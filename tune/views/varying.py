"""Which parameters differ between trials: those are worth showing, constants are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune.views.wording import flatten

_PLAIN = (str, int, float, bool, type(None))


class Varying:
    """Told one configuration after another. What it keeps grows with the parameters, not with the trials."""

    def __init__(self) -> None:
        self._first: dict[str, Any] | None = None
        self._differing: dict[str, None] = {}

    def add(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Take in a configuration, and return it flat."""
        flat = flatten(config)
        if self._first is None:
            self._first = flat
            return flat
        first = self._first
        for name, value in flat.items():
            if name not in self._differing and (name not in first or not _same(first[name], value)):
                self._differing[name] = None
        return flat

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that differ, in the order of the first configuration; all of them while none does."""
        first = self._first or {}
        if not self._differing:
            return tuple(first)
        known = [name for name in first if name in self._differing]
        return (*known, *(name for name in list(self._differing) if name not in first))

    def of(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a configuration that differs, flat."""
        flat = flatten(config)
        return {name: flat[name] for name in self.names if name in flat}


def _same(one: Any, other: Any) -> bool:
    """Equality of plain values; of others (arrays, objects) identity, since their equality may be anything."""
    if isinstance(one, _PLAIN) and isinstance(other, _PLAIN):
        return type(one) is type(other) and one == other
    return one is other or (type(one) is type(other) and isinstance(one, tuple | list) and repr(one) == repr(other))
