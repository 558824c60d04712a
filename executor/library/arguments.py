"""The arguments of a call: references among them stand for their values, which are put in before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from executor.library.messages import NO_ARGUMENTS
from executor.library.refs import ObjectRef, number_of
from executor.library.values import Packed, Room, numbers_in, pack_value, unpack_value

if TYPE_CHECKING:
    from executor.library.runtime import Runtime

__audition_internal__ = True


class Slot:
    """Where the value of a reference belongs."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __reduce__(self) -> tuple[Any, ...]:
        return Slot, (self.index,)


def pack_arguments(
    runtime: Runtime, positional: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[Packed, tuple[int, ...], tuple[int, ...]]:
    """The packed arguments, the numbers of the references among them, and of those inside of them.

    Raises:
        TypeError: they cannot be pickled; says which part.
    """
    if not positional and not named:
        return NO_ARGUMENTS, (), ()
    values: list[int] = []
    for argument in positional:
        if type(argument) is ObjectRef:
            positional = tuple(_slotted(one, values) for one in positional)
            break
    for argument in named.values():
        if type(argument) is ObjectRef:
            named = {name: _slotted(one, values) for name, one in named.items()}
            break
    packed = pack_value((positional, named), runtime)
    return packed, tuple(values), numbers_in(packed)


def _slotted(argument: Any, values: list[int]) -> Any:
    if type(argument) is not ObjectRef:
        return argument
    values.append(number_of(argument))
    return Slot(len(values) - 1)


def unpack_arguments(
    packed: Packed, values: Sequence[Packed] | None, room: Room
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments, with `values` in their places."""
    if packed == NO_ARGUMENTS:
        return (), {}
    positional, named = unpack_value(packed, room)
    if values is None:
        return positional, named
    found = [unpack_value(value, room) for value in values]
    return (
        tuple(found[one.index] if type(one) is Slot else one for one in positional),
        {name: found[one.index] if type(one) is Slot else one for name, one in named.items()},
    )
