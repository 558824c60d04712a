"""Ray's name for what `executor` has of placement groups."""

from executor.library.placement import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

__all__ = ["PlacementGroup", "placement_group", "placement_group_table", "remove_placement_group"]
