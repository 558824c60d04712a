"""Placement groups: bundles that are reserved together, in which tasks and actors then find their room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from executor.errors import ExecutorError, InfeasibleRequestError
from executor.library.failures import pack_own
from executor.library.ledger import Ledger
from executor.library.objects import ERROR, VALUE, Objects
from executor.library.values import Packed
from executor.pickling import encode
from executor.resources import Request


@dataclass(slots=True)
class Group:
    """One placement group; `number` is also that of the object which is there once it is placed."""

    number: int
    request: Request
    name: str
    state: str = "waiting"


class Groups:
    """All placement groups by their numbers."""

    def __init__(self, ledger: Ledger, objects: Objects) -> None:
        self.all: dict[int, Group] = {}
        self._ledger = ledger
        self._objects = objects
        self._waiting: list[Group] = []

    def create(self, number: int, request: Request, name: str, find_room: Callable[[], bool]) -> None:
        """Reserve a new group's bundles, now or when there is room.

        Raises:
            InfeasibleRequestError: the machine can never hold them.
        """
        group = Group(number, request, name)
        placed = self._place(group, find_room)
        self.all[number] = group
        self._objects.add(number).on_forgotten = lambda: self._forgotten(group)
        if placed:
            self._placed(group)
        else:
            self._waiting.append(group)

    def _place(self, group: Group, find_room: Callable[[], bool]) -> bool:
        return self._ledger.reserve_group(group.number, group.request, find_room)

    def _placed(self, group: Group) -> None:
        group.state = "placed"
        self._objects.settle(group.number, (VALUE, encode(True)[0]))

    def place_waiting(self, find_room: Callable[[], bool]) -> list[tuple[int, Packed]]:
        """Reserve the bundles of the groups for which there is room now, in their order; what was lost before that.

        Returns the groups for which there never will be any, with the error: nor will what waits in them run.
        """
        refused = []
        self._ledger.replace_lost(find_room)
        for group in list(self._waiting):
            try:
                placed = self._place(group, find_room)
            except InfeasibleRequestError as error:  # it has waited for nodes that did not come
                self._waiting.remove(group)
                group.state = "removed"
                self._objects.settle(group.number, (ERROR, packed := pack_own(error)))
                refused.append((group.number, packed))
                continue
            if placed:
                self._waiting.remove(group)
                self._placed(group)
        return refused

    def remove(self, number: int) -> None:
        """End a group; nothing may run in it any more."""
        group = self.all.get(number)
        if group is None or group.state == "removed":
            return
        if group.state == "placed":
            self._ledger.free_group(number)
        else:
            self._waiting.remove(group)
            self._objects.settle(number, (ERROR, pack_own(ExecutorError("the placement group was removed"))))
        group.state = "removed"
        self._forgotten(group)

    def _forgotten(self, group: Group) -> None:
        """Nobody has a handle any more, or nothing runs in it any more; after both it is nothing to tell of."""
        if group.state == "removed" and group.number not in self._objects.entries:
            self.all.pop(group.number, None)

    def is_gone(self, number: int) -> bool:
        """Whether a group was removed, so that nothing will ever run in it."""
        group = self.all.get(number)
        return group is None or group.state == "removed"

    def check(self, number: int, bundle: int, request: Request) -> None:
        """Raise for what can never run in a group.

        Raises:
            ExecutorError: the group was removed.
            InfeasibleRequestError: no bundle, or not this one, is large enough.
        """
        if self.is_gone(number):
            raise ExecutorError("the placement group was removed: make a new one")
        group = self.all[number]
        bundles = group.request.bundles
        if bundle >= len(bundles):
            raise InfeasibleRequestError(f"the placement group has bundles 0 to {len(bundles) - 1}, not {bundle}")
        candidates = bundles if bundle < 0 else (bundles[bundle],)
        (asked,) = request.bundles
        if not any(asked.fits(candidate) for candidate in candidates):
            shown = ", ".join(f"({candidate})" for candidate in candidates)
            raise InfeasibleRequestError(f"no bundle of the placement group can hold {asked}: there is {shown}")
