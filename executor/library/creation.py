"""How an actor is made, each time that it is."""

from __future__ import annotations

from dataclasses import dataclass

from executor.library.values import Packed


@dataclass(frozen=True, slots=True)
class Creation:
    """The class and the arguments of its constructor; `description` is what handles know of it."""

    digest: str
    arguments: Packed
    values: tuple[int, ...]
    inside: tuple[int, ...]
    description: bytes
