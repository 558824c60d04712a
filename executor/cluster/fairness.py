"""Who gets room first when several drivers want it: the higher priority, then who has less. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from executor.cluster.members import Driver
from executor.errors import InfeasibleRequestError
from executor.holdings import Holdings
from executor.resources import Request, Resources


def first_before(driver: Driver, drivers: Iterable[Driver], holdings: Holdings, now: float) -> Driver | None:
    """One that wants room that it could have now, and should have it before `driver` gets more."""
    return next((other for other in drivers if _goes_before(other, driver, holdings, now)), None)


def _goes_before(other: Driver, driver: Driver, holdings: Holdings, now: float) -> bool:
    if other is driver or other.waits_for is None or now > other.claims_until:
        return False
    if other.priority != driver.priority:
        first = other.priority > driver.priority
    else:
        first = _share(other, holdings) < _share(driver, holdings)
    return first and _fits(other.waits_for, other.avoids, holdings)


def _share(driver: Driver, holdings: Holdings) -> float:
    """The largest part that it holds of what there is of a kind (dominant share, Ghodsi et al. 2011)."""
    everything = sum((node.capacity for node in holdings.nodes()), Resources())
    held = driver.held()
    return max((held[kind] / everything[kind] for kind in held if everything[kind]), default=0.0)


def _fits(request: Request, avoid: Collection[str], holdings: Holdings) -> bool:
    try:
        holding = holdings.reserve(request, avoid)
    except InfeasibleRequestError:
        return False
    if holding is None:
        return False
    holdings.give_back(holding)
    return True
