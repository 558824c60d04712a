"""Searchers, schedulers and stoppers by their names in a sweep file, with every argument checked at once.

The arguments beside `type` are those of the class's constructor. A class's own argument that is called ``type``, such
as ASHA's, is written `variant`: ``{type: asha, variant: promotion}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import Parameter, signature
from typing import Any

from schedulers import SCHEDULERS, create_scheduler
from searchers import SEARCHERS, create_searcher
from tune.errors import nearest
from tune.stopper import STOPPERS, create_stopper

VARIANT = "variant"
_GIVEN_ELSEWHERE = frozenset({"space"})


@dataclass(frozen=True)
class Registry:
    """One package's kinds: what they are called together, their classes' places by name, and how one is made."""

    noun: str
    kinds: Mapping[str, str]
    create: Callable[..., Any]

    def make(self, section: Mapping[str, Any]) -> Any:
        """A new object of the kind, with the arguments, that `section` names.

        Raises:
            ValueError: it cannot be.
            TypeError: the same.
        """
        arguments = {key: value for key, value in section.items() if key != "type"}
        if VARIANT in arguments:
            arguments["type"] = arguments.pop(VARIANT)
        return self.create(section["type"], **arguments)

    def arguments(self, kind: str) -> list[str] | None:
        """The keys that a section of this kind may have besides `type`; None when it takes any."""
        module, name = self.kinds[kind].split(":")
        constructor = getattr(import_module(module), name).__init__
        if constructor is object.__init__:
            return []
        parameters = list(signature(constructor).parameters.values())[1:]
        if any(one.kind is Parameter.VAR_KEYWORD for one in parameters):
            return None
        names = [one.name for one in parameters if one.name not in _GIVEN_ELSEWHERE]
        return [VARIANT if name == "type" else name for name in names]

    def mistakes(self, section: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """All that is wrong with `section`, each with the key that it is about (empty: the section)."""
        kind = section["type"]
        if kind not in self.kinds:
            yield (
                "type",
                f"there is no {self.noun} {kind!r}{nearest(kind, self.kinds)} (there are {', '.join(self.kinds)})",
            )
            return
        taken = self.arguments(kind)
        unknown = [] if taken is None else [key for key in section if key not in (*taken, "type")]
        for key in unknown:
            yield key, f"unknown key `{key}` in {self.noun} {kind}{nearest(key, taken or ())}"
        try:
            self.make({key: value for key, value in section.items() if key not in unknown})
        except (ValueError, TypeError) as error:
            message = re.sub(r"\btype\b", VARIANT, str(error)) if VARIANT in section else str(error)
            yield _blamed(message, section), message


SEARCHER = Registry("searcher", SEARCHERS, create_searcher)
SCHEDULER = Registry("scheduler", SCHEDULERS, create_scheduler)
STOPPER = Registry("stopper", STOPPERS, create_stopper)


def _blamed(message: str, section: Mapping[str, Any]) -> str:
    """The key that a constructor's complaint is about: the first that it names."""
    found = [
        (hit.start(), key) for key in section if key != "type" and (hit := re.search(rf"\b{re.escape(key)}\b", message))
    ]
    return min(found)[1] if found else ""
