"""Placement groups, as users hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from executor.library.plans import bundles_of
from executor.library.refs import ObjectRef, number_of
from executor.library.runtime import current
from executor.resources import Request, Resources


@dataclass(frozen=True)
class PlacementGroup:
    """Bundles of resources that are reserved together. Tasks and actors with it as an option run inside them."""

    ref: ObjectRef[bool]
    bundles: tuple[Resources, ...]
    strategy: str

    def ready(self) -> ObjectRef[bool]:
        """A reference that is there once all bundles are reserved."""
        return self.ref

    def wait(self, timeout_seconds: float | None = 30) -> bool:
        """Wait until all bundles are reserved, at most so many seconds (None: for ever); whether it came to an end.

        A group that was removed has come to its end too: what `ready` returns raises then.
        """
        return bool(current().wait([number_of(self.ref)], 1, timeout_seconds))

    @property
    def bundle_specs(self) -> list[dict[str, float]]:
        """What each bundle holds."""
        return [bundle.as_dict() for bundle in self.bundles]

    @property
    def bundle_count(self) -> int:
        """How many bundles there are."""
        return len(self.bundles)


@dataclass(frozen=True)
class PlacementGroupSchedulingStrategy:
    """Where in a placement group to run, as the option ``scheduling_strategy``; a bundle of -1 is any that has room."""

    placement_group: PlacementGroup
    placement_group_bundle_index: int = -1
    placement_group_capture_child_tasks: bool = True


def placement_group(
    bundles: Sequence[Mapping[str, float]], strategy: str = "PACK", name: str = "", lifetime: str | None = None
) -> PlacementGroup:
    """Reserve `bundles`, such as ``[{"CPU": 1}, {"GPU": 1}]``, all or nothing: now, or as soon as there is room.

    Children of what runs inside run inside too, unless they say otherwise. It holds until `remove_placement_group`.

    Args:
        bundles: amounts by kind; memory in bytes.
        strategy: how they spread over machines: ``PACK``, ``SPREAD``, ``STRICT_PACK`` or ``STRICT_SPREAD``. On one
            machine the first three are the same.
        name: what it is called in `placement_group_table`.
        lifetime: only None: it ends with its driver.

    Raises:
        InfeasibleRequestError: this machine can never hold them, for example ``STRICT_SPREAD`` over two nodes.
        ValueError: a bundle or the strategy is none, or a lifetime is given.
    """
    if lifetime not in (None, "non_detached"):
        raise ValueError(
            f"lifetime={lifetime!r}: placement groups end with their driver, also on a cluster. Leave it out"
        )
    request = Request(bundles_of(bundles), strategy)
    runtime = current()
    number = runtime.new_numbers(1)
    runtime.ask("create_group", number, request, name)
    return PlacementGroup(runtime.own(number), request.bundles, strategy)


def remove_placement_group(group: PlacementGroup) -> None:
    """End all that runs in the group, and give back what it holds; its calls raise. Twice does nothing more."""
    current().ask("remove_group", number_of(group.ref))


def placement_group_table() -> dict[str, dict[str, Any]]:
    """All placement groups of this driver: name, state and bundles, by their numbers."""
    found = current().ask("groups")
    return {
        f"{number:016x}": {
            "name": name,
            "state": state,
            "strategy": request.strategy,
            "bundles": list(map(str, request.bundles)),
        }
        for number, name, state, request in found
    }
