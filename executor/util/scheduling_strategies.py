"""Ray's name for what may be given as the option ``scheduling_strategy``, beside ``"DEFAULT"`` and ``"SPREAD"``."""

from executor.library.placement import PlacementGroupSchedulingStrategy

__all__ = ["PlacementGroupSchedulingStrategy"]
